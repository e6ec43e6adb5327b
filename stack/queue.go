package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// batch is how many frames go over a Port at once.
const batch = 64

// headroom in front of what is written into a fresh frame.
const headroom = frame.Headroom

// queue is a Port, and what waits to leave by it.
type queue struct {
	port Port
	link int
	room int // what Send still takes in this turn
	n    int
	out  [batch]frame.Span

	fresh list // flows not yet looked at: an ACK that is owed goes before data
	bulk  list // flows with more to send, served by deficit round robin
}

// queueOf is the queue by which control packets leave a link.
func (s *Shard) queueOf(link int) *queue { return &s.queues[s.firstQueue[link]] }

// full reports whether the port takes no more in this turn.
func (q *queue) full() bool { return q.n >= q.room }

// blank takes a fresh frame for n bytes, Ethernet header included. The caller
// writes them and calls transmit, which takes over the frame.
func (s *Shard) blank(q *queue, n int) ([]byte, frame.Span, Drop) {
	if q.full() {
		return nil, frame.Span{}, DropTxFull
	}
	if headroom+n > s.pool.FrameSize() {
		return nil, frame.Span{}, DropTxTooLong
	}
	f, ok := s.pool.Get()
	if !ok {
		return nil, frame.Span{}, DropTxNoFrame
	}
	d := frame.Span{Frame: f, Off: headroom, Len: uint16(n)}
	return s.pool.Bytes(d), d, Carried
}

// transmit hands a packet to the queue, which has room and takes over the
// caller's hold. From here on the frame counts as standing in a ring: nobody may
// write to it.
func (s *Shard) transmit(q *queue, d frame.Span) {
	s.pool.TxStart(d.Frame)
	q.out[q.n] = d
	q.n++
	if q.n == batch {
		s.send(q)
	}
}

// send passes the batch to the port.
func (s *Shard) send(q *queue) {
	if q.n == 0 {
		return
	}
	sent := q.port.Send(q.out[:q.n])
	for _, d := range q.out[:sent] {
		s.stats.TxPackets++
		s.stats.TxBytes += uint64(d.Len)
		if s.tap != nil {
			s.tapped[0] = d
			s.tap(true, q.link, s.tapped[:])
		}
		s.pool.TxDone(d.Frame)
		if !planted {
			s.pool.Release(d.Frame)
		}
	}
	// A port that takes less than its Room keeps us waiting, but loses nothing.
	q.n = copy(q.out[:], q.out[sent:q.n])
	if q.room -= sent; q.n > 0 {
		q.room = q.n
	}
}

// mirror takes a fresh frame for an answer to a packet, n bytes long, and
// writes the headers: it goes back where the packet came from, and so needs
// neither route nor neighbour, and a flood leaves nothing behind.
func (s *Shard) mirror(p *packet, n int) ([]byte, frame.Span, Drop) {
	ip, kind := ipv4Header, uint16(etherIPv4)
	if !p.src.Is4() {
		ip, kind = ipv6Header, etherIPv6
	}
	if ip+n > s.links[p.q.link].MTU {
		return nil, frame.Span{}, DropTxTooLong
	}
	b, d, drop := s.blank(p.q, etherHeader+ip+n)
	if drop != Carried {
		return nil, d, drop
	}
	putEthernet(b, p.from, s.links[p.q.link].MAC, kind)
	if ip == ipv4Header {
		putIPv4(b[etherHeader:], p.dst.Bytes(), p.src.Bytes(), p.proto, tcp.NotECT, n)
	} else {
		putIPv6(b[etherHeader:], p.dst.Bytes(), p.src.Bytes(), p.proto, tcp.NotECT, n, ttl)
	}
	return b[etherHeader+ip:], d, Carried
}

// answer sends a segment without payload and without a flow.
func (s *Shard) answer(p *packet, seg *tcp.Segment) Drop {
	n := seg.HeaderLen()
	b, d, drop := s.mirror(p, n)
	if drop != Carried {
		return drop
	}
	src, dst := tcp.Ports(p.body())
	seg.Put(b, dst, src)
	sum := checksum.Add(checksum.Pseudo(p.dst.Bytes(), p.src.Bytes(), protoTCP, n), checksum.Sum(b))
	binary.BigEndian.PutUint16(b[16:], ^sum)
	s.transmit(p.q, d)
	return Carried
}

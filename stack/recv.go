package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// receive takes one batch from each port.
func (s *Shard) receive() {
	for i := range s.queues {
		q := &s.queues[i]
		n := q.port.Recv(s.in[:])
		// A chain that did not fit may have been left behind.
		s.more = s.more || n > len(s.in)-frame.MaxChain
		for b := s.in[:n]; len(b) > 0; {
			k := 1
			for k < len(b) && b[k-1].Flags&frame.More != 0 {
				k++
			}
			s.input(q, b[:k])
			for _, d := range b[:k] {
				s.pool.Release(d.Frame)
			}
			b = b[k:]
		}
	}
}

// tcp demultiplexes a segment: a flow, a flow in TIME-WAIT, a SYN for a
// connection we have (MP_JOIN) or a port we listen on, or nobody.
func (s *Shard) tcp(p *packet) Drop {
	seg := &s.seg
	b := p.body()
	n, ok := seg.Parse(b)
	if !ok {
		return DropTCPHeader
	}
	seg.ECN = p.ecn
	seg.Data = s.payload(p, p.l4+n, p.end)
	seg.Len = uint32(p.length() - n)
	if !s.verify(p, b[:n], seg) {
		return DropTCPChecksum
	}
	t := &s.tuple
	t.Local, t.Remote = p.dst, p.src
	if t.RemotePort, t.LocalPort = tcp.Ports(b); t.RemotePort == 0 || t.LocalPort == 0 {
		return DropTCPPort
	}
	hash := s.hash(t)
	if id := s.lookup(t, hash); id != 0 {
		s.deliver(id, seg)
		return Carried
	}
	return s.stranger(p, seg, t, hash)
}

// deliver gives a flow its segment.
func (s *Shard) deliver(id uint32, seg *tcp.Segment) {
	fl := s.flows.at(id)
	if seg.Len > 0 && s.short() && !s.urgent(fl.f, seg) {
		seg.NoRoom = true
		s.stats.NoRoom++
	}
	s.set.Input(&s.env, fl.f, seg)
	if fl.half {
		s.ripen(fl)
	}
}

// payload names the bytes from (inclusive) to (exclusive) of a packet.
func (s *Shard) payload(p *packet, from, to int) []frame.Span {
	out, at := s.data[:0], 0
	for _, d := range p.spans {
		lo, hi := max(from-at, 0), min(to-at, int(d.Len))
		at += int(d.Len)
		if lo < hi {
			d.Off += uint16(lo)
			d.Len, d.Flags, d.Sum = uint16(hi-lo), 0, 0
			out = append(out, d)
		}
	}
	return out
}

// verify checks the checksum. The sums of the payload are kept in its spans:
// who sends them on, or needs them for a DSS checksum, does not read it again.
//
// A frame that never was on a wire may carry the sum of its pseudo-header only
// (not complemented): its sender left the rest to a NIC. On a virtual link that is
// taken as valid, and the payload's sum is left to whoever needs it first.
func (s *Shard) verify(p *packet, header []byte, seg *tcp.Segment) bool {
	pseudo := checksum.Pseudo(p.src.Bytes(), p.dst.Bytes(), protoTCP, p.length())
	if s.links[p.q.link].Virtual && same(binary.BigEndian.Uint16(header[16:]), pseudo) {
		s.stats.RxPartial++
		if len(seg.Data) > 0 {
			seg.Data[0].Flags |= frame.Partial
		}
		return true
	}
	sum, at := checksum.Add(pseudo, checksum.Sum(header)), 0
	for i := range seg.Data {
		d := &seg.Data[i]
		d.Sum = checksum.Sum(s.pool.Bytes(*d))
		d.Flags |= frame.SumKnown
		sum = checksum.Append(sum, at, d.Sum)
		at += int(d.Len)
	}
	return sum == 0xffff
}

// same compares ones-complement numbers: 0 has two forms.
func same(a, b uint16) bool { return a == b || a^b == 0xffff && (a == 0 || b == 0) }

// stranger takes a segment for which there is no flow: it is the business of a
// flow in TIME-WAIT, of a listener, or of nobody (CLOSED).
func (s *Shard) stranger(p *packet, seg *tcp.Segment, t *tcp.Tuple, hash uint32) Drop {
	listening := s.listensTo(t)
	if id := s.waits.lookup(t, hash); id != 0 {
		return s.late(p, seg, t, hash, id, listening)
	}
	if !listening {
		if seg.Flags&(tcp.SYN|tcp.ACK|tcp.RST|tcp.FIN) == tcp.SYN && s.isJoin(seg) {
			return s.syn(p, seg, t, hash, 0)
		}
		return s.refuse(p, seg)
	}
	if seg.Flags&tcp.ACK != 0 {
		if d, ok := s.redeem(seg, t, hash); ok {
			return d
		}
	}
	switch tcp.Listening(seg, &s.out) {
	case tcp.Open:
		return s.syn(p, seg, t, hash, 0)
	case tcp.Reply:
		return s.reset(p, &s.out, &s.resets)
	}
	return DropTCPNoFlow
}

// late takes a segment that met a flow in TIME-WAIT.
func (s *Shard) late(p *packet, seg *tcp.Segment, t *tcp.Tuple, hash, id uint32, listening bool) Drop {
	w := &s.waits.at(id).tw
	left := w.Left(s.env.Now)
	a := w.Input(&s.env, t, listening, seg, &s.out)
	if w.Left(s.env.Now) != left {
		s.waits.touch(id)
	}
	switch a {
	case tcp.Open:
		return s.syn(p, seg, t, hash, id)
	case tcp.Reply:
		return s.answer(p, &s.out)
	case tcp.Withhold:
		return DropTimeWaitLimit
	}
	return DropTimeWait
}

// refuse answers a segment that is for nobody by RST, not faster than a limit:
// what a flood of forged segments is worth.
func (s *Shard) refuse(p *packet, seg *tcp.Segment) Drop {
	if !tcp.Reset(seg, &s.out) {
		return DropTCPNoFlow
	}
	return s.reset(p, &s.out, &s.resets)
}

func (s *Shard) reset(p *packet, rst *tcp.Segment, limit *bucket) Drop {
	if !limit.take(s.env.Now) {
		return DropResetLimit
	}
	s.stats.Resets++
	return s.answer(p, rst)
}

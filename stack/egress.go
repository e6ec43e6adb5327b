package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

const (
	// segmentsPerVisit is how many segments a flow sends before the next one
	// has its turn: enough for a receiver's GRO to merge.
	segmentsPerVisit = 32
	// quantum is what a visit adds to a flow's deficit: as many full segments,
	// so that flows with small ones get their share in bytes over the rounds.
	quantum = segmentsPerVisit * 1460
	// segmentsPerTurn bounds what leaves a queue between two looks at what
	// came in: four batches.
	segmentsPerTurn = 4 * batch
	// retryTime is when a shard that found a ring full, or no frame, looks
	// again: a ring of 2048 drains in a few hundred microseconds.
	retryTime = 50 * tcp.Microsecond
)

// ready lines up a flow that may have something to send.
func (s *Shard) ready(id uint32) {
	fl := s.flows.at(id)
	if fl.f == 0 || fl.queued {
		return
	}
	n := s.neighbors.At(fl.hop)
	if !s.usable(fl.hop, n) {
		s.push(&n.held, id)
		return
	}
	s.push(&s.outlet(fl, n).fresh, id)
}

// outlet is the queue by which a flow leaves. A failed neighbour has no link:
// what is sent to it is lost anywhere.
func (s *Shard) outlet(fl *flow, n *neighbor) *queue {
	ports := uint32(len(s.links[n.link].Ports))
	return &s.queues[s.firstQueue[n.link]+int(fl.hash%ports)]
}

// drain lines up all flows that something happened to, those that are opened now among them.
func (s *Shard) drain() {
	s.act()
	for f, ok := s.set.NextDirty(&s.env); ok; f, ok = s.set.NextDirty(&s.env) {
		s.ready(f.Index())
	}
	for c, ok := s.set.NextDirtyConn(); ok; c, ok = s.set.NextDirtyConn() {
		s.wheel.set(timerID(timeConn, c.Index()), s.set.ConnDeadline(c))
	}
}

// emit lets the flows send what they have.
func (s *Shard) emit() {
	s.drain()
	for i := range s.queues {
		q := &s.queues[i]
		left := segmentsPerTurn
		for left > 0 && q.fresh.head != 0 && s.canSend(q) {
			left -= s.visit(q, s.shift(&q.fresh), true)
		}
		for left > 0 && q.bulk.head != 0 && s.canSend(q) {
			left -= s.visit(q, s.shift(&q.bulk), false)
		}
		s.send(q)
		q.port.Flush()
		switch {
		case q.fresh.head == 0 && q.bulk.head == 0 && q.n == 0:
		case left <= 0:
			s.more = true
		default:
			s.retry = true
		}
	}
}

// canSend asks before Output does: what it has named counts as sent.
func (s *Shard) canSend(q *queue) bool { return !q.full() && s.pool.Free() > 0 }

// visit lets one flow send. A fresh flow sends the ACKs it owes and at most one
// segment of data, then it lines up with the others. It returns how much work it was.
func (s *Shard) visit(q *queue, id uint32, fresh bool) (work int) {
	fl := s.flows.at(id)
	n := s.neighbors.At(fl.hop)
	if !s.usable(fl.hop, n) {
		s.push(&n.held, id)
		return 1
	}
	if fl.left == 0 {
		fl.begin()
	}
	seg := &s.out
	for work = 1; ; work++ {
		if !s.canSend(q) { // it is still its turn, with what is left of it
			s.unshift(q.line(fresh), id)
			return work
		}
		if !s.set.Output(&s.env, fl.f, seg) {
			fl.left, fl.deficit = 0, 0
			s.settle(id)
			return work
		}
		s.segment(q, fl, n, seg)
		fl.left--
		fl.deficit -= int32(seg.Len)
		if fresh && seg.Len > 0 || fl.left == 0 || fl.deficit <= 0 {
			fl.left = 0
			s.push(&q.bulk, id)
			return work
		}
	}
}

// begin is the start of a flow's visit. What it may send in bytes is carried over
// if it sent few, small segments; it does not pile up.
func (fl *flow) begin() {
	fl.left = segmentsPerVisit
	if fl.deficit <= 0 {
		fl.deficit += quantum
	}
}

func (q *queue) line(fresh bool) *list {
	if fresh {
		return &q.fresh
	}
	return &q.bulk
}

// settle looks at a flow that has nothing more to send now.
func (s *Shard) settle(id uint32) {
	fl := s.flows.at(id)
	tw, wait, over := s.set.Over(&s.env, fl.f)
	if !over {
		s.wheel.set(timerID(timeFlow, id), s.set.Deadline(fl.f))
		return
	}
	if wait && s.waits.enter(&fl.tuple, fl.hash, tw) {
		s.stats.TimeWaitEvicted++
	}
	s.dropFlow(id)
}

// segment sends what Output has named. The one rule of egress: if the payload is
// exactly one span, nothing else lives in its frame, no ring may still read it
// and there is room in front, the headers are written there. Otherwise it
// is copied into a fresh frame.
func (s *Shard) segment(q *queue, fl *flow, n *neighbor, seg *tcp.Segment) {
	tcpLen, ip := seg.HeaderLen(), ipv4Header
	if !fl.tuple.Local.Is4() {
		ip = ipv6Header
	}
	switch {
	case n.state == failed:
		s.lost(fl, seg)
		return
	case ip+tcpLen+int(seg.Len) > s.links[n.link].MTU:
		s.stats.Drops[DropTxTooLong]++
		return
	}
	headers := etherHeader + ip + tcpLen
	d, sum := s.load(seg, headers)
	d.Off -= uint16(headers)
	d.Len += uint16(headers)
	b := s.pool.Bytes(d)
	local, remote := fl.tuple.Local.Bytes(), fl.tuple.Remote.Bytes()
	if ip == ipv4Header {
		putEthernet(b, n.mac, s.links[n.link].MAC, etherIPv4)
		putIPv4(b[etherHeader:], local, remote, protoTCP, seg.ECN, tcpLen+int(seg.Len))
	} else {
		putEthernet(b, n.mac, s.links[n.link].MAC, etherIPv6)
		putIPv6(b[etherHeader:], local, remote, protoTCP, seg.ECN, tcpLen+int(seg.Len), ttl)
	}
	h := b[etherHeader+ip : headers]
	seg.Put(h, fl.tuple.LocalPort, fl.tuple.RemotePort)
	sum = checksum.Add(sum, checksum.Add(fl.sum, checksum.Sum(h)))
	sum = checksum.Add(sum, uint16(tcpLen+int(seg.Len)))
	binary.BigEndian.PutUint16(h[16:], ^sum)
	s.transmit(q, d)
}

// load brings the payload into a frame with room for n bytes of headers, and
// knows its sum. The caller holds the frame, for transmit.
func (s *Shard) load(seg *tcp.Segment, n int) (frame.Span, uint16) {
	if d, whole := s.nodes.Whole(seg.Run); whole && int(d.Off) >= n && s.pool.Writable(d.Frame) {
		if d.Flags&frame.SumKnown == 0 {
			d.Sum = checksum.Sum(s.pool.Bytes(d))
			d.Flags |= frame.SumKnown
			kept := &s.nodes.At(seg.Run.Node).Span // a retransmission need not read it again
			kept.Sum, kept.Flags = d.Sum, d.Flags
		}
		s.pool.Retain(d.Frame)
		s.stats.ZeroCopy++
		return d, d.Sum
	}
	f, ok := s.pool.Get()
	if !ok {
		panic("stack: a segment without a frame: canSend was not asked")
	}
	d := frame.Span{Frame: f, Off: headroom, Len: uint16(seg.Len)}
	if seg.Len == 0 {
		return d, 0
	}
	s.stats.Gathered++
	return d, s.nodes.Gather(s.pool, seg.Run, s.pool.Bytes(d))
}

package tcp

import "github.com/mpxd/mpxd/internal/frame"

// Send appends a span to the send queue (retaining its frame). Bytes with
// different marks never share a segment. False: the queue's limit is reached
// or the sending side is closed; nothing was taken.
func (c *Conn) Send(e *Env, d frame.Span, mark uint64) bool {
	switch c.state {
	case SynSent, SynRcvd, Established, CloseWait:
	default:
		return false
	}
	if c.has(shut) || uint32(d.Len) > c.Room() {
		return false
	}
	if d.Len == 0 {
		return true
	}
	d.Flags &= frame.SumKnown
	if c.fresh != 0 && e.Nodes.At(c.sndq.tail).Mark == mark && e.Join(c.sndq.tail, d, c.mss()) {
		c.sndEnd += Seq(d.Len) // the tail was never sent
		return true
	}
	id, n, ok := e.Nodes.Alloc()
	if !ok {
		return false
	}
	n.Span, n.Mark = e.Hold(c.sndq.tail, d), mark
	c.queue(e.Nodes, id)
	c.stall.Waits(e.Now, uint32(c.sndUna), uint32(c.sndEnd))
	return true
}

// queue appends a node to the send queue.
func (c *Conn) queue(ns *Nodes, id uint32) {
	n := ns.At(id)
	n.Seq = c.sndEnd
	c.sndq.insert(ns, c.sndq.tail, id)
	c.sndEnd += Seq(n.len())
	if c.fresh == 0 {
		c.fresh = id
	}
}

// Room is how many bytes Send still takes: what waits unsent is at most what
// the path takes in the next round trip, so that a slow peer does not make us
// keep what a fast one sends, and all that is kept is at most the buffer. A node
// counts for smallSpan bytes at least: tiny writes must not pin a frame each
// without end.
func (c *Conn) Room() uint32 {
	most := c.sndBuf
	if !c.has(ownCredit) {
		most = min(most, c.cc.Cwnd+c.ahead())
	}
	if c.has(shut) || c.sndq.nodes >= 64+most/smallSpan {
		return 0
	}
	kept, waits := uint32(c.sndEnd-c.sndUna), c.unsent()
	if c.state < Established {
		kept, waits = kept-1, kept-1 // the SYN
	}
	room := c.sndBuf - min(c.sndBuf, kept)
	if c.has(ownCredit) {
		return room
	}
	ahead := c.ahead()
	return min(room, ahead-min(ahead, waits))
}

// minAhead may wait unsent however small the congestion window is.
const minAhead = 64 << 10

// ahead is how much may wait unsent: as much again as is in flight, so that the
// window doubles in slow start without waiting for the application.
func (c *Conn) ahead() uint32 { return max(c.cc.Cwnd, minAhead) }

// unsent is how much waits.
func (c *Conn) unsent() uint32 { return uint32(c.sndEnd - c.sndNxt) }

// drained tells the writer, after n new bytes left, when half of what may wait
// has gone: an ACK that frees something may be long in coming.
func (c *Conn) drained(n uint32) {
	if half := c.ahead() / 2; c.unsent() < half && c.unsent()+n >= half {
		c.events |= Writable
	}
}

// Shut ends our sending side: a FIN follows what is queued.
func (c *Conn) Shut(e *Env) {
	if c.has(shut) || c.state == Closed {
		return
	}
	c.flags |= shut
	switch c.state {
	case SynSent:
		if c.sndq.head == 0 {
			c.finish(e, NoError) // RFC 9293, 3.10.4
			return
		}
	case Established:
		c.state = FinWait1
	case CloseWait:
		c.state = LastAck
	}
	c.queueFIN(e)
}

// queueFIN puts the FIN behind what is queued. Without a free node it is tried
// again when there is something to send or a timer fires.
func (c *Conn) queueFIN(e *Env) {
	id, n, ok := e.Nodes.Alloc()
	if !ok {
		if c.retryKind == retryNone {
			c.setRetry(retryPersist, e.Now+c.rto)
		}
		return
	}
	n.flags = fin
	c.queue(e.Nodes, id)
	c.stall.Waits(e.Now, uint32(c.sndUna), uint32(c.sndEnd))
	c.flags |= finQueued
}

// run is a piece of the send queue that makes a segment.
type run struct {
	Run
	seq  Seq
	last uint32 // its last node
	fin  bool
}

// cut makes the run of at most limit bytes that begins at node id. The nodes
// of a run are of one kind (all lost, or all never sent) and one mark.
//
// A span that nearly fills a segment goes alone, because then it can go
// without a copy; smaller ones are merged with followers that fit whole. Only
// a span that is too long is split. What such a split leaves over has to be
// copied anyway: it is filled up from the next span that is too long. What was sent in one segment is
// sent again in one.
func (c *Conn) cut(e *Env, id, limit uint32) (r run, ok bool) {
	n := e.Nodes.At(id)
	r.Node, r.last, r.seq = id, id, n.Seq
	if skip := c.sndUna.Sub(n.Seq); skip > 0 {
		// The peer acknowledged part of a span. It stays whole: another
		// holder may count on it.
		r.Off, r.seq = uint32(skip), c.sndUna
	}
	if n.flags&fin != 0 {
		r.fin = true
		return r, true
	}
	r.Len = uint32(n.Span.Len) - r.Off
	if r.Len > limit {
		r.Len = limit
		return r, c.split(e, id, r.Off+limit)
	}
	kind, mark, copied := n.flags&(lost|inFlight), n.Mark, e.Pool.Shared(n.Span.Frame)
	probe := limit > c.cc.MSS // it is filled, from however many nodes
	for next := n.Next; next != 0; next = n.Next {
		n = e.Nodes.At(next)
		if n.flags&(lost|inFlight|sacked) != kind {
			break
		}
		if n.flags&fin != 0 {
			r.fin, r.last = true, next
			break
		}
		if n.Mark != mark {
			break
		}
		size := uint32(n.Span.Len)
		if r.Len < limit && (size > limit && copied || probe && size > limit-r.Len) {
			if c.split(e, next, limit-r.Len) {
				r.Len, r.last = limit, next
			}
			break
		}
		small := probe || max(r.Len, size) < limit/2 || r.last != id && size < limit/2
		together := n.flags&joined != 0 // as they were sent before
		if !small && !together || r.Len+size > limit {
			break
		}
		r.Len += size
		r.last = next
	}
	return r, true
}

// split divides a node so that its first at bytes stay in it.
func (c *Conn) split(e *Env, id, at uint32) bool {
	tail, m, ok := e.Nodes.Alloc()
	if !ok {
		return false
	}
	n := e.Nodes.At(id)
	e.Pool.Retain(n.Span.Frame)
	e.Pool.Share(n.Span.Frame)
	m.Span, m.Seq, m.Mark, m.sent, m.stamp, m.flags = n.Span, n.Seq+Seq(at), n.Mark, n.sent, n.stamp, n.flags
	m.Span.Off += uint16(at)
	m.Span.Len -= uint16(at)
	m.Span.Flags, n.Span.Flags = 0, 0
	n.Span.Len = uint16(at)
	c.sndq.insert(e.Nodes, id, tail)
	switch {
	case n.flags&lost != 0:
		c.gone.insert(e.Nodes, id, tail)
	case n.flags&inFlight != 0:
		c.flight.insert(e.Nodes, id, tail)
	}
	return true
}

// transmitted notes that the nodes of a run were sent. probe: as one of the path's MTU.
func (c *Conn) transmitted(e *Env, r run, probe bool) {
	idle := c.sndUna == c.sndNxt
	for id := r.Node; ; {
		n := e.Nodes.At(id)
		if n.flags&(lost|inFlight) != 0 {
			n.flags |= again
			c.leave(e.Nodes, id)
		}
		n.sent = e.Now
		c.cc.rate.send(n, e.Now, c.pipe, idle)
		n.flags = n.flags&^(joined|doubtful|probing) | inFlight
		if probe {
			n.flags |= probing
		}
		if id != r.Node {
			n.flags |= joined
		}
		c.flight.insert(e.Nodes, c.flight.tail, id)
		c.pipe += n.len()
		if c.fresh == id {
			c.fresh = n.Next
			c.sndNxt = n.end()
		}
		if id == r.last {
			break
		}
		id = n.Next
	}
	c.lastOut = e.Now
}

// leave takes a node out of the list of those in flight or of lost ones.
func (c *Conn) leave(ns *Nodes, id uint32) {
	n := ns.At(id)
	switch {
	case n.flags&inFlight != 0:
		c.flight.remove(ns, id)
		c.pipe -= n.len()
	case n.flags&lost != 0:
		if c.goneHint == id {
			c.goneHint = n.prior
		}
		c.gone.remove(ns, id)
		c.goneBytes -= n.len()
	}
	n.flags &^= inFlight | lost
}

// lose moves a node from those in flight to the lost ones.
func (c *Conn) lose(ns *Nodes, id uint32) {
	n := ns.At(id)
	c.leave(ns, id)
	n.flags |= lost
	if n.flags&probing != 0 {
		c.probeLost(n)
	}
	c.lostEnd = later(c.lostEnd, n.end())
	c.gone.insert(ns, c.goneAfter(ns, n.Seq), id)
	c.goneHint = id
	c.goneBytes += n.len()
	c.cc.rate.lost += n.len()
}

// maxGoneWalk bounds the walk to a lost node's place. What is found lost at
// once is found in order.
const maxGoneWalk = 16

// goneAfter is the lost node behind which one at seq belongs: the lowest
// sequence number is sent again first (RFC 6675, 4, NextSeg), as the peer's
// application waits for it.
func (c *Conn) goneAfter(ns *Nodes, seq Seq) uint32 {
	at := c.gone.tail
	if at == 0 || ns.At(c.gone.head).Seq.After(seq) {
		return 0
	}
	if c.goneHint != 0 && distance(ns.At(c.goneHint).Seq, seq) < distance(ns.At(at).Seq, seq) {
		at = c.goneHint
	}
	for range maxGoneWalk {
		n := ns.At(at)
		switch {
		case n.Seq.After(seq):
			at = n.prior // not 0: the head lies before seq
		case n.after == 0 || ns.At(n.after).Seq.After(seq):
			return at
		default:
			at = n.after
		}
	}
	return at
}

// inFlight is how many bytes are in the network. A peer without SACK tells
// only how many segments arrived: one for each duplicate ACK.
func (c *Conn) inFlight() uint32 {
	if c.has(useSACK) {
		return c.pipe
	}
	return c.pipe - min(c.pipe, uint32(c.dupAcks)*c.cc.MSS)
}

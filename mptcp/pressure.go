package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// What a connection keeps, and what it can give back when frames are short.
// Connections are named by their index, so that a sweep can go over all of them,
// a few at a time.

// Indices is beyond the last index of a connection.
func (s *Set) Indices() uint32 { return max(s.conns.Top(), 1) }

// At is the connection at an index; 0: there is none.
func (s *Set) At(i uint32) Conn {
	h := s.conns.Handle(i)
	if s.conns.Get(h) == nil {
		return 0
	}
	return Conn(h)
}

// Walk is a walk over the queues of one connection.
type Walk struct {
	tcp.Walk
	list int // the queue it goes on with
}

// Begin makes it one over another connection.
func (w *Walk) Begin() { *w = Walk{Walk: tcp.Walk{Left: w.Left, Freed: w.Freed}} }

// Pack packs the spans of a connection's queues. False: the walk's budget was used up before
// the end, and it goes on when called again.
func (s *Set) Pack(e *tcp.Env, h Conn, w *Walk) bool {
	c := s.conn(h)
	if c == nil {
		return true
	}
	for ; ; w.list++ {
		head, ok := s.queue(c, w.list)
		if !ok {
			w.list = 0
			return true
		}
		if !e.Pack(head, &w.Walk) {
			return false
		}
	}
}

// queue is the first node of the connection's n-th queue. What is given to a subflow
// is held by two queues and is not moved. False: there are not so many.
func (s *Set) queue(c *conn, n int) (head uint32, ok bool) {
	switch n {
	case 0:
		return c.rq.head, true
	case 1:
		return c.ofo.head, true
	case 2:
		return c.sq.head, true
	}
	n -= 3
	for i := c.first; i != 0; n -= 4 {
		sf := s.flows.At(i)
		i = sf.next
		switch l := sf.tcp.Lists(); {
		case n < 3:
			return l[n], true
		case n == 3:
			return sf.pend.head, true
		}
	}
	return 0, false
}

// Prune drops what the peer was not told that it has arrived: out of the
// subflows' queues out of order. The connection's own holds only what was
// acknowledged on a subflow: that is kept, since peers do not send it again before a
// data-level timeout (RFC 8684, 3.3.6). It returns how many spans.
func (s *Set) Prune(e *tcp.Env, h Conn) (dropped uint32) {
	c := s.conn(h)
	if c == nil {
		return 0
	}
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		dropped += sf.tcp.Prune(e)
	}
	return dropped
}

// Stuck is for how long nothing has moved of what a connection keeps: its
// application does not read, its peer does not take, or does not fill a gap.
func (s *Set) Stuck(e *tcp.Env, h Conn) (t tcp.Time) {
	c := s.conn(h)
	if c == nil {
		return 0
	}
	if !c.plain {
		t = max(c.stall.Waited(e.Now), e.Nodes.Waits(c.ofo.head, e.Now))
	}
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		t = max(t, sf.tcp.Stuck(e))
	}
	return max(t, e.Nodes.Waits(c.rq.head, e.Now))
}

// Unread is for how long the oldest byte in order has been waiting for the
// application.
func (s *Set) Unread(e *tcp.Env, h Conn) tcp.Time {
	c := s.conn(h)
	if c == nil {
		return 0
	}
	t := e.Nodes.Waits(c.rq.head, e.Now)
	if sf := s.only(c); sf != nil && c.plain {
		t = max(t, sf.tcp.Unread(e))
	}
	return t
}

// Untaken is for how long the peer has not taken what waits for it.
func (s *Set) Untaken(e *tcp.Env, h Conn) tcp.Time {
	c := s.conn(h)
	if c == nil {
		return 0
	}
	if sf := s.only(c); sf != nil && c.plain {
		return sf.tcp.Untaken(e)
	}
	return c.stall.Waited(e.Now)
}

// Next reports whether a segment's payload is the next of its connection's
// stream, as far as its options tell: it fills the gap in front of what waits
// out of order.
func (s *Set) Next(f Flow, seg *tcp.Segment) bool {
	sf := s.flow(f)
	if sf == nil || seg.Seq.After(sf.tcp.Status().RcvNxt) {
		return false
	}
	c := s.owner(sf)
	if c.plain || c.ofo.head == 0 {
		return true
	}
	var o options
	o.parse(c.profile, seg.Raw[:seg.RawLen])
	if !o.is(subDSS) || o.dss.flags&dssMap == 0 {
		return true // the mapping came before
	}
	dsn := o.dss.dsn
	if o.dss.flags&dssDSN64 == 0 {
		dsn = expand(c.rcvNxt, uint32(dsn))
	}
	at := dsn + uint64(ssnOf(sf.irs, seg.Seq)-o.dss.ssn)
	return !after(at, c.rcvNxt)
}

// Shed ends a connection for want of frames, as Abort does.
func (s *Set) Shed(e *tcp.Env, h Conn) {
	if c := s.conn(h); c != nil {
		s.abort(e, c, tcp.Shed)
		c.rq.clear(e)
	}
}

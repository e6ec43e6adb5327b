package mptcp

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// conn is one connection. It lives in the Set's slab and holds no pointers.
type conn struct {
	self  uint32 // index in the slab
	first uint32 // head of the list of subflows
	user  uint32
	nsub  uint8
	event tcp.Event

	err tcp.Reason
	marked, queued,
	plain, // no MPTCP, or no longer: the one subflow is the connection
	connected,
	shut, // the application has no more to send
	released, // the application has let go
	peerDone, // the peer has no more to send
	over bool // both directions have ended, or err says why not

	rq fifo // in order, for Recv
}

// subflow is one TCP flow of a connection.
type subflow struct {
	tcp   tcp.Conn
	tuple tcp.Tuple
	self  uint32
	conn  uint32
	next  uint32
	marked,
	drained bool // Output had nothing more to say since the last input
}

func (s *Set) conn(c Conn) *conn           { return s.conns.Get(uint64(c)) }
func (s *Set) flow(f Flow) *subflow        { return s.flows.Get(uint64(f)) }
func (s *Set) connHandle(c *conn) Conn     { return Conn(s.conns.Handle(c.self)) }
func (s *Set) flowHandle(sf *subflow) Flow { return Flow(s.flows.Handle(sf.self)) }
func (s *Set) owner(sf *subflow) *conn     { return s.conns.At(sf.conn) }
func (s *Set) only(c *conn) *subflow {
	if c.first == 0 {
		return nil
	}
	return s.flows.At(c.first)
}

// open makes a connection with one subflow.
func (s *Set) open(t *tcp.Tuple) (*conn, *subflow, bool) {
	ci, c, ok := s.conns.Alloc()
	if !ok {
		return nil, nil, false
	}
	c.self, c.plain = ci, true
	sf, ok := s.attach(c, t)
	if !ok {
		s.conns.Free(ci)
		return nil, nil, false
	}
	return c, sf, true
}

// attach gives c one more subflow.
func (s *Set) attach(c *conn, t *tcp.Tuple) (*subflow, bool) {
	i, sf, ok := s.flows.Alloc()
	if !ok {
		return nil, false
	}
	sf.self, sf.conn, sf.tuple = i, c.self, *t
	sf.next, c.first = c.first, i
	c.nsub++
	return sf, true
}

// detach takes a subflow that is over out of its connection and frees it.
func (s *Set) detach(e *tcp.Env, sf *subflow) {
	c := s.owner(sf)
	s.pull(e, c, sf)
	sf.tcp.Free(e)
	for p := &c.first; *p != 0; p = &s.flows.At(*p).next {
		if *p == sf.self {
			*p = sf.next
			break
		}
	}
	c.nsub--
	s.flows.Free(sf.self)
	if c.nsub == 0 {
		s.reap(e, c)
	}
}

// pull moves what the application has not read yet from a dying flow.
func (s *Set) pull(e *tcp.Env, c *conn, sf *subflow) {
	for {
		d, _, ok := sf.tcp.Recv(e)
		if !ok {
			return
		}
		if c.released || c.err != tcp.NoError {
			e.Pool.Release(d.Frame)
		} else if _, ok := c.rq.push(e, d, 0); !ok {
			e.Pool.Release(d.Frame)
			c.err = tcp.Aborted
		}
	}
}

// reap frees a connection that nobody needs any more.
func (s *Set) reap(e *tcp.Env, c *conn) {
	if c.released && c.nsub == 0 {
		c.rq.clear(e)
		s.conns.Free(c.self)
	}
}

func (s *Set) markFlow(sf *subflow) {
	sf.drained = false
	if !sf.marked {
		sf.marked = true
		s.dirty.push(uint64(s.flowHandle(sf)))
	}
}

// tell queues events for the application.
func (s *Set) tell(c *conn, ev tcp.Event) {
	if ev == 0 || c.released {
		return
	}
	if c.event == 0 {
		s.events.push(uint64(s.connHandle(c)))
	}
	c.event |= ev
}

// settle follows a call that may have changed the flow.
func (s *Set) settle(e *tcp.Env, sf *subflow) {
	s.markFlow(sf)
	s.collect(e, sf)
}

// collect acts on what tcp tells of a flow.
func (s *Set) collect(e *tcp.Env, sf *subflow) {
	if ev := sf.tcp.Events(); ev != 0 {
		s.plainEvents(e, s.owner(sf), sf, ev)
	}
}

// plainEvents passes the events of the one subflow of a connection in fallback on.
func (s *Set) plainEvents(e *tcp.Env, c *conn, sf *subflow, ev tcp.Event) {
	if ev&tcp.Connected != 0 {
		c.connected = true
	}
	if ev&tcp.PeerClosed != 0 {
		c.peerDone = true
	}
	if ev&tcp.Readable != 0 && c.released {
		// The application let go: what it will never read must not be
		// acknowledged for ever (RFC 9293, 3.6.1; RFC 1122, 4.2.2.13).
		sf.tcp.Abort(e)
		s.markFlow(sf)
		ev |= sf.tcp.Events()
	}
	if ev&tcp.Finished != 0 {
		c.over = true
		if c.err == tcp.NoError {
			c.err = sf.tcp.Err()
		}
	}
	s.tell(c, ev&^tcp.Stalled)
}

// Send queues a span (retained); false: no Room or the sending side is closed.
func (s *Set) Send(e *tcp.Env, h Conn, d frame.Span) bool {
	c := s.conn(h)
	if c == nil || c.shut || c.released {
		return false
	}
	sf := s.only(c)
	if sf == nil || !sf.tcp.Send(e, d, 0) {
		return false
	}
	s.markFlow(sf)
	return true
}

// Room is how many bytes Send takes now.
func (s *Set) Room(h Conn) int {
	c := s.conn(h)
	if c == nil || c.shut || c.released {
		return 0
	}
	if sf := s.only(c); sf != nil {
		return int(sf.tcp.Room())
	}
	return 0
}

// Recv takes the next span of the stream; the caller now holds its frame.
func (s *Set) Recv(e *tcp.Env, h Conn) (frame.Span, bool) {
	c := s.conn(h)
	if c == nil || c.released {
		return frame.Span{}, false
	}
	if d, ok := c.rq.pop(e); ok {
		return d, true
	}
	sf := s.only(c)
	if sf == nil {
		return frame.Span{}, false
	}
	d, _, ok := sf.tcp.Recv(e)
	if ok {
		s.markFlow(sf) // the window may have opened
	}
	return d, ok
}

// Readable is how many bytes Recv would yield.
func (s *Set) Readable(h Conn) int {
	c := s.conn(h)
	if c == nil || c.released {
		return 0
	}
	n := int(c.rq.bytes)
	if sf := s.only(c); sf != nil {
		n += int(sf.tcp.Readable())
	}
	return n
}

// Shut ends our direction; what was sent before is still delivered.
func (s *Set) Shut(e *tcp.Env, h Conn) {
	if c := s.conn(h); c != nil && !c.shut {
		s.shutdown(e, c)
	}
}

func (s *Set) shutdown(e *tcp.Env, c *conn) {
	c.shut = true
	if sf := s.only(c); sf != nil {
		sf.tcp.Shut(e)
		s.settle(e, sf)
	}
}

// Abort ends both directions at once (MP_FASTCLOSE or RST).
func (s *Set) Abort(e *tcp.Env, h Conn) {
	c := s.conn(h)
	if c == nil {
		return
	}
	c.shut, c.over = true, true
	if c.err == tcp.NoError {
		c.err = tcp.Aborted
	}
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		sf.tcp.Abort(e)
		s.settle(e, sf)
	}
}

// Status: eof when the peer's direction has ended and everything was read; err when the connection failed; done
// when both directions are over (err NoError) or it failed.
func (s *Set) Status(h Conn) (eof, done bool, err tcp.Reason) {
	c := s.conn(h)
	if c == nil || c.released {
		return true, true, tcp.NoError
	}
	return c.peerDone && s.Readable(h) == 0, c.over || c.err != tcp.NoError, c.err
}

// Release says the application has no more interest: its handle dies, what was sent is still delivered, and the
// slot is freed when the last subflow is gone. What arrives from now on is discarded; a peer that goes on sending is reset.
func (s *Set) Release(e *tcp.Env, h Conn) {
	c := s.conn(h)
	if c == nil || c.released {
		return
	}
	unread := s.Readable(h) > 0
	c.released, c.event = true, 0
	if unread {
		s.Abort(e, h) // as RFC 1122, 4.2.2.13: the peer learns its data was not read
	} else if !c.shut {
		s.shutdown(e, c)
	}
	s.reap(e, c)
}

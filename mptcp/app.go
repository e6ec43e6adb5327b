package mptcp

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// The verbs of the application.

// Send queues a span (retained); false: no Room or the sending side is closed.
func (s *Set) Send(e *tcp.Env, h Conn, d frame.Span) bool {
	c := s.conn(h)
	if c == nil || c.shut || c.released || c.over {
		return false
	}
	if !c.plain {
		if uint32(d.Len) > c.sendRoom() {
			return false
		}
		if d.Len > 0 && !s.enqueue(e, c, d) {
			return false
		}
		s.await(c)
		return true
	}
	sf := s.only(c)
	if sf == nil || c.sq.head != 0 || !sf.tcp.Send(e, d, 0) {
		return false
	}
	s.markFlow(sf)
	return true
}

// Room is how many bytes Send takes now.
func (s *Set) Room(h Conn) int {
	c := s.conn(h)
	if c == nil || c.shut || c.released || c.over {
		return 0
	}
	if !c.plain {
		return int(c.sendRoom())
	}
	if sf := s.only(c); sf != nil && c.sq.head == 0 {
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
		if !c.plain {
			s.fit(e, c, uint32(d.Len))
			if c.opened(e) {
				s.update(c)
			}
		}
		return d, true
	}
	sf := s.only(c)
	if sf == nil || !c.plain {
		return frame.Span{}, false
	}
	d, _, ok := sf.tcp.Recv(e)
	if ok {
		s.markFlow(sf) // the window may have opened
	}
	return d, ok
}

// Pending is how many bytes, the end of our direction counted as one, the peer has not acknowledged.
func (s *Set) Pending(h Conn) int {
	c := s.conn(h)
	if c == nil || c.released {
		return 0
	}
	if !c.plain {
		n := int(c.sndEnd - min(c.sndUna, c.sndEnd))
		if c.shut && !c.finAcked {
			n++
		}
		return n
	}
	if sf := s.only(c); sf != nil {
		st := sf.tcp.Status()
		return int(c.sq.bytes) + int(st.Unsent+st.Unacked)
	}
	return int(c.sq.bytes)
}

// Readable is how many bytes Recv would yield.
func (s *Set) Readable(h Conn) int {
	c := s.conn(h)
	if c == nil || c.released {
		return 0
	}
	return s.readable(c)
}

func (s *Set) readable(c *conn) int {
	n := int(c.rq.bytes)
	if sf := s.only(c); sf != nil && c.plain {
		n += int(sf.tcp.Readable())
	}
	return n
}

// SetScheduler lets another scheduler choose from now on; false: there is none
// of that number, or no such connection.
func (s *Set) SetScheduler(h Conn, number uint8) bool {
	c := s.conn(h)
	if c == nil || number == 0 || int(number) >= len(schedulers) {
		return false
	}
	c.sched, c.memo = number, memo{}
	return true
}

// Shut ends our direction; what was sent before is still delivered.
func (s *Set) Shut(e *tcp.Env, h Conn) {
	if c := s.conn(h); c != nil && !c.shut {
		s.shutdown(e, c)
	}
}

func (s *Set) shutdown(e *tcp.Env, c *conn) {
	c.shut = true
	sf := s.only(c)
	switch {
	case sf == nil && c.plain:
	case c.plain:
		s.drainPlain(e, c, sf)
		s.collect(e, c, sf)
	default:
		s.await(c)
	}
}

// Abort ends both directions at once (MP_FASTCLOSE or RST).
func (s *Set) Abort(e *tcp.Env, h Conn) {
	if c := s.conn(h); c != nil {
		s.abort(e, c, tcp.Aborted)
	}
}

// Status: eof when the peer's direction has ended and everything was read; err when the connection failed; done
// when both directions are over (err NoError) or it failed.
func (s *Set) Status(h Conn) (eof, done bool, err tcp.Reason) {
	c := s.conn(h)
	if c == nil || c.released {
		return true, true, tcp.NoError
	}
	return c.peerDone && s.readable(c) == 0, c.over || c.err != tcp.NoError, c.err
}

// Release says the application has no more interest: its handle dies, what was sent is still delivered, and the
// slot is freed when the last subflow is gone. What arrives from now on is discarded; a peer that goes on sending is reset.
func (s *Set) Release(e *tcp.Env, h Conn) {
	c := s.conn(h)
	if c == nil || c.released {
		return
	}
	unread := s.readable(c) > 0 || c.ofo.head != 0
	c.released, c.event = true, 0
	c.rq.clear(e)
	switch {
	case unread && !c.over:
		s.abort(e, c, tcp.Aborted) // the peer must learn that it was not read (RFC 1122, 4.2.2.13)
	case !c.over:
		if sf := s.only(c); c.plain && sf != nil {
			sf.tcp.Orphan(e)
		} else if !c.plain {
			c.una, c.closeAt = c.sndUna, e.Now+linger
			s.markConn(c)
		}
		if !c.shut {
			s.shutdown(e, c)
		}
	}
	s.reap(e, c)
}

package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// fallback turns a connection whose options do not get through into plain TCP
// (RFC 8684, 3.7). That is possible only while the subflow's bytes are the
// connection's: it was never more than this subflow and nothing was sent
// twice. Otherwise the subflow is reset.
func (s *Set) fallback(e *tcp.Env, c *conn, sf *subflow) {
	if c.joined || c.resent || c.nsub != 1 || c.ofo.head != 0 || sf.stage > capableRcvd && sf.stage < established ||
		c.keyed && !s.linear(c, sf) {
		s.Count.FallbackFailed++
		s.kill(e, c, sf, Middlebox)
		return
	}
	s.Count.DssFallback++
	s.unwrapData(e, c, sf)
	s.unwrap(e, c, sf)
	s.drainPlain(e, c, sf)
}

// linear reports whether everything taken from the subflow is in the stream.
func (s *Set) linear(c *conn, sf *subflow) bool {
	_, idsn := c.profile.digest(c.remoteKey)
	at := uint32(c.rcvNxt - idsn - 1)
	if c.peerDone {
		at--
	}
	return at+sf.pend.bytes == sf.rd-1
}

// unwrap gives the flow back to itself.
func (s *Set) unwrap(e *tcp.Env, c *conn, sf *subflow) {
	s.unregister(c)
	c.plain, sf.stage = true, plain
	c.retransAt, c.probeAt, c.closeAt = tcp.Never, tcp.Never, tcp.Never
	s.clear(&sf.rx)
	s.clear(&sf.tx)
	s.clearAgain(c)
	sf.tcp.Reserve(0, 0)
	sf.tcp.Unwrap()
	if c.released {
		sf.tcp.Orphan(e)
	}
}

// unwrapData puts what was taken from the flow into the stream, and forgets
// what was given to it.
func (s *Set) unwrapData(e *tcp.Env, c *conn, sf *subflow) {
	for sf.pend.head != 0 {
		i := sf.pend.head
		sf.pend.unlink(e, i)
		c.rq.link(e, i)
	}
	if d := sf.held.d; d.Len > 0 {
		if _, ok := c.rq.push(e, d, 0); !ok {
			e.Pool.Release(d.Frame)
			s.abort(e, c, tcp.Aborted)
		}
		sf.held = spanAt{}
	}
	for c.sq.head != 0 && c.sq.head != c.cur {
		d, _ := c.sq.pop(e)
		e.Pool.Release(d.Frame)
	}
	if c.cur != 0 {
		n := e.Nodes.At(c.cur)
		if skip := uint32(c.sndNxt - n.Mark); skip > 0 {
			c.sq.bytes -= skip
			n.Span = cut(e.Pool, n.Span, skip, uint32(n.Span.Len)-skip)
		}
	}
	if c.rq.head != 0 {
		s.tell(c, tcp.Readable)
	}
}

// drainPlain gives the flow what the connection still queues.
func (s *Set) drainPlain(e *tcp.Env, c *conn, sf *subflow) {
	for c.sq.head != 0 && sf.tcp.Send(e, e.Nodes.At(c.sq.head).Span, 0) {
		d, _ := c.sq.pop(e)
		e.Pool.Release(d.Frame)
	}
	if c.sq.head == 0 && c.shut {
		sf.tcp.Shut(e)
	}
	s.markFlow(sf)
}

// onInfinite takes an infinite mapping: the peer falls back (RFC 8684, 3.7).
func (s *Set) onInfinite(e *tcp.Env, c *conn, sf *subflow) bool {
	s.Count.InfiniteMapRx++
	s.fallback(e, c, sf)
	return false
}

// plainEvents passes on the events of the one subflow of a connection in
// fallback.
func (s *Set) plainEvents(e *tcp.Env, c *conn, sf *subflow, ev tcp.Event) {
	if c.sq.head != 0 || c.shut {
		s.drainPlain(e, c, sf)
	}
	if ev&tcp.PeerClosed != 0 {
		c.peerDone = true
	}
	if ev&tcp.Finished != 0 {
		c.over = true
		if c.err == tcp.NoError {
			c.err = sf.tcp.Err()
		}
	}
	s.tell(c, ev&^(tcp.Stalled|tcp.Connected))
}

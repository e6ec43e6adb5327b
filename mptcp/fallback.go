package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// fallback turns a connection whose options do not get through into plain TCP
// (RFC 8684, 3.7). Where that is not possible any more the subflow is reset.
func (s *Set) fallback(e *tcp.Env, c *conn, sf *subflow, why *uint64) {
	if c.over {
		return // nothing is left to lose
	}
	switch {
	case s.revertible(c, sf):
		*why++
		s.cause = s.fellBack(why)
		s.revert(e, c, sf)
	case s.proving(c):
		sf.undecided = true
	default:
		s.Count.FallbackFailed++
		s.kill(e, c, sf, Middlebox)
	}
}

// revertible reports whether the bytes of the subflow are those of the
// connection: it was never more than this subflow, and nothing was sent twice,
// skipped or dropped.
func (s *Set) revertible(c *conn, sf *subflow) bool {
	if c.joined || c.resent || c.over || c.ofo.head != 0 || sf.gone || s.proving(c) {
		return false
	}
	return sf.stage <= capableRcvd || sf.stage == established && s.linear(c, sf)
}

// proving reports whether our first join has sent its third ACK. It decides
// whether the connection can still fall back: a peer that took it may have sent data
// there since, and one that fell back before resets it.
func (s *Set) proving(c *conn) bool {
	if c.joined {
		return false
	}
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.stage == preEstablished && !sf.gone {
			return true
		}
	}
	return false
}

// endJoins ends the joins in progress of a connection that falls back: it has
// no other subflow (RFC 8684, 3.7).
func (s *Set) endJoins(e *tcp.Env, c *conn) {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		sf.undecided = false
		if sf.joining() {
			s.kill(e, c, sf, Prohibited)
		}
	}
}

// decide does what waited for a join to succeed or to fail.
func (s *Set) decide(e *tcp.Env, c *conn) {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if !sf.undecided || s.proving(c) {
			continue
		}
		sf.undecided = false
		if sf.tcp.State() == tcp.CloseWait {
			s.peerClosed(e, c, sf)
		} else {
			s.fallback(e, c, sf, &s.Count.DssFallback)
		}
	}
}

// told is the fallback of a peer that has fallen back or is about to: it takes
// no more joins.
func (s *Set) told(e *tcp.Env, c *conn, sf *subflow, why *uint64) {
	if !c.joined {
		s.endJoins(e, c)
	}
	s.fallback(e, c, sf, why)
}

// linear reports whether everything taken from the subflow is in the stream. What
// came twice is not, and what comes twice without mapping cannot be told from news;
// only Linux's probes of a closed window, a byte that was there before, are known for
// what they are. So a lone byte without mapping may be one.
func (s *Set) linear(c *conn, sf *subflow) bool {
	if uint32(sf.held.d.Len)+sf.tcp.Readable() == 1 && (sf.probes > 0 || c.rq.head != 0 && !after(c.rcvEdge, c.rcvNxt)) {
		return false
	}
	_, idsn := c.profile.digest(c.remoteKey)
	at := uint32(c.rcvNxt - idsn - 1)
	if c.peerDone {
		at--
	}
	return at+sf.pend.bytes+sf.probes == sf.rd-1
}

// revert makes the only subflow the connection. A peer that spoke MPTCP is
// told by an infinite mapping: it may not have noticed (RFC 8684, 3.7: "in case
// the path drops options in one direction only").
func (s *Set) revert(e *tcp.Env, c *conn, sf *subflow) {
	s.endJoins(e, c)
	s.unwrapData(e, c, sf)
	s.unwrap(e, c, sf)
	if c.keyed && c.err == tcp.NoError {
		sf.reverted, sf.owesInfinite, sf.owesFail = true, true, false
		s.count(c, sf)
		sf.tcp.Reserve(onData, onData)
		sf.tcp.AckNow()
	}
	s.drainPlain(e, c, sf)
}

// count takes the bytes of a subflow that fell back for those of the stream:
// what a peer that does not know yet is told in DATA_ACKs.
func (s *Set) count(c *conn, sf *subflow) {
	_, idsn := c.profile.digest(c.remoteKey)
	at := expand(c.rcvNxt, uint32(idsn)+ssnOf(sf.irs, sf.tcp.Status().RcvNxt)-sf.probes)
	if after(at, c.rcvNxt) {
		c.rcvNxt = at
	}
}

// unwrap gives the flow back to itself.
func (s *Set) unwrap(e *tcp.Env, c *conn, sf *subflow) {
	s.unregister(c)
	c.plain, c.failed, sf.stage = true, false, plain
	c.retransAt, c.probeAt, c.closeAt, c.pathAt = tcp.Never, tcp.Never, tcp.Never, tcp.Never
	s.record(e, c, sf, Record{Kind: KindFallback, Code: uint8(s.cause)})
	s.cause = CauseHandshake
	s.clear(&sf.rx)
	if !sf.restarted {
		s.clear(&sf.tx)
	}
	s.clearAgain(c)
	sf.tcp.Reserve(0, 0)
	c.rcv.End(&e.Windows)
	sf.tcp.Unwrap(e)
	if !c.shut {
		s.tell(c, tcp.Writable) // what waited for a DATA_ACK waits no longer
	}
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
	if c.rq.head != 0 || sf.tcp.Readable() > 0 {
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

// unheard is how often a DATA_FIN is repeated to a peer that is heard and does
// not acknowledge it, and how many segments in a row without options say that
// they are stripped: an honest peer may leave the DATA_ACK out of some ACKs.
const unheard = 3

// note counts the segments that came without options. SACK blocks may have
// taken their room.
func (sf *subflow) note(seg *tcp.Segment, o *options) {
	sf.heard = true
	if int32(sf.bareEnd-sf.rd) < 0 {
		sf.bareEnd = sf.rd // it wraps
	}
	if end := ssnOf(sf.irs, seg.Seq) + seg.Len; o.has == 0 && seg.Len > 0 && int32(end-sf.bareEnd) > 0 {
		sf.bareEnd = end
	}
	switch {
	case o.has != 0:
		sf.bare = 0
	case seg.Opts.NSACK == 0 && sf.bare < 1<<8-1:
		sf.bare++
	}
}

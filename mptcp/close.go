package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// linger is how long a connection that the application released may be without
// progress.
const linger = 60 * tcp.Second

// finish ends a connection whose DATA_FINs were both acknowledged: the
// subflows are no longer needed (RFC 8684, 3.3.3).
func (s *Set) finish(e *tcp.Env, c *conn) {
	if c.over || !c.finAcked || !c.peerDone {
		return
	}
	c.over = true
	c.closeAt, c.retransAt, c.probeAt, c.pathAt = tcp.Never, tcp.Never, tcp.Never, tcp.Never
	s.tell(c, tcp.Finished)
	s.explainEnd(e, c)
	s.record(e, c, nil, Record{Kind: KindClosed})
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		sf.closing = true
		sf.tcp.Shut(e)
		s.markFlow(sf)
	}
}

// peerClosed takes the FIN of a subflow: it ends the subflow, not the
// connection (RFC 8684, 3.3.3).
func (s *Set) peerClosed(e *tcp.Env, c *conn, sf *subflow) {
	if sf.stage < established {
		s.kill(e, c, sf, ProtocolError)
		return
	}
	if sf.bare > 0 && s.proving(c) {
		sf.undecided = true
		return
	}
	if sf.bare > 0 && s.revertible(c, sf) {
		// Peers put a DATA_ACK on a FIN: the options are stripped, and this
		// is the end of the stream.
		s.Count.DssFinFallback++
		s.cause = CauseFin
		s.revert(e, c, sf)
		s.plainEvents(e, c, sf, tcp.PeerClosed)
		return
	}
	if !sf.closing {
		sf.closing, sf.unwanted = true, true
		s.reinject(c, sf, CauseEnded)
	}
	sf.tcp.Shut(e)
	s.markFlow(sf)
}

// lost takes leave of a subflow that has ended, however it did.
func (s *Set) lost(e *tcp.Env, c *conn, sf *subflow) {
	if sf.gone {
		return
	}
	sf.gone, sf.closing = true, true
	if sf.stage == joinRcvd {
		s.halfJoins--
	}
	if !c.plain && sf.joining() {
		s.decide(e, c)
	}
	if c.plain {
		return
	}
	s.reinject(c, sf, CauseEnded)
	s.parted(e, c, sf)
	if st := sf.tcp.Status(); s.wants(KindSample) {
		s.sampleNow(e, c, sf, &st)
	}
	s.record(e, c, sf, Record{Kind: KindSubClosed, ID: sf.remoteID, Addr: sf.tuple.Remote, Port: sf.tuple.RemotePort,
		Code: uint8(sf.reason), Values: [2]uint64{uint64(sf.tcp.Err())}})
	if c.over {
		return
	}
	if !c.keyed {
		s.fail(e, c, sf.tcp.Err())
		return
	}
	if c.finDue() {
		s.update(c) // it may have been under way there
	}
	for i := c.first; i != 0; {
		v := s.flows.At(i)
		i = v.next
		if !v.gone && v.stage >= preEstablished {
			return
		}
	}
	c.closeAt = min(c.closeAt, e.Now+s.conf.CloseTimeout)
}

// fail ends a connection for a reason.
func (s *Set) fail(e *tcp.Env, c *conn, why tcp.Reason) {
	if c.over {
		return
	}
	c.over, c.shut, c.err = true, true, why
	c.closeAt, c.retransAt, c.probeAt, c.pathAt = tcp.Never, tcp.Never, tcp.Never, tcp.Never
	s.tell(c, tcp.Finished)
	s.explainEnd(e, c)
	s.record(e, c, nil, Record{Kind: KindClosed, Code: uint8(why)})
}

// abort ends a connection at once; every subflow is reset. If it is we who end
// it the peer is told by MP_FASTCLOSE.
func (s *Set) abort(e *tcp.Env, c *conn, why tcp.Reason) {
	var speaker *subflow
	if c.fastclose = (why == tcp.Aborted || why == tcp.Shed) && c.keyed && !c.plain; c.fastclose && !c.over {
		speaker = s.speaker(c)
		c.fastclose = speaker == nil
	}
	s.fail(e, c, why)
	c.closeAt = tcp.Never // also when it was over: nobody is waited for
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		sf.closing = true
		if sf == speaker {
			s.fastclose(e, sf)
		} else {
			sf.tcp.Abort(e)
		}
		s.markFlow(sf)
	}
	c.cur = 0
	s.clearAgain(c)
	c.sq.clear(e)
	c.ofo.clear(e)
}

// kill resets a subflow; what it has not delivered goes to the others.
func (s *Set) kill(e *tcp.Env, c *conn, sf *subflow, why Reset) {
	if sf.gone {
		return
	}
	sf.reason, sf.owesReset = why, true
	sf.unwanted = sf.unwanted || why == ProtocolError || why == Prohibited || why == Middlebox
	sf.tcp.Abort(e)
	s.markFlow(sf)
	s.lost(e, c, sf)
}

// onReset takes the options of a RST that tcp obeyed.
func (s *Set) onReset(e *tcp.Env, c *conn, sf *subflow, o *options) {
	if o.is(subReset) {
		s.Count.MPRstRx++
		sf.reason, sf.transient, sf.unwanted = o.reset.reason, o.reset.transient, !o.reset.transient
	}
	if o.is(subFail) {
		s.Count.MPFailRx++
	}
	if o.is(subFastclose) && c.keyed {
		s.onFastclose(e, c, o)
	}
}

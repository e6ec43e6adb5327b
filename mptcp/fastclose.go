package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// An abort reaches the peer in one of two forms (RFC 8684, 3.5): MP_FASTCLOSE on
// the RSTs of all subflows, or on an ACK of one of them. Version 0 has the
// second only (RFC 6824, 3.5), and its peers do not look for options in a RST:
//
//	we                                    the peer
//	RST on the other subflows
//	       ACK with MP_FASTCLOSE -------->
//	                                      its connection is over
//	       <------------------------- RST
//
// The ACK is repeated until the RST comes, closeRetries times; then we send the RST.

const (
	// closeRetries is what RFC 6824, 3.5 recommends.
	closeRetries = 3
	// closeWait is the longest first wait for the answer.
	closeWait = tcp.Second
)

// onFastclose takes the peer's abort, which proves itself by our key
// (RFC 8684, 3.5).
func (s *Set) onFastclose(e *tcp.Env, c *conn, o *options) bool {
	if o.close != c.localKey {
		s.Count.MPFastcloseKey++
		return false
	}
	s.Count.MPFastcloseRx++
	s.abort(e, c, tcp.ResetByPeer)
	return true
}

// speaker is the subflow whose ACKs tell of an abort: of those that work the
// one with the shortest round trip. Nil: RSTs tell.
func (s *Set) speaker(c *conn) (best *subflow) {
	if c.profile != v0 && !s.conf.FastcloseACK {
		return nil
	}
	least := tcp.Never
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.stage != established || sf.gone || sf.stale && best != nil {
			continue
		}
		if rtt := sf.tcp.Status().SRTT; best == nil || best.stale || rtt < least {
			best, least = sf, rtt
		}
	}
	return best
}

// fastclose begins to tell of an abort on sf.
func (s *Set) fastclose(e *tcp.Env, sf *subflow) {
	sf.stage, sf.tries = fastclosing, 0
	sf.tcp.Reserve(onData, onAck)
	sf.tcp.AckNow()
	sf.ackAt = e.Now + min(sf.tcp.Status().RTO, closeWait)
}

// fastcloseAgain: no RST has come.
func (s *Set) fastcloseAgain(e *tcp.Env, sf *subflow) {
	if sf.tries++; sf.tries > closeRetries {
		s.Count.MPFastcloseMute++
		sf.tcp.Abort(e)
		return
	}
	sf.tcp.AckNow()
	sf.ackAt = e.Now + min(sf.tcp.Status().RTO, closeWait)<<sf.tries
}

// onFastclosing takes what comes on the subflow that tells of our abort: data
// of a peer that has not heard it is answered with it. When both abort, one RST
// ends it.
func (s *Set) onFastclosing(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	switch {
	case o.is(subFastclose) && o.close == c.localKey, seg.Flags&tcp.FIN != 0:
		sf.ackAt = tcp.Never
		sf.tcp.Abort(e)
	case seg.Len > 0:
		sf.tcp.AckNow()
	}
}

package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// IsJoin reports whether a SYN carries MP_JOIN: it is addressed by its token, whatever its port.
func IsJoin(syn *tcp.Segment) bool {
	if syn.RawLen == 0 || syn.Flags&(tcp.SYN|tcp.ACK) != tcp.SYN {
		return false
	}
	var o options
	o.parse(v1, syn.Raw[:syn.RawLen])
	return o.is(subJoin) && o.join.size == 12
}

// Join adds a subflow to the connection the SYN's token names. False: reset holds the RST to answer with
// (RFC 8684, 3.2); without the flag RST the SYN is dropped.
func (s *Set) Join(e *tcp.Env, t *tcp.Tuple, p tcp.Params, syn, reset *tcp.Segment) (Flow, bool) {
	s.Count.MPJoinSynRx++
	var o options
	o.parse(v1, syn.Raw[:syn.RawLen])
	c, why := s.admit(t, &o)
	switch {
	case c == nil && s.overtook(e.Now), c != nil && c.early():
		s.Count.MPJoinEarly++
		reset.Flags = 0
		return 0, false
	case why == Unspecified && s.flooded(e, c):
		s.Count.MPJoinFlood++
		reset.Flags = 0
		return 0, false
	}
	var sf *subflow
	var id uint8
	if why == Unspecified {
		var ok bool
		if id, ok = s.localID(c, &t.Local, t.LocalPort); ok {
			sf, ok = s.attach(c, t)
		}
		if !ok {
			why = LackOfResources
		}
	}
	if why != Unspecified {
		if tcp.Reset(syn, reset) && (c == nil || c.profile.explains()) {
			s.Count.MPRstTx++
			resetOption{reason: why, transient: why == LackOfResources}.put(reset)
		}
		return 0, false
	}
	sf.stage = joinRcvd
	s.halfJoins++
	sf.remoteNonce, sf.remoteID, sf.backup = o.join.nonce, o.join.id, o.join.backup
	sf.localNonce = uint32(e.Rand.Uint64())
	sf.localID = id
	p.RcvBuf, p.SndBuf, p.Wrapped = c.rcv.Limit(), c.sndBuf, true
	sf.tcp.Accept(e, t, p, syn)
	sf.tcp.Reserve(onData, 0)
	sf.begin()
	s.markFlow(sf)
	return s.flowHandle(sf), true
}

// admit finds the connection a join is for. Why is Unspecified if it may
// proceed.
func (s *Set) admit(t *tcp.Tuple, o *options) (c *conn, why Reset) {
	ci := uint32(0)
	if o.is(subJoin) && o.join.size == 12 {
		ci = s.tokens.get(o.join.token)
	}
	if ci == 0 {
		s.Count.MPJoinNoTokenFound++
		return nil, ProtocolError
	}
	c = s.conns.At(ci)
	if !c.keyed || c.plain || c.failed || c.over || c.released {
		s.Count.MPJoinRejected++
		return c, Prohibited
	}
	if s.conf.NoJoinInitial && c.profile != v0 && t.Local == c.tuple.Local && t.LocalPort == c.tuple.LocalPort {
		s.Count.MPJoinInitial++
		return c, Prohibited // our C flag said so (RFC 8684, 3.1)
	}
	if live, _ := s.census(c); live >= s.conf.MaxSubflows {
		s.Count.MPJoinRejected++
		return c, LackOfResources
	}
	return c, Unspecified
}

// early reports whether a join came before the third ACK of the first subflow,
// which it overtook: its SYN will come again.
func (c *conn) early() bool { return !c.keyed && !c.plain && !c.over && !c.released }

// census counts the subflows that are part of a connection, and those whose
// peer has not proved itself.
func (s *Set) census(c *conn) (live, half int) {
	for i := c.first; i != 0; i = s.flows.At(i).next {
		switch sf := s.flows.At(i); {
		case sf.gone:
		case sf.stage == joinRcvd:
			half++
		default:
			live++
		}
	}
	return live, half
}

// onJoinACK takes the third ACK of a join, which proves that the peer has the
// connection's keys.
func (s *Set) onJoinACK(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	if seg.Flags&tcp.SYN != 0 {
		return // the SYN again
	}
	switch {
	case !o.is(subJoin) || o.join.size != 24:
		s.Count.MPJoinNoOption++
		s.kill(e, c, sf, Middlebox)
	case !s.proved(c, sf, &o.join):
		s.Count.MPJoinAckHMacFailure++
		s.kill(e, c, sf, ProtocolError)
	case c.plain || c.failed || c.over:
		s.Count.MPJoinRejected++
		s.kill(e, c, sf, Prohibited)
	case s.full(c): // others that were half open had been faster
		s.Count.MPJoinRejected++
		s.kill(e, c, sf, LackOfResources)
	default:
		s.Count.MPJoinAckRx++
		s.joined(e, c, sf)
		sf.tcp.AckNow() // the fourth ACK: the peer waits for it
		s.onSegment(e, c, sf, seg, o)
	}
}

func (s *Set) full(c *conn) bool {
	live, _ := s.census(c)
	return live >= s.conf.MaxSubflows
}

// proved verifies the MAC of the third ACK: the leftmost 160 bits.
func (s *Set) proved(c *conn, sf *subflow, j *joinOption) bool {
	want := c.profile.joinMAC(c.remoteKey, c.localKey, sf.remoteNonce, sf.localNonce)
	return equal(want[:20], j.mac[:])
}

// equal compares in a time that does not depend on the bytes.
func equal(a, b []byte) bool {
	var diff byte
	for i := range a {
		diff |= a[i] ^ b[i]
	}
	return diff == 0
}

// joined makes a subflow one that carries data.
func (s *Set) joined(e *tcp.Env, c *conn, sf *subflow) {
	if sf.stage == joinRcvd {
		s.halfJoins--
	}
	sf.stage = established
	sf.ackAt = tcp.Never
	sf.ackSent = c.rcvNxt
	sf.tcp.Credit(0)
	c.joined, c.changed = true, true
	if !c.released {
		c.closeAt = tcp.Never
	}
	if p := s.aimOf(c, sf); p != nil {
		p.proven, p.tries = true, 0
	}
	s.echoed(c, sf.localID, &sf.tuple.Local) // it would not join what it does not know
	s.record(e, c, sf, Record{Kind: KindSubEstablished, ID: sf.remoteID, Addr: sf.tuple.Remote, Port: sf.tuple.RemotePort,
		Values: [2]uint64{uint64(sf.localID)}})
	s.decide(e, c)
	for i := c.first; i != 0; {
		v := s.flows.At(i)
		i = v.next
		v.tcp.Persevere(maxRTO, retries)
		if v.stale {
			s.reinject(c, v, CauseRejoined) // there was nothing to send it on
		}
	}
}

// With another path to go on, a silent one is asked every second, so that it
// is in use again within a second of its return, and for as long as any flow is
// (RFC 9293, 3.8.3: at least 100 s).
const (
	maxRTO  = tcp.Second
	retries = 100
)

// OpenSubflow begins a join of our own: one more subflow of a connection that
// both sides have confirmed (RFC 8684, 3.1: not before a DSS has come). id is our
// address's; 0: the one it has, or any.
func (s *Set) OpenSubflow(e *tcp.Env, h Conn, t *tcp.Tuple, p tcp.Params, id uint8, backup bool) (Flow, bool) {
	c := s.conn(h)
	if c == nil || !c.keyed || c.plain || c.failed || c.over || int(c.nsub) >= s.conf.MaxSubflows || !c.confirmed {
		return 0, false
	}
	if c.noJoin && t.Remote == c.tuple.Remote && t.RemotePort == c.tuple.RemotePort {
		return 0, false // the peer's C flag (RFC 8684, 3.1)
	}
	if id == 0 {
		var ok bool
		if id, ok = s.localID(c, &t.Local, t.LocalPort); !ok {
			return 0, false
		}
	}
	sf, ok := s.attach(c, t)
	if !ok {
		return 0, false
	}
	s.Count.MPJoinSynTx++
	sf.stage = joinSent
	sf.localID, sf.ownBackup = id, backup
	sf.localNonce = uint32(e.Rand.Uint64())
	p.RcvBuf, p.SndBuf, p.Wrapped = c.rcv.Limit(), c.sndBuf, true
	sf.tcp.Open(e, t, p)
	sf.tcp.Reserve(onData, 0)
	s.markFlow(sf)
	return s.flowHandle(sf), true
}

// onJoinSYNACK takes the answer to the SYN of our join.
func (s *Set) onJoinSYNACK(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	if sf.tcp.State() < tcp.Established {
		return
	}
	sf.begin()
	if !o.is(subJoin) || o.join.size != 16 {
		s.Count.MPJoinNoOption++
		s.kill(e, c, sf, Middlebox)
		return
	}
	sf.remoteNonce, sf.remoteID, sf.backup = o.join.nonce, o.join.id, o.join.backup
	want := c.profile.joinMAC(c.remoteKey, c.localKey, sf.remoteNonce, sf.localNonce)
	if !equal(want[:8], o.join.mac[:8]) {
		s.Count.MPJoinSynAckHMacFailure++
		s.kill(e, c, sf, ProtocolError)
		return
	}
	s.Count.MPJoinSynAckRx++
	sf.stage = preEstablished
	sf.ackAt = e.Now + e.Conf.InitialRTO
	sf.tcp.AckNow()
}

// joinRetries bounds the third ACKs of a join.
const joinRetries = 6

// againThird sends the third ACK of our join once more.
func (s *Set) againThird(e *tcp.Env, c *conn, sf *subflow) {
	sf.ackAt = tcp.Never
	if sf.tries++; sf.tries > joinRetries {
		s.kill(e, c, sf, Unspecified)
		return
	}
	sf.ackAt = e.Now + e.Conf.InitialRTO<<sf.tries
	sf.tcp.AckNow()
}

// onFourthACK: any ACK says that the third one came.
func (s *Set) onFourthACK(e *tcp.Env, c *conn, sf *subflow, o *options) bool {
	if c.plain || c.over {
		s.kill(e, c, sf, Prohibited)
		return false
	}
	s.joined(e, c, sf)
	return true
}

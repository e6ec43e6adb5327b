package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Input takes a segment of a flow, as tcp.Conn.Input. MPTCP options are acted
// on only if tcp finds the segment acceptable: a blind one must not move the
// DATA_ACK, close or remove anything (RFC 8684, 3).
func (s *Set) Input(e *tcp.Env, f Flow, seg *tcp.Segment) tcp.Verdict {
	sf := s.flow(f)
	if sf == nil {
		return tcp.Unacceptable
	}
	c := s.owner(sf)
	if sf.stage == plain {
		v := sf.tcp.Input(e, seg)
		if sf.reverted && v == tcp.Acceptable {
			s.afterwards(e, c, sf, seg)
		}
		s.settle(e, c, sf)
		return v
	}
	var o options
	o.parse(c.profile, seg.Raw[:seg.RawLen])
	s.Count.MalformedOptions += uint64(o.bad)
	if sf.stage == capableRcvd {
		s.beforeKey(e, c, sf, seg, &o)
	}
	seg.NoDup = seg.NoDup || s.signals(c, &o)
	if c.crowded() && sf.beyond(seg) {
		seg.NoRoom = true
		s.Count.RcvPressure++
	}
	if seg.Flags&tcp.SYN != 0 {
		sf.owesKeys = true // a SYN-ACK again: the third ACK was lost
	}
	v := sf.tcp.Input(e, seg)
	switch {
	case sf.stage == plain: // beforeKey found no MPTCP
	case v == tcp.Acceptable:
		s.options(e, c, sf, seg, &o)
	case s.missing(c, sf, seg):
		s.corrupt(e, c, sf, c.rcvNxt)
	case o.has != 0:
		s.Count.UnacceptableIgnore++
	}
	s.settle(e, c, sf)
	return v
}

// beyond reports whether the data of a segment leaves a hole in its subflow. What
// leaves none is taken however crowded it is: it may be what all the rest waits for,
// or stand before it.
func (sf *subflow) beyond(seg *tcp.Segment) bool {
	next := sf.rd + uint32(sf.held.d.Len) + sf.tcp.Readable()
	return seg.Len > 0 && int32(ssnOf(sf.irs, seg.Seq)-next) > 0
}

// signals reports whether the options of an ACK say anything that makes it no
// duplicate (RFC 8684, 3: "MUST NOT be treated as a signal of congestion").
func (s *Set) signals(c *conn, o *options) bool {
	if o.has&^(1<<subDSS) != 0 {
		return true
	}
	if !o.is(subDSS) {
		return false
	}
	return o.dss.flags&dssMap != 0 || o.dss.flags&dssAck != 0 && s.number(c, o) != c.sndUna
}

// number is the DATA_ACK of a DSS in 64 bits.
func (s *Set) number(c *conn, o *options) uint64 {
	if o.dss.flags&dssAck64 != 0 {
		return o.dss.ack
	}
	return expand(c.sndUna, uint32(o.dss.ack))
}

// options acts on the options of an acceptable segment, by the stage its
// subflow has reached.
func (s *Set) options(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	st := sf.tcp.Status()
	moved := st.SndUna != sf.una || st.Unacked == 0
	sf.una = st.SndUna
	sf.rcvScale, sf.sndScale = st.RcvWScale, st.SndWScale
	sf.measure(e.Now, &st)
	s.sample(e, c, sf, &st)
	s.couple(e, c)
	s.alive(e, sf, st.MinRTT)
	if moved && sf.stage == established {
		sf.patience(e.Now, &st)
	}
	if seg.Flags&tcp.RST != 0 {
		s.onReset(e, c, sf, o)
		return
	}
	switch sf.stage {
	case capableSent:
		s.onCapableSYNACK(e, c, sf, seg, o)
	case capableRcvd:
		s.onCapableACK(e, c, sf, seg, o)
	case joinSent:
		s.onJoinSYNACK(e, c, sf, seg, o)
	case joinRcvd:
		s.onJoinACK(e, c, sf, seg, o)
	case preEstablished, established:
		if seg.Flags&tcp.SYN == 0 {
			s.onSegment(e, c, sf, seg, o)
		}
	case fastclosing:
		s.onFastclosing(e, c, sf, seg, o)
	}
}

// onSegment is for subflows that carry data.
func (s *Set) onSegment(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	if sf.stage == preEstablished && !s.onFourthACK(e, c, sf, o) {
		return
	}
	sf.note(seg, o)
	if o.is(subJoin) && o.join.size == 24 {
		// The peer repeats its third ACK until it hears of it (RFC 8684, 3.2).
		s.Count.MPJoinAckAgain++
		sf.tcp.AckNow()
	}
	if o.is(subCapable) && o.cap.size >= 20 && o.cap.receiver == c.localKey {
		// The peer has not heard that we know its key.
		if !s.firstData(e, c, sf, o) {
			return
		}
	}
	if o.is(subFastclose) && s.onFastclose(e, c, o) {
		return
	}
	s.signalling(e, c, sf, o)
	if o.is(subFail) {
		s.onFail(e, c, sf)
		return
	}
	if s.dropping(c, sf) {
		s.dropHeld(e, c, sf)
		return
	}
	if o.is(subDSS) && !s.onDSS(e, c, sf, seg, o) {
		return
	}
	if !sf.answered && ssnOf(sf.iss, sf.una) > 1 && seg.Opts.NSACK == 0 { // SACK blocks leave a DSS no room
		// An ACK with an announcement alone leaves it to the next one: Linux
		// drops the DSS for it.
		if sf.answered = o.is(subDSS) || o.is(subCapable); !sf.answered && o.has == 0 {
			// Our first data was acknowledged without a word of MPTCP
			// (RFC 8684, 3.7).
			s.fallback(e, c, sf, &s.Count.DssFallback)
			return
		}
	}
	s.settled(c, sf)
	if o.has == 0 && s.stripped(sf, seg) && s.revertible(c, sf) {
		s.fallback(e, c, sf, &s.Count.DssFallback)
		return
	}
	if !s.pull(e, c, sf) {
		return
	}
	if s.unmapped(sf) && int32(sf.bareEnd-sf.rd) > 0 && (o.has == 0 && seg.Len > 0 || sf.rx.head == 0) {
		// Data that no mapping covers, and that came without options: they
		// are stripped. It may have waited behind a hole.
		s.fallback(e, c, sf, &s.Count.DssFallback)
	}
}

// stripped reports whether a segment without options filled a hole before the next
// mapping. It was not coalesced with another, which would have left it the options of one:
// it has lost its own on the way.
func (s *Set) stripped(sf *subflow, seg *tcp.Segment) bool {
	return seg.Len > 0 && ssnOf(sf.irs, seg.Seq) == sf.rd && sf.held.d.Len == 0 && sf.tcp.Readable() > 0 && s.covering(sf) == nil
}

// unmapped reports whether the subflow has data in order without mapping.
func (s *Set) unmapped(sf *subflow) bool {
	return sf.held.d.Len > 0 && s.covering(sf) == nil || sf.tcp.Readable() > 0 && s.covering(sf) == nil
}

// onDSS takes DATA_ACK, mapping and DATA_FIN. It reports whether the subflow
// is still good.
func (s *Set) onDSS(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) bool {
	d := &o.dss
	if d.flags&dssAck != 0 {
		if !sf.confirmed {
			sf.confirmed, c.confirmed, c.changed = true, true, true
		}
		ack := s.number(c, o)
		// The window is relative to the DATA_ACK (RFC 8684, 3.3.4).
		s.acked(e, c, ack, ack+uint64(seg.Wnd)<<sf.sndScale)
	}
	if d.flags&dssMap == 0 {
		return true
	}
	dsn := d.dsn
	if c.short = d.flags&dssDSN64 == 0; c.short {
		dsn = expand(c.rcvNxt, uint32(dsn))
	}
	if d.length == 0 {
		s.onInfinite(e, c, sf, seg, d, dsn)
		return false
	}
	if c.failed {
		return true // its infinite mapping will place everything
	}
	if d.sum != c.csum {
		s.Count.DSSChecksumForm++
		s.kill(e, c, sf, ProtocolError) // RFC 8684, 3.3
		return false
	}
	n := uint32(d.length)
	if d.flags&dssFin != 0 {
		n-- // the last DSN is the DATA_FIN's
		defer s.dataFin(e, c, sf, dsn+uint64(n))
	}
	if n == 0 {
		return true
	}
	return s.onMapping(e, c, sf, mapping{dsn: dsn, ssn: d.ssn, len: n, wire: d.length, csum: d.csum, sum: d.sum})
}

// onMapping enters a mapping; a contradiction ends the subflow.
func (s *Set) onMapping(e *tcp.Env, c *conn, sf *subflow, m mapping) bool {
	switch s.declare(sf, m) {
	case useless:
		s.Count.DSSNoMatchTCP++
	case overflow:
		s.Count.DSSOverflow++
	case conflict:
		s.Count.DSSNotMatching++
		s.kill(e, c, sf, ProtocolError)
		return false
	}
	return true
}

// alive notes that the peer was heard on a subflow, whose least round trip is
// rtt, and whether it confirmed anything.
func (s *Set) alive(e *tcp.Env, sf *subflow, rtt tcp.Time) {
	if sf.stale && sf.una != sf.staleUna {
		sf.stale = false
		sf.freshUntil = e.Now + freshFor
		s.Count.SubflowRecover++
	}
	// What comes within a round trip may have been sent before we asked.
	if sf.suspect && e.Now >= sf.suspectAt-silence+rtt {
		sf.suspect, sf.suspectAt = false, tcp.Never
		s.Count.RmAddrKept++
	}
}

// settle follows a call that may have changed a flow: it acts on what tcp
// tells of it, schedules, and puts it in the list of dirty flows.
func (s *Set) settle(e *tcp.Env, c *conn, sf *subflow) {
	s.markFlow(sf)
	s.collect(e, c, sf)
	if c.plain {
		return
	}
	s.finish(e, c)
	if c.changed {
		s.manage(e, c)
	}
	s.await(c)
}

// collect acts on what tcp tells of a flow.
func (s *Set) collect(e *tcp.Env, c *conn, sf *subflow) {
	ev := sf.tcp.Events()
	if ev == 0 {
		return
	}
	if ev&tcp.Connected != 0 && !c.connected {
		c.connected = true
		s.tell(c, tcp.Connected)
	}
	if sf.stage == plain {
		s.plainEvents(e, c, sf, ev)
		return
	}
	if ev&tcp.Stalled != 0 {
		s.stalled(c, sf)
	}
	if ev&tcp.PeerClosed != 0 {
		s.peerClosed(e, c, sf)
	}
	if ev&tcp.Finished != 0 {
		s.lost(e, c, sf)
	}
}

// stalled takes a subflow out of use until it makes progress, and sends what
// it has not delivered on the others (RFC 8684, 3.3.6). Without others it is left
// to tcp: what is sent twice on one subflow only comes later.
func (s *Set) stalled(c *conn, sf *subflow) {
	if !sf.usable() {
		return
	}
	if !sf.stale {
		sf.stale, sf.staleUna = true, sf.una
		s.Count.SubflowStale++
	}
	if s.usableBut(c, sf) > 0 {
		s.reinject(c, sf, CauseStalled)
	}
}

package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Option bytes kept free: the longest DSS, padded, and one with a DATA_ACK
// only.
const (
	onData = 28
	onAck  = 12
)

// Output names the flow's next segment, as tcp.Conn.Output, and adds the
// MPTCP options.
func (s *Set) Output(e *tcp.Env, f Flow, seg *tcp.Segment) bool {
	sf := s.flow(f)
	if sf == nil {
		return false
	}
	c := s.owner(sf)
	if sf.stage == plain {
		ok := sf.tcp.Output(e, seg)
		if !ok && sf.owesFail && !sf.gone {
			sf.tcp.AckNow() // data took the ACK along
			ok = sf.tcp.Output(e, seg)
		}
		if ok && (sf.reverted || sf.owesInfinite || sf.owesFail) {
			s.infinite(c, sf, seg)
		}
		sf.drained = !ok
		s.collect(e, c, sf)
		return ok
	}
	s.prepare(e, c, sf)
	ok := sf.tcp.Output(e, seg)
	if !ok && sf.usable() && (c.cur != 0 || c.again != 0) {
		// What it was given is gone; is there more for it?
		s.push(e, c)
		ok = sf.tcp.Output(e, seg)
	}
	if !ok && sf.owesFin && sf.usable() && c.finDue() {
		sf.owesFin = false
		sf.tcp.AckNow()
		ok = sf.tcp.Output(e, seg)
	}
	if !ok && (sf.owesEcho || sf.owesSignal || sf.owesPrio) && sf.usable() && !c.failed && !s.tellsKeys(c, sf) {
		sf.tcp.AckNow() // data took the ACK along
		s.prepare(e, c, sf)
		ok = sf.tcp.Output(e, seg)
	}
	if ok {
		s.decorate(c, sf, seg)
		if c.joined && seg.Len > 0 && sf.ackAt == tcp.Never && !sf.stale {
			st := sf.tcp.Status()
			sf.patience(e.Now, &st)
		}
	}
	sf.drained = !ok
	s.collect(e, c, sf)
	return ok
}

// prepare tells tcp the window and how much room for options an ACK needs.
func (s *Set) prepare(e *tcp.Env, c *conn, sf *subflow) {
	if sf.stage != established {
		return
	}
	need := 0
	switch {
	case c.finDue():
		need = onData
	case sf.owesFail:
		need = 12 + onAck
	case sf.owesEcho, sf.owesSignal:
		need = onData
	case sf.owesPrio:
		need = 4 + onAck
	case s.tellsKeys(c, sf):
		need = 20
	case c.rcvNxt != sf.ackSent || !sf.confirmed:
		need = onAck
	}
	sf.tcp.Reserve(onData, need)
	sf.tcp.SetWindow(tcp.RoundWindow(c.window(e), c.free(e), c.rcv.Size(), sf.rcvScale), c.rcv.Limit())
}

// decorate adds the MPTCP options to a segment that leaves.
func (s *Set) decorate(c *conn, sf *subflow, seg *tcp.Segment) {
	switch {
	case seg.Flags&tcp.RST != 0:
		s.onRST(c, sf, seg)
	case seg.Flags&tcp.SYN != 0:
		s.onSYN(c, sf, seg)
	case sf.stage == preEstablished:
		mac := c.profile.joinMAC(c.localKey, c.remoteKey, sf.localNonce, sf.remoteNonce)
		j := joinOption{size: 24}
		copy(j.mac[:], mac[:])
		if room(seg) >= 24 {
			j.put(seg)
		}
	case sf.stage == fastclosing:
		if room(seg) >= 12 {
			s.Count.MPFastcloseTx++
			putFastclose(seg, c.remoteKey)
		}
	case sf.stage != established:
	case seg.Len > 0:
		s.onPayload(c, sf, seg)
	default:
		s.onPureACK(c, sf, seg)
	}
}

// onSYN adds the option of the handshake.
func (s *Set) onSYN(c *conn, sf *subflow, seg *tcp.Segment) {
	if sf.syns < 255 {
		sf.syns++
	}
	k := s.mpCapable(c, 4)
	switch sf.stage {
	case capableSent:
		if sf.syns > plainSYN {
			return
		}
		if c.profile == v0 {
			k.size, k.sender = 12, c.localKey
		}
		k.put(seg)
	case capableRcvd, established:
		if sf.localNonce == 0 && seg.Flags&tcp.ACK != 0 {
			k.size, k.sender = 12, c.localKey
			k.put(seg)
		}
	case joinSent:
		token, _ := c.profile.digest(c.remoteKey)
		j := joinOption{size: 12, backup: sf.ownBackup, id: sf.localID, token: token, nonce: sf.localNonce}
		j.put(seg)
	case joinRcvd:
		mac := c.profile.joinMAC(c.localKey, c.remoteKey, sf.localNonce, sf.remoteNonce)
		j := joinOption{size: 16, backup: sf.ownBackup, id: sf.localID, nonce: sf.localNonce}
		copy(j.mac[:8], mac[:])
		j.put(seg)
	}
}

// onRST says why.
func (s *Set) onRST(c *conn, sf *subflow, seg *tcp.Segment) {
	if c.fastclose {
		s.Count.MPFastcloseTx++
		putFastclose(seg, c.remoteKey)
	}
	if sf.owesFail {
		s.Count.MPFailTx++
		putFail(seg, sf.failDSN)
	}
	if sf.owesReset && c.profile.explains() && room(seg) >= 4 {
		s.Count.MPRstTx++
		resetOption{reason: sf.reason}.put(seg)
	}
}

// onPayload adds the mapping of the segment's burst, unchanged on each of its
// segments, so that the peer's GRO can merge them.
func (s *Set) onPayload(c *conn, sf *subflow, seg *tcp.Segment) {
	m := s.maps.Get(seg.Mark)
	if m == nil {
		return
	}
	if c.profile != v0 && c.active && !sf.confirmed && !c.joined && m.ssn == 1 && seg.Seq == sf.iss+1 {
		// The first data repeats the keys and is mapped by its length
		// (RFC 8684, 3.1).
		k := s.mpCapable(c, 22)
		k.sender, k.receiver, k.length = c.localKey, c.remoteKey, m.wire
		if c.csum {
			k.csum, k.size = m.csum, 24
		}
		k.put(seg)
		return
	}
	d := dssOption{flags: dssMap | s.dsnWidth(c), dsn: m.dsn, ssn: m.ssn, length: m.wire, csum: m.csum, sum: m.sum}
	s.putDSS(c, sf, seg, &d)
}

// onPureACK adds to a segment without payload what is due: an echo in an ACK
// of its own, the DATA_FIN, the keys, or the DATA_ACK.
func (s *Set) onPureACK(c *conn, sf *subflow, seg *tcp.Segment) {
	switch {
	case s.tellsKeys(c, sf) && room(seg) >= 20:
		// The third ACK (RFC 8684, 3.1).
		k := s.mpCapable(c, 20)
		k.sender, k.receiver = c.localKey, c.remoteKey
		k.put(seg)
		sf.owesKeys = false
		if c.finDue() {
			sf.tcp.AckNow()
		}
	case sf.owesFail && room(seg) >= 12:
		s.Count.MPFailTx++
		putFail(seg, sf.failDSN)
		s.putDSS(c, sf, seg, &dssOption{})
	case c.rcvNxt == sf.ackSent && (sf.owesEcho && s.putEcho(c, sf, seg) || sf.owesSignal && s.putSignal(c, sf, seg)):
		// What acknowledges data tells its DATA_ACK first: an ACK of the first
		// data without one is a sign of fallback (RFC 8684, 3.7).
	case sf.owesPrio && room(seg) >= 4:
		s.Count.MPPrioTx++
		sf.owesPrio = false
		prioOption{backup: sf.ownBackup}.put(seg)
		s.putDSS(c, sf, seg, &dssOption{})
	case c.finDue() && room(seg) >= onData:
		sf.owesFin = false
		d := dssOption{flags: dssMap | s.dsnWidth(c) | dssFin, dsn: c.sndEnd, length: 1, sum: c.csum}
		d.csum = ^pseudo(&mapping{dsn: d.dsn, wire: 1})
		s.putDSS(c, sf, seg, &d)
	default:
		// Where SACK blocks leave no room the DATA_ACK can wait: it says
		// nothing new (RFC 8684, 3.3.2), or prepare had kept the room.
		s.putDSS(c, sf, seg, &dssOption{})
		if (sf.owesEcho || sf.owesSignal) && c.rcvNxt == sf.ackSent {
			sf.tcp.AckNow()
		}
	}
}

// tellsKeys reports whether an ACK is to carry both keys: the server may not
// know ours yet. With a DATA_FIN under way they take turns. Of version 0 it knows ours
// since the SYN, and sees by the third ACK that options get through: one tells
// them, and another one if the SYN-ACK comes again.
func (s *Set) tellsKeys(c *conn, sf *subflow) bool {
	if !c.active || sf.confirmed || c.joined || sf.stage != established {
		return false
	}
	if c.profile == v0 {
		return sf.owesKeys
	}
	return sf.tx.n == 0 && (sf.owesKeys || !c.finDue())
}

// untold reports whether the third ACK of version 0 has not left: no data goes
// before it, which would come without the keys.
func (s *Set) untold(c *conn) bool {
	return c.profile == v0 && c.nsub == 1 && s.tellsKeys(c, s.only(c))
}

// dsnWidth is the flag of a DSN's width.
func (s *Set) dsnWidth(c *conn) uint8 {
	if c.active && c.profile == v0 && s.conf.Short {
		return 0
	}
	return dssDSN64
}

// putDSS adds the DATA_ACK to d and writes it, if there is room. A peer that
// sends 64-bit DSNs gets 64-bit DATA_ACKs (RFC 8684, 3.3.2).
func (s *Set) putDSS(c *conn, sf *subflow, seg *tcp.Segment, d *dssOption) {
	d.flags |= dssAck
	d.ack = c.rcvNxt
	if !c.short && s.dsnWidth(c) != 0 {
		d.flags |= dssAck64
	}
	if d.size() > room(seg) {
		return
	}
	d.put(seg)
	sf.ackSent = c.rcvNxt
	if edge := c.rcvNxt + uint64(seg.Wnd)<<sf.rcvScale; after(edge, c.rcvEdge) {
		c.rcvEdge = edge
	}
}

package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// capable prepares a connection whose SYN offered MP_CAPABLE, or is to offer
// it: the key is drawn until its token is ours. False: none was found, and it
// stays plain TCP.
func (s *Set) capable(e *tcp.Env, c *conn, sf *subflow, p profile, st stage) bool {
	key, token, idsn, ok := s.draw(e, p)
	if !ok {
		s.Count.MPFallbackTokenInit++
		return false
	}
	s.adopt(e, c, sf, p, st, key, token, idsn)
	return true
}

// adopt makes a connection one of MPTCP, with our key.
func (s *Set) adopt(e *tcp.Env, c *conn, sf *subflow, p profile, st stage, key uint64, token uint32, idsn uint64) {
	c.profile, c.localKey, c.plain = p, key, false
	s.register(c, token)
	c.sndUna, c.sndNxt, c.sndEnd, c.wndEnd = idsn+1, idsn+1, idsn+1, idsn+1
	c.rto = e.Conf.InitialRTO
	sf.stage = st
}

// offered decides about the MP_CAPABLE k of a SYN.
func (s *Set) offered(e *tcp.Env, c *conn, sf *subflow, k *capableOption) {
	p, ok := chosen(k)
	if !ok {
		s.Count.MPCapableIgnored++
		return
	}
	s.Count.MPCapableSYNRX++
	if s.capable(e, c, sf, p, capableRcvd) {
		s.agreed(c, k)
		c.csum = c.csum || s.conf.Checksum
		c.remoteKey = k.sender // of version 0
		s.record(e, c, sf, Record{Kind: KindCreated, Addr: c.tuple.Remote, Port: c.tuple.RemotePort, Values: [2]uint64{uint64(c.token)}})
	}
}

// agreed takes the flags of the peer's MP_CAPABLE: either side may ask for
// checksums, and for no joins to the address and port of the initial subflow
// (RFC 8684, 3.1).
func (s *Set) agreed(c *conn, k *capableOption) {
	c.csum = c.csum || k.flags&capChecksum != 0
	c.noJoin = c.profile != v0 && k.flags&capNoJoin != 0
}

// mpCapable is an MP_CAPABLE of ours without keys.
func (s *Set) mpCapable(c *conn, size uint8) capableOption {
	k := capableOption{version: uint8(c.profile), flags: capHMAC, size: size}
	if c.csum {
		k.flags |= capChecksum
	}
	if s.conf.NoJoinInitial && c.profile != v0 {
		k.flags |= capNoJoin
	}
	return k
}

// begin notes a subflow's initial sequence numbers once tcp knows them.
func (sf *subflow) begin() {
	st := sf.tcp.Status()
	sf.iss, sf.irs, sf.una, sf.staleUna = st.ISS, st.IRS, st.SndUna, st.SndUna
	sf.rcvScale, sf.sndScale = st.RcvWScale, st.SndWScale
}

// keyKnown completes the connection's half of the handshake.
func (s *Set) keyKnown(e *tcp.Env, c *conn, sf *subflow, key uint64) {
	_, idsn := c.profile.digest(key)
	c.remoteKey, c.keyed = key, true
	c.rcvNxt = idsn + 1
	c.rcvEdge = c.rcvNxt
	sf.ackSent = c.rcvNxt
	sf.stage = established
	sf.tcp.Credit(0) // from now on the connection's window rules
	s.Count.MPCurrEstab++
	c.changed = true
	s.record(e, c, sf, Record{Kind: KindEstablished, Addr: c.tuple.Remote, Port: c.tuple.RemotePort, Values: [2]uint64{uint64(c.token)}})
}

// beforeKey looks at a segment before tcp does, while the peer's key is not
// known.
func (s *Set) beforeKey(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	if seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN && seg.Seq == sf.irs && !o.is(subCapable) {
		// The peer tries again without: middleboxes may drop SYNs with
		// options they do not know (RFC 8684, 3.9.3).
		s.Count.MPCapablePlainSYN++
		s.unwrap(e, c, sf)
		return
	}
	if c.profile != v0 && !o.is(subCapable) && o.is(subDSS) && o.dss.flags&dssMap != 0 && o.dss.flags&dssDSN64 == 0 {
		// 32 bits of a DSN cannot be placed without the IDSN, which follows
		// from the key. The peer will send the data again.
		s.Count.DSSUnknownKey++
		seg.NoRoom = true
	}
}

// onCapableACK takes a segment while we wait for the third ACK, which brings
// the peer's key, or for the first data, which repeats it.
func (s *Set) onCapableACK(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	if seg.Flags&tcp.SYN != 0 {
		return
	}
	if c.profile == v0 {
		s.onThirdACK(e, c, sf, seg, o)
		return
	}
	if o.is(subCapable) && o.cap.size >= 20 {
		if o.cap.receiver != c.localKey || o.cap.flags&capExtension != 0 || o.cap.flags&capHMAC == 0 {
			s.fallback(e, c, sf, &s.Count.MPCapableFallbackACK) // RFC 8684, 3.1: not what we agreed on
			return
		}
		s.Count.MPCapableACKRX++
		s.keyKnown(e, c, sf, o.cap.sender)
		if !s.firstData(e, c, sf, o) {
			return
		}
		c.wndEnd = c.sndUna + uint64(seg.Wnd)<<sf.sndScale
		s.onSegment(e, c, sf, seg, o)
		return
	}
	early := seg.Len > 0 && seg.Seq != sf.irs+1
	switch {
	case sf.tcp.Readable() > 0, o.has == 0 && !early:
		// The first data or the third ACK came without MP_CAPABLE
		// (RFC 8684, 3.1).
		s.fallback(e, c, sf, &s.Count.MPCapableFallbackACK)
	case o.is(subDSS) && o.dss.flags&dssMap != 0 && o.dss.flags&dssDSN64 != 0 && early:
		// Data overtook what brings the key: keep its mapping. Whether the
		// sum is due is known, whether it is right will be seen.
		d := &o.dss
		if d.sum == c.csum && d.length > 0 {
			n := uint32(d.length) - uint32(d.flags&dssFin/dssFin)
			s.declare(sf, mapping{dsn: d.dsn, ssn: d.ssn, len: n, wire: d.length, csum: d.csum, sum: d.sum})
		}
	}
}

// onThirdACK takes what comes first of a peer that speaks version 0. Its key is
// known since the SYN, and the third ACK is sent once: if it is lost, any other
// option says as well that they get through (RFC 6824, 3.1 and 3.6).
func (s *Set) onThirdACK(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	k := &o.cap
	early := seg.Len > 0 && seg.Seq != sf.irs+1
	switch {
	case o.is(subCapable) && (k.size != 20 || k.receiver != c.localKey || k.sender != c.remoteKey ||
		k.flags&capExtension != 0 || k.flags&capHMAC == 0), o.has == 0 && !early:
		s.fallback(e, c, sf, &s.Count.MPCapableFallbackACK)
		return
	case o.has == 0:
		return
	case o.is(subCapable):
		s.Count.MPCapableACKRX++
	}
	s.keyKnown(e, c, sf, c.remoteKey)
	c.wndEnd = c.sndUna + uint64(seg.Wnd)<<sf.sndScale
	s.onSegment(e, c, sf, seg, o)
}

// firstData enters the mapping of an MP_CAPABLE with data: it begins with the
// first byte of both sequence spaces (RFC 8684, 3.1). It reports whether the
// subflow is still good.
func (s *Set) firstData(e *tcp.Env, c *conn, sf *subflow, o *options) bool {
	if o.cap.length == 0 {
		return true
	}
	_, idsn := c.profile.digest(c.remoteKey)
	sum := o.cap.size == 24
	if sum != c.csum {
		s.Count.DSSChecksumForm++
		s.kill(e, c, sf, ProtocolError) // RFC 8684, 3.3
		return false
	}
	s.declare(sf, mapping{dsn: idsn + 1, ssn: 1, len: uint32(o.cap.length), wire: o.cap.length, csum: o.cap.csum, sum: sum})
	return true
}

// plainSYN is how many SYNs carry MP_CAPABLE before one goes without
// (RFC 8684, 3.9.3).
const plainSYN = 3

// onCapableSYNACK takes the answer to our SYN.
func (s *Set) onCapableSYNACK(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, o *options) {
	if seg.Flags&tcp.ACK == 0 { // simultaneous open: nobody answers an offer
		s.unwrap(e, c, sf)
		return
	}
	if sf.tcp.State() < tcp.Established {
		return
	}
	sf.begin()
	k := &o.cap
	if sf.syns > plainSYN || !o.is(subCapable) || k.size != 12 || k.version != uint8(c.profile) ||
		k.flags&capExtension != 0 || k.flags&capHMAC == 0 {
		s.Count.MPCapableFallbackSYNACK++
		if sf.syns <= plainSYN {
			s.learn(e, c, false)
			s.blackholes.carried(&c.tuple)
		} else if !o.is(subCapable) {
			s.blackholes.swallowed(e.Now, &c.tuple)
		}
		s.unwrap(e, c, sf)
		return
	}
	s.Count.MPCapableSYNACKRX++
	s.learn(e, c, true)
	s.blackholes.carried(&c.tuple)
	s.agreed(c, k)
	s.keyKnown(e, c, sf, k.sender)
	sf.owesKeys = true
	c.wndEnd = c.sndUna + uint64(seg.Wnd) // not scaled in a SYN
}

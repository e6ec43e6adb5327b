package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// What RFC 8684, 3.7 does when a DSS checksum fails. With several subflows,
// or data that came out of order, the subflow is reset with MP_FAIL, and what
// it carried comes over another one. On the only subflow of a linear stream:
//
//	we                                the peer
//	checksum fails; hold the data
//	       MP_FAIL (on every ACK) ------>
//	                                  from now on plain TCP
//	       <------ MP_FAIL, infinite mapping on the first new data
//	deliver what was held, as it came
//	       infinite mapping ------------>
//
// The data is no longer protected: the application gets what TCP would have
// given it.

// failPatience is how long the answer to MP_FAIL may take.
const failPatience = 10 * tcp.Second

// corrupt follows a checksum that failed on the mapping that begins at dsn.
func (s *Set) corrupt(e *tcp.Env, c *conn, sf *subflow, dsn uint64) {
	s.Count.DataCsumErr++
	sf.failDSN, sf.owesFail = dsn, true
	if !s.revertible(c, sf) {
		s.Count.DSSCorruptionReset++
		s.kill(e, c, sf, Middlebox)
		return
	}
	s.endJoins(e, c)
	c.failed = true
	c.closeAt = min(c.closeAt, e.Now+failPatience)
	sf.tcp.AckNow()
	s.watch(e, c)
}

// missing reports whether a peer that has nothing under way, since it asks
// for an ACK, has not sent all of a mapping: bytes were taken out on the path, and
// the checksum cannot even be taken.
func (s *Set) missing(c *conn, sf *subflow, seg *tcp.Segment) bool {
	if !c.csum || c.failed || sf.stage != established || seg.Flags != tcp.ACK || seg.Len != 0 || seg.Seq+1 != sf.tcp.Status().RcvNxt {
		return false
	}
	return s.covering(sf) != nil && s.revertible(c, sf)
}

// unanswered ends a subflow whose MP_FAIL nobody answers.
func (s *Set) unanswered(e *tcp.Env, c *conn) {
	c.failed, c.closeAt = false, tcp.Never
	if sf := s.only(c); sf != nil {
		s.Count.DSSCorruptionReset++
		s.kill(e, c, sf, Middlebox)
	}
}

// onFail takes an MP_FAIL on an ACK: the peer saw a bad checksum on its only
// subflow, or it answers ours. Both directions become plain TCP.
func (s *Set) onFail(e *tcp.Env, c *conn, sf *subflow) {
	s.Count.MPFailRx++
	answer := !c.failed && c.profile != v0 // whose peer would begin again
	if c.profile == v0 && c.failed {
		s.Count.DSSCorruptionReset++ // both would begin again
		s.kill(e, c, sf, Middlebox)
		return
	}
	if c.profile == v0 && s.revertible(c, sf) {
		s.restart(c, sf)
	}
	if s.told(e, c, sf, &s.Count.DSSCorruptionFallback); sf.stage == plain && answer {
		sf.failDSN, sf.owesFail = c.rcvNxt, true
	}
}

// onInfinite takes an infinite mapping: the peer falls back.
func (s *Set) onInfinite(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment, d *dssOption, dsn uint64) {
	s.Count.InfiniteMapRx++
	if s.dropping(c, sf) {
		return
	}
	if s.restarted(c, sf, seg, d, dsn) {
		s.dropTo(e, c, sf, ssnOf(sf.irs, seg.Seq)+uint32(c.rcvNxt-dsn))
		return
	}
	why := &s.Count.DssFallback
	if c.failed {
		why = &s.Count.DSSCorruptionFallback
	}
	s.told(e, c, sf, why)
	sf.reverted = false // it knows
}

// afterwards looks at what comes on a subflow that fell back. A peer that
// still speaks MPTCP has not heard of it: it is told again, what it sent is
// acknowledged in its terms, and its DATA_FIN counts, since a FIN may not
// follow (RFC 8684, 3.7: no DATA_ACK "after it receives an infinite mapping").
func (s *Set) afterwards(e *tcp.Env, c *conn, sf *subflow, seg *tcp.Segment) {
	st := sf.tcp.Status()
	if sf.una = st.SndUna; sf.una-sf.iss > tcp.Seq(sf.wr) && !sf.owesInfinite {
		sf.tcp.Reserve(0, 0) // the infinite mapping was acknowledged
	}
	if seg.RawLen == 0 || seg.Flags&(tcp.SYN|tcp.RST) != 0 {
		return
	}
	var o options
	o.parse(c.profile, seg.Raw[:seg.RawLen])
	dss := o.is(subDSS)
	if dss && o.dss.flags&dssMap != 0 && o.dss.length == 0 {
		s.Count.InfiniteMapRx++
		sf.reverted, sf.owesInfinite = false, false
		return
	}
	if o.is(subFail) {
		s.Count.MPFailRx++
		if c.profile == v0 && !sf.restarted {
			// It dropped what we cannot send again.
			s.Count.FallbackFailed++
			sf.tcp.Abort(e)
			return
		}
		sf.failDSN, sf.owesFail = c.rcvNxt, c.profile != v0
	}
	s.count(c, sf)
	fin := dss && o.dss.flags&dssFin != 0 && seg.Seq+tcp.Seq(seg.Len) == st.RcvNxt
	if fin && !c.peerDone {
		c.rcvNxt++
		c.peerDone = true
		s.tell(c, tcp.PeerClosed)
	}
	sf.owesInfinite = true
	if seg.Len > 0 || fin || sf.owesFail {
		sf.tcp.Reserve(onData, onData)
		sf.tcp.AckNow()
	}
}

// infinite adds what the peer of a subflow that fell back must hear: on the
// first new packet and all that are older, which may come again, and on an ACK
// of its own. The mapping acts retroactively, from the last byte that was
// DATA_ACKed on (RFC 8684, 3.7).
func (s *Set) infinite(c *conn, sf *subflow, seg *tcp.Segment) {
	data := seg.Len > 0 || seg.Flags&tcp.FIN != 0
	switch {
	case seg.Flags&(tcp.SYN|tcp.RST) != 0:
		return
	case data && seg.Seq-sf.iss > tcp.Seq(sf.wr), !data && !sf.owesInfinite && !sf.owesFail:
		return
	case !data && sf.owesFail:
		if room(seg) >= 12 {
			s.Count.MPFailTx++
			putFail(seg, sf.failDSN)
			sf.owesFail = false
			if sf.owesInfinite {
				sf.tcp.AckNow()
			}
		}
		return
	}
	una := min(c.sndUna, c.sndEnd)
	d := dssOption{flags: dssMap | dssDSN64, dsn: una, ssn: sf.wr - uint32(min(c.sndNxt, c.sndEnd)-una), sum: c.csum}
	if c.profile == v0 {
		s.infiniteAt(c, sf, seg, &d)
	}
	if !data {
		d.flags |= dssAck | dssAck64
		d.ack = c.rcvNxt
	}
	if d.flags == 0 || d.size() > room(seg) {
		return
	}
	d.put(seg)
	if d.flags&dssMap != 0 && d.length == 0 {
		s.Count.InfiniteMapTx++
		sf.owesInfinite = false
	}
}

package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Linux 0.89 knows the infinite mapping of version 0 in a form of its own. Its
// DSN is that of the segment's first byte, whatever the SSN says. And when a
// checksum has failed nothing is held for it: the receiver drops what it has from the
// mapping on, and the sender of the data begins again at what was DATA_ACKed:
//
//	SSN   h                          x
//	  ....|--- dropped, or held -----|=== sent again ====....
//	DSN   rcvNxt                     rcvNxt
//	                                 first with the infinite mapping
//
// So what we send to a peer of version 0 means the same in both readings (RFC 6824,
// 3.6), and what comes is told apart by where the mapping lies.

// restarted reports whether the infinite mapping d on seg, whose DSN is dsn,
// begins the stream again at its own place, rather than continue what is held.
func (s *Set) restarted(c *conn, sf *subflow, seg *tcp.Segment, d *dssOption, dsn uint64) bool {
	if c.profile != v0 || !c.failed || seg.Len == 0 || after(dsn, c.rcvNxt) {
		return false
	}
	here, held := ssnOf(sf.irs, seg.Seq), sf.rd-sf.pend.bytes
	return distance(d.ssn, here) < distance(d.ssn, held)
}

// distance of two sequence numbers; a middlebox may have shifted one of them.
func distance(a, b uint32) uint32 { return min(a-b, b-a) }

// dropTo begins to drop what was held up to the byte at ssn, which is the next
// of the stream.
func (s *Set) dropTo(e *tcp.Env, c *conn, sf *subflow, ssn uint32) {
	sf.owesFail = false
	s.clear(&sf.rx)
	i, m, ok := s.maps.Alloc()
	if !ok || int32(ssn-sf.rd) < 0 {
		if ok {
			s.maps.Free(i)
		}
		s.kill(e, c, sf, ProtocolError)
		return
	}
	*m = mapping{dsn: c.rcvNxt, ssn: ssn}
	s.link(&sf.rx, 0, i)
	s.dropHeld(e, c, sf)
}

// dropping reports whether dropTo is at work: then the only mapping is empty.
func (s *Set) dropping(c *conn, sf *subflow) bool {
	return c.failed && sf.rx.head != 0 && s.maps.At(sf.rx.head).len == 0
}

// dropHeld drops what has come, and falls back when all of it has. The bytes
// are as if they had never been: SSNs are counted without them.
func (s *Set) dropHeld(e *tcp.Env, c *conn, sf *subflow) {
	to := s.maps.At(sf.rx.head).ssn
	none := sf.pend.bytes
	sf.pend.clear(e)
	sf.rd -= none
	sf.irs += tcp.Seq(none)
	to -= none
	for int32(to-sf.rd) > 0 {
		d, ok := s.take(e, sf)
		if !ok {
			break
		}
		n := min(to-sf.rd, uint32(d.Len))
		if n < uint32(d.Len) {
			sf.held = spanAt{cut(e.Pool, d, n, uint32(d.Len)-n), sf.rd}
		} else {
			e.Pool.Release(d.Frame)
		}
		sf.irs += tcp.Seq(n)
		to -= n
		s.Count.Unmapped += uint64(n)
	}
	s.maps.At(sf.rx.head).ssn = to
	if to == sf.rd {
		s.told(e, c, sf, &s.Count.DSSCorruptionFallback)
		sf.reverted = false
	}
}

// restart makes all that was not DATA_ACKed go again, behind what the subflow
// was given: a peer of version 0 that sends MP_FAIL has dropped it. What was sent
// before keeps its mappings.
func (s *Set) restart(c *conn, sf *subflow) {
	sf.restarted = true
	c.sndNxt, c.cur = c.sndUna, c.sq.head
}

// infiniteAt makes the infinite mapping d that for a segment to a peer of
// version 0: with the DSN of its first byte. A stream that is begun again has it on data
// only, and what was sent before has its own mapping.
func (s *Set) infiniteAt(c *conn, sf *subflow, seg *tcp.Segment, d *dssOption) {
	at := ssnOf(sf.iss, seg.Seq)
	m := s.maps.Get(seg.Mark)
	switch {
	case !sf.restarted || int32(at-sf.wr) >= 0 && (seg.Len > 0 || seg.Flags&tcp.FIN != 0):
		d.dsn += uint64(int64(int32(at - d.ssn)))
		d.ssn = at
	case seg.Len > 0 && m != nil:
		*d = dssOption{flags: dssMap | dssDSN64, dsn: m.dsn, ssn: m.ssn, length: m.wire, csum: m.csum, sum: m.sum}
	default:
		*d = dssOption{}
	}
}

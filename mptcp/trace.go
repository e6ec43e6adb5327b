package mptcp

import "github.com/mpxd/mpxd/tcp"

// Cause is why something was done.
type Cause uint8

const (
	NoCause Cause = iota

	// Why a subflow was chosen for a burst.
	CauseOnly       // no other one works
	CauseFastest    // the least round trip of those that work
	CauseFasterFull // faster ones have no room
	CauseBackup     // a backup: no other one works
	CauseScheduler  // the scheduler has its own reasons, with room on a faster one

	// Why data is sent again on another subflow.
	CauseStalled  // its subflow made no progress for an RTO
	CauseEnded    // its subflow has ended or is being closed
	CauseRemoved  // the peer withdrew the address
	CauseWindow   // it held the peer's window up
	CauseTimeout  // no DATA_ACK came in time
	CauseRejoined // there was nothing to send it on before

	// Why a connection fell back to plain TCP.
	CauseHandshake // the peer, or the path, does not speak MPTCP in the handshake
	CauseStripped  // options are stripped: data without mapping, or acknowledged without DATA_ACK
	CauseFin       // the DATA_FIN does not get through
	CauseChecksum  // a DSS checksum failed, here or at the peer
	causes
)

func (k Cause) String() string {
	names := [causes]string{"", "only", "fastest", "faster_full", "backup", "scheduler",
		"stalled", "ended", "removed", "window", "timeout", "rejoined",
		"handshake", "stripped", "data_fin", "checksum"}
	if k < causes {
		return names[k]
	}
	return "unknown"
}

func (s *Set) wants(k Kind) bool { return s.records.wanted>>k&1 != 0 }

// chosen records that a burst of n bytes at dsn went to subs[i]. The view is as
// it was when it was chosen.
func (s *Set) chosen(e *tcp.Env, c *conn, subs []View, i int, n uint32, dsn uint64) {
	if !s.wants(KindBurst) {
		return
	}
	sf := s.flows.At(subs[i].index)
	s.record(e, c, sf, Record{Kind: KindBurst, ID: sf.remoteID, Code: uint8(why(subs, i)), Values: [2]uint64{uint64(n), dsn}})
}

// why explains a choice by what the scheduler was shown.
func why(subs []View, i int) Cause {
	others, faster1, open := 0, 0, 0
	for j := range subs {
		v := &subs[j]
		if j == i || v.Stale || v.barred || v.Backup && !subs[i].Backup {
			continue
		}
		others++
		if faster(v, &subs[i]) {
			faster1++
			if v.Room() > 0 {
				open++
			}
		}
	}
	switch {
	case subs[i].Backup:
		return CauseBackup
	case others == 0:
		return CauseOnly
	case faster1 == 0:
		return CauseFastest
	case open == 0:
		return CauseFasterFull
	}
	return CauseScheduler
}

// sample records how a subflow stands, at most once in its round trip: as often as
// its rate is measured.
func (s *Set) sample(e *tcp.Env, c *conn, sf *subflow, st *tcp.Status) {
	if !s.wants(KindSample) || sf.rateAt != e.Now {
		return
	}
	s.sampleNow(e, c, sf, st)
}

func (s *Set) sampleNow(e *tcp.Env, c *conn, sf *subflow, st *tcp.Status) {
	s.record(e, c, sf, Record{Kind: KindSample, ID: sf.remoteID, Addr: sf.tuple.Remote, Port: sf.tuple.RemotePort, Values: [2]uint64{
		uint64(st.Cwnd) | uint64(min(st.SRTT/tcp.Microsecond, 1<<32-1))<<32,
		uint64(st.SndUna-st.ISS) | uint64(st.RcvNxt-st.IRS)<<32}})
}

// Sample is what a record of KindSample says: the congestion window in bytes,
// the smoothed round trip, and the sequence numbers that the subflow has used up in
// either direction, bytes modulo 2^32.
func (r *Record) Sample() (cwnd uint32, srtt tcp.Time, sent, received uint32) {
	return uint32(r.Values[0]), tcp.Time(r.Values[0]>>32) * tcp.Microsecond, uint32(r.Values[1]), uint32(r.Values[1] >> 32)
}

// fellBack is the cause that a fallback's counter stands for.
func (s *Set) fellBack(counter *uint64) Cause {
	switch counter {
	case &s.Count.DssFallback:
		return CauseStripped
	case &s.Count.DssFinFallback:
		return CauseFin
	case &s.Count.DSSCorruptionFallback:
		return CauseChecksum
	}
	return CauseHandshake
}

package mptcp

import "github.com/mpxd/mpxd/tcp"

// blest is BLEST, blocking estimation (Ferlin, Alay, Mehani and Boreli, BLEST:
// Blocking Estimation-based MPTCP Scheduler for Heterogeneous Networks, IFIP
// Networking 2016). While the fastest subflow F has no room, a slower one S is
// given a segment only if what F can send in S's round trip,
//
//	X = MSS_F * (CWND_F + (r-1)/2) * r segments, r = RTT_S / RTT_F
//
// fits into the connection's window beside what S then has in flight:
//
//	X * lambda <= |MPTCP_SW| - MSS_S * (inflight_S + 1)
//
// lambda grows by each round trip in which the window stopped a subflow, and
// falls back in others.
type blest struct{}

func (blest) Name() string  { return "blest" }
func (blest) Repeats() bool { return false }

// lambda and its steps, in 1/1000: what the authors' implementation has.
const (
	blestLambda    = 1200
	blestLambdaMin = 1000
	blestLambdaMax = 1300
	blestBlocked   = 40
	blestFlowed    = 10
)

// Weigh adjusts lambda once a round trip.
func (blest) Weigh(m *memo, d Demand, subs []View) {
	if m.lambda == 0 {
		m.lambda = blestLambda
	}
	f, open := fastest(subs)
	if open >= 0 && d.Waits > 0 && d.Free == 0 {
		m.blocked = true
	}
	now := uint32(d.Now / tcp.Microsecond)
	if f < 0 || tcp.Time(now-m.at)*tcp.Microsecond < subs[f].SRTT {
		return
	}
	if m.blocked {
		m.lambda = min(m.lambda+blestBlocked, blestLambdaMax)
	} else {
		m.lambda = max(m.lambda-blestFlowed, blestLambdaMin)
	}
	m.at, m.blocked = now, false
}

func (blest) Pick(m *memo, d Demand, subs []View) (int, uint32) {
	f, i := fastest(subs)
	if i < 0 {
		return -1, 0
	}
	fast, slow := &subs[f], &subs[i]
	if i == f || fast.SRTT == 0 {
		return i, min(d.Want, slow.Room())
	}
	// r in 1/1024.
	r := uint64(max(slow.SRTT, fast.SRTT)) << 10 / uint64(fast.SRTT)
	x := (uint64(fast.Cwnd)<<10 + uint64(fast.MSS)*(r-1<<10)/2) >> 10 * r >> 10
	inflight := uint64(slow.Queued + slow.MSS)
	if x*uint64(m.lambda)/1000+inflight > uint64(d.Window) {
		return -1, 0
	}
	return i, min(d.Want, slow.Room(), turnSegments*slow.MSS)
}

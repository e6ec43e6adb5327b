package mptcp

// ecf is ECF, earliest completion first (Lim, Nahum, Towsley and Gibbens, ECF: An
// MPTCP Path Scheduler to Manage Heterogeneous Paths, CoNEXT 2017). While the
// fastest subflow F has no room, S, the next one that has, is waited past if F
// alone would be done with the k bytes that wait before S had delivered its first:
//
//	(1 + k/CWND_F) * RTT_F < (1 + waiting*beta) * (RTT_S + delta)
//	k/CWND_S * RTT_S >= 2 RTT_F + delta
//
// delta is the larger of the two variations of the round trip, beta a quarter, and
// waiting whether F was waited for the last time.
type ecf struct{}

func (ecf) Name() string                { return "ecf" }
func (ecf) Weigh(*memo, Demand, []View) {}
func (ecf) Repeats() bool               { return false }

func (ecf) Pick(m *memo, d Demand, subs []View) (int, uint32) {
	f, i := fastest(subs)
	if i < 0 {
		return -1, 0
	}
	fast, slow := &subs[f], &subs[i]
	if i == f || fast.SRTT == 0 {
		return i, min(d.Want, slow.Room())
	}
	k := int64(d.Waits)
	delta := max(fast.RTTVar, slow.RTTVar)
	left := int64(fast.SRTT) + k*int64(fast.SRTT)/int64(max(fast.Cwnd, 1))
	right := int64(slow.SRTT + delta)
	if m.waiting {
		right += right / 4
	}
	if left >= right {
		m.waiting = false
	} else if k*int64(slow.SRTT)/int64(max(slow.Cwnd, 1)) >= int64(2*fast.SRTT+delta) {
		m.waiting = true
		return -1, 0
	}
	return i, min(d.Want, slow.Room(), turnSegments*slow.MSS)
}

package mptcp

// minRTT gives a burst to the subflow with the least round trip whose congestion
// window has room: the scheduler of Linux (Raiciu et al., How Hard Can It Be?
// Designing and Implementing a Deployable Multipath TCP, NSDI 2012).
type minRTT struct{}

func (minRTT) Name() string                { return "minrtt" }
func (minRTT) Weigh(*memo, Demand, []View) {}
func (minRTT) Repeats() bool               { return false }

func (minRTT) Pick(_ *memo, d Demand, subs []View) (int, uint32) {
	_, i := fastest(subs)
	if i < 0 {
		return -1, 0
	}
	return i, min(d.Want, subs[i].Room())
}

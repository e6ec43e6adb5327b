package tcp

import "testing"

func ackRound(ctl Controller, cc *CC, now, rtt Time) {
	for left, first := int(cc.Cwnd), true; left > 0; left -= 2 * int(cc.MSS) {
		ctl.OnAck(cc, AckSample{Now: now, Acked: min(uint32(left), 2*cc.MSS), RTT: rtt, SRTT: rtt, Limited: true, Round: first})
		first = false
	}
}

func newCC(ctl Controller) *CC {
	cc := &CC{Cwnd: 10 * 1000, Ssthresh: InitialSsthresh, MSS: 1000}
	ctl.Init(cc, Second, 0)
	return cc
}

func TestSlowStartDoubles(t *testing.T) {
	for _, ctl := range controllers[1:] {
		cc := newCC(ctl)
		for range 3 {
			ackRound(ctl, cc, Second, 50*Millisecond)
		}
		if cc.Cwnd != 80*1000 {
			t.Errorf("%s: %d bytes after three rounds, want 80000", ctl.Name(), cc.Cwnd)
		}
	}
}

func TestNoGrowthWithoutDemandOrInRecovery(t *testing.T) {
	for _, ctl := range controllers[1:] {
		if ctl.Leads() {
			continue
		}
		cc := newCC(ctl)
		ctl.OnAck(cc, AckSample{Now: Second, Acked: 5000, Limited: false})
		ctl.OnAck(cc, AckSample{Now: Second, Acked: 5000, Limited: true, Recovery: true})
		if cc.Cwnd != 10*1000 {
			t.Errorf("%s: window grew to %d", ctl.Name(), cc.Cwnd)
		}
	}
}

func TestNewRenoAddsASegmentPerRound(t *testing.T) {
	cc := newCC(newReno{})
	cc.Ssthresh = cc.Cwnd
	for range 10 {
		ackRound(newReno{}, cc, Second, 50*Millisecond)
	}
	if cc.Cwnd < 19*1000 || cc.Cwnd > 20*1000 {
		t.Errorf("%d bytes after ten rounds from 10000", cc.Cwnd)
	}
	newReno{}.OnLoss(cc, LossSample{})
	if cc.Ssthresh != cc.Cwnd/2 {
		t.Errorf("ssthresh %d of %d", cc.Ssthresh, cc.Cwnd)
	}
}

func TestHyStartEndsSlowStartWhenTheRoundTripGrows(t *testing.T) {
	cc := newCC(cubic{})
	rtt := 40 * Millisecond
	for range 4 {
		ackRound(cubic{}, cc, Second, rtt)
	}
	for i := 0; i < 20 && cc.Ssthresh == InitialSsthresh; i++ {
		rtt += 10 * Millisecond
		ackRound(cubic{}, cc, Second, rtt)
	}
	if cc.Ssthresh == InitialSsthresh {
		t.Fatal("slow start did not end")
	}
	if cc.Ssthresh > 1000*1000 {
		t.Fatalf("ssthresh %d: too late", cc.Ssthresh)
	}
}

// RFC 9438, 4.2: after a reduction the window is back at W_max after K
// seconds, K = cbrt(W_max*(1-0.7)/0.4).
func TestCubicReachesItsPlateauAfterK(t *testing.T) {
	cc := &CC{Cwnd: 1000 * 1000, Ssthresh: 1000, MSS: 1000}
	ctl := cubic{}
	ctl.OnLoss(cc, LossSample{})
	cc.Cwnd = cc.Ssthresh
	if cc.Cwnd != 700*1000 {
		t.Fatalf("window after loss: %d", cc.Cwnd)
	}
	// cbrt(300/0.4) = 9.086 s. A long RTT keeps Reno below.
	now, rtt := Second, 200*Millisecond
	for t0 := now; now < t0+9*Second; now += rtt {
		ackRound(ctl, cc, now, rtt)
	}
	if cc.Cwnd < 985*1000 || cc.Cwnd > 1005*1000 {
		t.Errorf("window after 9 s: %d, want about 1000000", cc.Cwnd)
	}
	at := cc.Cwnd
	for t0 := now; now < t0+9*Second; now += rtt {
		ackRound(ctl, cc, now, rtt)
	}
	if cc.Cwnd < at+200*1000 {
		t.Errorf("window does not probe beyond the plateau: %d", cc.Cwnd)
	}
}

// RFC 9438, 4.3: on short paths CUBIC is no slower than Reno.
func TestCubicIsRenoFriendly(t *testing.T) {
	cu, re := newCC(cubic{}), newCC(newReno{})
	for _, cc := range []*CC{cu, re} {
		cc.Cwnd, cc.Ssthresh = 40*1000, 20*1000
	}
	cubic{}.OnLoss(cu, LossSample{})
	newReno{}.OnLoss(re, LossSample{})
	cu.Cwnd, re.Cwnd = cu.Ssthresh, re.Ssthresh
	now := Second
	for range 30 {
		ackRound(cubic{}, cu, now, 2*Millisecond)
		ackRound(newReno{}, re, now, 2*Millisecond)
		now += 2 * Millisecond
	}
	if cu.Cwnd+cu.Cwnd/10 < re.Cwnd {
		t.Errorf("CUBIC %d, Reno %d", cu.Cwnd, re.Cwnd)
	}
}

func TestUndoRestores(t *testing.T) {
	for _, ctl := range controllers[1:] {
		cc := newCC(ctl)
		cc.Cwnd, cc.Ssthresh = 50000, 40000
		ctl.OnRTO(cc, LossSample{})
		if cc.Cwnd != cc.MSS {
			t.Errorf("%s: window %d after RTO", ctl.Name(), cc.Cwnd)
		}
		ctl.OnUndo(cc)
		if cc.Cwnd != 50000 || cc.Ssthresh != 40000 {
			t.Errorf("%s: undo gives %d, %d", ctl.Name(), cc.Cwnd, cc.Ssthresh)
		}
	}
}

func TestCbrt(t *testing.T) {
	for _, r := range []uint64{1, 2, 3, 10, 1000, 9086, 1 << 20} {
		if got := cbrt(r * r * r); got != r {
			t.Errorf("cbrt(%d^3) = %d", r, got)
		}
		if got := cbrt(r*r*r - 1); got != r-1 {
			t.Errorf("cbrt(%d^3-1) = %d", r, got)
		}
	}
}

// TestCoupledNewReno: the gain scales the growth in congestion avoidance, below
// zero it is taken from the window, and Keep is what a loss leaves.
func TestCoupledNewReno(t *testing.T) {
	for gain, want := range map[int16]int{0: 10_000, 1024: 10_000, 256: 2_500, -512: -5_000} {
		cc := newCC(newReno{})
		cc.Cwnd, cc.Gain = 100*1000, gain
		cc.Ssthresh = cc.Cwnd
		for range 10 {
			ackRound(newReno{}, cc, Second, 50*Millisecond)
		}
		if grew := int(cc.Cwnd) - 100*1000; grew < want-want/20-200 && want > 0 || grew > want+500 {
			t.Errorf("gain %d: grew by %d in ten rounds, want about %d", gain, grew, want)
		}
		if cc.Ssthresh > cc.Cwnd {
			t.Errorf("gain %d: window %d is below ssthresh %d: that is slow start", gain, cc.Cwnd, cc.Ssthresh)
		}
	}
	cc := newCC(newReno{})
	cc.Cwnd, cc.Gain, cc.Keep = 5*1000, -1024, 256
	cc.Ssthresh = cc.Cwnd
	for range 20 {
		ackRound(newReno{}, cc, Second, 50*Millisecond)
	}
	if cc.Cwnd != 2*1000 {
		t.Errorf("shrank to %d", cc.Cwnd)
	}
	cc.Cwnd = 100 * 1000
	if (newReno{}).OnLoss(cc, LossSample{}); cc.Ssthresh != 25*1000 {
		t.Errorf("a loss leaves %d of 100000, want a quarter", cc.Ssthresh)
	}
}

package tcp

import (
	"math"
	"testing"
)

// RFC 9438, figures 1 and 2, in floating point.
func TestCubicWindowIsThatOfTheRFC(t *testing.T) {
	for _, mss := range []uint32{216, 1000, 1448, 8948} {
		for _, wmax := range []uint32{10 * mss, 1000 * mss, 250 << 20, maxCwnd} { // 10 Gbit/s * 200 ms is 250 MB
			cc := &CC{Cwnd: wmax / 10 * 7, MSS: mss}
			cc.cubic.wmax = wmax
			cc.cubic.begin(cc, 1)
			segments := float64(wmax-cc.Cwnd) / float64(mss)
			k := math.Cbrt(segments / 0.4)
			if got := float64(cc.cubic.k) / 1000; math.Abs(got-k) > 0.01+k/100 {
				t.Errorf("mss %d, plateau %d: K is %.3f s, not %.3f", mss, wmax, got, k)
			}
			for _, ms := range []uint32{0, 1, 100, 1000, 5000, 20000, 100000, 3600e3, 1<<32 - 1} {
				d := float64(ms)/1000 - float64(cc.cubic.k)/1000
				want := float64(wmax) + 0.4*d*d*d*float64(mss)
				want = math.Min(math.Max(want, float64(2*mss)), maxCwnd)
				if got := float64(cc.cubic.window(mss, ms)); math.Abs(got-want) > float64(mss)+want/1000 {
					t.Errorf("mss %d, plateau %d, %d ms: window %.0f, not %.0f", mss, wmax, ms, got, want)
				}
			}
		}
	}
}

// RFC 9438, 4.8: after a timeout there is no plateau to return to.
func TestCubicForgetsThePlateauAfterATimeout(t *testing.T) {
	cc := &CC{Cwnd: 1000 * 1000, Ssthresh: 1000, MSS: 1000}
	cubic{}.OnRTO(cc, LossSample{})
	if cc.Cwnd != 1000 || cc.Ssthresh != 700*1000 {
		t.Fatalf("window %d, threshold %d", cc.Cwnd, cc.Ssthresh)
	}
	cc.Cwnd = cc.Ssthresh
	ackRound(cubic{}, cc, Second, 100*Millisecond)
	if cc.cubic.k != 0 || cc.cubic.wmax != 700*1000 {
		t.Errorf("K %d, plateau %d", cc.cubic.k, cc.cubic.wmax)
	}
}

// RFC 9438, 4.7: who loses below the last plateau gives room to others.
func TestCubicFastConvergence(t *testing.T) {
	cc := &CC{Cwnd: 800 * 1000, MSS: 1000}
	cc.cubic.wmax = 1000 * 1000
	cubic{}.OnLoss(cc, LossSample{})
	if cc.cubic.wmax != 680*1000 || cc.cubic.prior != 800*1000 {
		t.Errorf("plateau %d, window before %d", cc.cubic.wmax, cc.cubic.prior)
	}
}

// RFC 9438, 5.8: an hour of silence is no hour of growth.
func TestCubicSilenceIsNotInTheEpoch(t *testing.T) {
	cc := &CC{Cwnd: 1000 * 1000, Ssthresh: 1000, MSS: 1000}
	ctl := cubic{}
	ctl.OnLoss(cc, LossSample{})
	cc.Cwnd = cc.Ssthresh
	now := Second
	ackRound(ctl, cc, now, 100*Millisecond)
	at, before := cc.Cwnd, cc.cubic.epoch
	now += 3600 * Second
	ctl.OnIdle(cc, IdleSample{Now: now, Idle: 3600 * Second, RTO: 2 * 3600 * Second, Window: 10000})
	if cc.cubic.epoch-before != 3600e3 {
		t.Errorf("the epoch moved by %d ms", cc.cubic.epoch-before)
	}
	ackRound(ctl, cc, now, 100*Millisecond)
	if cc.Cwnd > at+at/20 {
		t.Errorf("window %d after an hour, %d before", cc.Cwnd, at)
	}
}

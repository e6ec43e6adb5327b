package tcp

import "math/bits"

// cubic is RFC 9438, in integers: windows in bytes, times in milliseconds.
// C is 0.4 segments/s^3 and the multiplicative decrease 0.7.
type cubic struct{}

const (
	cubicBetaNum, cubicBetaDen = 7, 10
	// alpha of the Reno-friendly region: 3*(1-0.7)/(1+0.7), in 1/1024
	// (RFC 9438, 4.3).
	cubicAlpha = 542
)

type cubicState struct {
	epoch Time   // when this congestion avoidance began; 0: not yet
	last  Time   // when the window was last in use
	k     Time   // from the epoch to the plateau
	wmax  uint32 // the plateau
	prior uint32 // the window before the last reduction, for W_est
	west  uint32 // what Reno would have (RFC 9438, 4.3)
	acc   uint64
}

func (cubic) Name() string { return "cubic" }
func (cubic) Init(*CC)     {}

func (cubic) OnAck(cc *CC, s AckSample) {
	q := &cc.cubic
	if q.epoch != 0 && !s.Limited {
		// Time without demand does not count (RFC 9438, 5.8).
		q.epoch += s.Now - q.last
	}
	q.last = s.Now
	if !cc.grow(s) {
		return
	}
	if q.epoch == 0 {
		q.begin(cc, s.Now)
	}
	target := q.window(cc.MSS, s.Now-q.epoch+s.SRTT)
	target = min(max(target, cc.Cwnd), cc.Cwnd+cc.Cwnd/2) // RFC 9438, 4.2
	q.reno(cc, s.Acked)
	if q.window(cc.MSS, s.Now-q.epoch) < q.west {
		cc.Cwnd = min(max(cc.Cwnd, q.west), maxCwnd)
		return
	}
	cc.acc += uint64(target-cc.Cwnd) * uint64(s.Acked) * cc.gain() / 1024
	if n := cc.acc / uint64(max(cc.Cwnd, 1)); n > 0 {
		cc.acc -= n * uint64(cc.Cwnd)
		cc.Cwnd = uint32(min(uint64(cc.Cwnd)+n, maxCwnd))
	}
}

// begin starts an epoch at the present window (RFC 9438, 4.2).
func (q *cubicState) begin(cc *CC, now Time) {
	q.epoch, q.west, q.acc, q.k = now, cc.Cwnd, 0, 0
	if q.wmax <= cc.Cwnd {
		q.wmax = cc.Cwnd
		return
	}
	// K = cbrt((W_max - cwnd) / C), in ms: 1/C is 2.5 s^3 a segment.
	diff := uint64(q.wmax-cc.Cwnd) * 25 / uint64(max(cc.MSS, 1))
	q.k = Time(cbrt(diff*1e8)) * Millisecond
}

// window is W_cubic(t) = C*(t-K)^3 + W_max (RFC 9438, figure 1), in bytes.
func (q *cubicState) window(mss uint32, t Time) uint32 {
	d := int64((t - q.k) / Millisecond)
	// 2^18 ms beyond the plateau is more than maxCwnd at any MSS.
	d = min(max(d, -1<<18), 1<<18)
	delta := d * d * d * 4 / 1e6 * int64(mss) / 1e4
	return uint32(min(max(int64(q.wmax)+delta, int64(2*mss)), maxCwnd))
}

// reno advances W_est (RFC 9438, 4.3).
func (q *cubicState) reno(cc *CC, acked uint32) {
	alpha := uint64(cubicAlpha)
	if q.west >= q.prior {
		alpha = 1024
	}
	q.acc += uint64(acked) * uint64(cc.MSS) * alpha / 1024 * cc.gain() / 1024
	if n := q.acc / uint64(max(cc.Cwnd, 1)); n > 0 {
		q.acc -= n * uint64(cc.Cwnd)
		q.west = uint32(min(uint64(q.west)+n, maxCwnd))
	}
}

// decrease is RFC 9438, 4.6 and 4.7 (fast convergence).
func (cubic) decrease(cc *CC) {
	old := cc.cubic
	cc.reduce(cubicBetaNum, cubicBetaDen)
	q := &cc.cubic
	*q = cubicState{prior: cc.Cwnd, wmax: cc.Cwnd, last: old.last}
	if cc.Cwnd < old.wmax {
		q.wmax = uint32(uint64(cc.Cwnd) * (cubicBetaDen + cubicBetaNum) / (2 * cubicBetaDen))
	}
}

func (c cubic) OnLoss(cc *CC, _ LossSample) { c.decrease(cc) }

func (c cubic) OnRTO(cc *CC, _ LossSample) {
	c.decrease(cc)
	cc.Cwnd = cc.MSS
}

func (cubic) OnUndo(cc *CC) { cc.undo() }

// cbrt is the integer cube root, rounded down.
func cbrt(x uint64) uint64 {
	if x == 0 {
		return 0
	}
	// Newton from above: the first guess is at least the root.
	r := uint64(1) << ((bits.Len64(x) + 2) / 3)
	for range 64 {
		n := (2*r + x/(r*r)) / 3
		if n >= r {
			break
		}
		r = n
	}
	return r
}

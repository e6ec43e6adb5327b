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

// cubicState is an epoch, the time since congestion avoidance began. Times are
// in milliseconds.
type cubicState struct {
	epoch uint32 // when it began; 0: not yet
	last  uint32 // when the last ACK came
	k     uint32 // from the epoch to the plateau
	wmax  uint32 // the plateau
	prior uint32 // the window before the last reduction, for W_est
	west  uint32 // what Reno would have (RFC 9438, 4.3)
	acc   uint32 // of west; less than Cwnd
}

func (cubic) Name() string           { return "cubic" }
func (cubic) Init(cc *CC, _, _ Time) { cc.cubic = cubicState{} }
func (cubic) Leads() bool            { return false }

func (cubic) OnAck(cc *CC, s AckSample) {
	q, now := &cc.cubic, millis(s.Now)
	if q.epoch != 0 && !s.Limited {
		// Time without demand does not count (RFC 9438, 5.8).
		q.epoch += now - q.last
	}
	q.last = now
	if !cc.grow(s) {
		return
	}
	if q.epoch == 0 {
		q.begin(cc, now)
	}
	target := q.window(cc.MSS, now-q.epoch+millis(s.SRTT))
	target = min(max(target, cc.Cwnd), cc.Cwnd+cc.Cwnd/2) // RFC 9438, 4.2
	q.reno(cc, s.Acked)
	if q.window(cc.MSS, now-q.epoch) < q.west { // RFC 9438, 4.3
		cc.Cwnd = min(max(cc.Cwnd, q.west), maxCwnd)
		return
	}
	cc.increase(uint64(target-cc.Cwnd), s.Acked)
}

// OnIdle keeps a silence out of the epoch, as if the flow had been sending
// without a break (RFC 9438, 5.8).
func (cubic) OnIdle(cc *CC, s IdleSample) {
	if q := &cc.cubic; q.epoch != 0 {
		now := millis(s.Now)
		q.epoch += now - q.last
		q.last = now
	}
	cc.shrink(s)
}

// begin starts an epoch at the present window (RFC 9438, 4.2). After a slow
// start that ended without a loss, and after a timeout, the plateau is here
// (RFC 9438, 4.8 and 4.10).
func (q *cubicState) begin(cc *CC, now uint32) {
	q.epoch, q.west, q.acc, q.k = nonzero(now), cc.Cwnd, 0, 0
	if q.wmax <= cc.Cwnd {
		q.wmax = cc.Cwnd
		return
	}
	// K = cbrt((W_max - cwnd) / C), in ms: 1/C is 2.5 s^3 a segment.
	diff := uint64(q.wmax-cc.Cwnd) * 25 / uint64(max(cc.MSS, 1))
	q.k = uint32(cbrt(diff * 1e8))
}

// window is W_cubic(t) = C*(t-K)^3 + W_max (RFC 9438, figure 1), in bytes.
func (q *cubicState) window(mss, t uint32) uint32 {
	// 2^18 ms beyond the plateau is more than maxCwnd at any MSS.
	d := min(max(int64(t)-int64(q.k), -1<<18), 1<<18)
	delta := d * d * d * 4 / 1e6 * int64(mss) / 1e4
	return uint32(min(max(int64(q.wmax)+delta, int64(2*mss)), maxCwnd))
}

// reno advances W_est (RFC 9438, 4.3).
func (q *cubicState) reno(cc *CC, acked uint32) {
	alpha := uint64(cubicAlpha)
	if q.west >= q.prior {
		alpha = 1024
	}
	n := uint64(q.acc) + uint64(cc.MSS)*alpha*uint64(acked)/1024
	w := uint64(max(cc.Cwnd, 1))
	q.acc = uint32(n % w)
	q.west = uint32(min(uint64(q.west)+n/w, maxCwnd))
}

// decrease is RFC 9438, 4.6 and 4.7 (fast convergence).
func (cubic) decrease(cc *CC, s LossSample) {
	prior, old := cc.Cwnd, cc.cubic
	if cc.reduce(s, cubicBetaNum, cubicBetaDen); s.Again {
		return
	}
	q := &cc.cubic
	*q = cubicState{prior: prior, wmax: prior, last: old.last}
	if prior < old.wmax {
		q.wmax = uint32(uint64(prior) * (cubicBetaDen + cubicBetaNum) / (2 * cubicBetaDen))
	}
}

func (c cubic) OnLoss(cc *CC, s LossSample) { c.decrease(cc, s) }

// OnRTO forgets the plateau: the next epoch begins on its own (RFC 9438, 4.8).
func (c cubic) OnRTO(cc *CC, s LossSample) {
	c.decrease(cc, s)
	cc.cubic.epoch, cc.cubic.wmax = 0, 0
	cc.Cwnd = cc.MSS
}

// OnUndo restores the epoch as well (RFC 9438, 4.9).
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

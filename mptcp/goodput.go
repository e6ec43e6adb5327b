package mptcp

import "github.com/mpxd/mpxd/tcp"

// goodput is our own scheduler. A byte on a path is acknowledged after the path's
// round trip D at the earliest, and until then no more than the window W can
// be sent, whoever sends it: the paths of a set carry together at most
//
//	min(sum of their rates, W / longest D)
//
// So a slow path whose delay the window cannot cover takes more from the others than
// it adds. The set that promises most is used, and its fastest path with room
// is given the next burst.
//
// A queue in one path does not add throughput, but takes room from the others
// in W. So what is queued may take no longer than what W has left over, at the
// rate of all together, and in any case no longer than rides over delays of ACKs and of
// ours.
type goodput struct{}

func (goodput) Name() string  { return "goodput" }
func (goodput) Repeats() bool { return true }

func (goodput) Weigh(m *memo, d Demand, subs []View) {
	if len(subs) < 2 {
		return
	}
	shun(m.opening(d), d, subs)
	var sum uint64
	least := tcp.Never
	for i := range subs {
		if v := &subs[i]; v.works() && !v.shunned && v.MinRTT != 0 {
			sum += v.Rate
			least = min(least, v.MinRTT)
		}
	}
	if least == tcp.Never {
		return
	}
	span := tcp.Time(uint64(d.Window)*uint64(tcp.Second)/max(sum, 1)) * windowShare / 4
	for i := range subs {
		v := &subs[i]
		queue := min(span-delay(v.MinRTT, least), queueTime)
		if v.Slow = v.Slow && v.SRTT-v.MinRTT <= v.MinRTT/8; v.Slow { // no queue yet
			queue = max(queue, v.MinRTT)
		}
		v.Cwnd = min(v.Cwnd, v.quiet(queue, d.Window))
	}
}

// queueTime is what is queued at most: so late may ACKs and we be, and the path
// still carries something. In slow start what is in flight doubles until there
// is a queue.
const queueTime = 60 * tcp.Millisecond

// windowShare is how many quarters of the window are planned with.
const windowShare = 3

// delay is how long what a path carries remains unacknowledged: the DATA_ACK
// comes back on the fastest one.
func delay(rtt, least tcp.Time) tcp.Time { return max(rtt/2+least/2, 1) }

// quiet is what a path carries in its least round trip, and queues for so long; and
// at least a quarter more, so that it can show that it carries more. What is not
// known to be slow yet may have a part of the window.
func (v *View) quiet(queue tcp.Time, window uint32) uint32 {
	bdp := carried(v.Rate, v.MinRTT)
	more := carried(v.Rate, max(queue, 0))
	cwnd := uint32(min(bdp+max(more, bdp/4+2*uint64(v.MSS)), 1<<30))
	if v.Slow {
		cwnd = max(cwnd, window/newShare)
	}
	return cwnd
}

// carried is how much a rate carries in a time.
func carried(rate uint64, t tcp.Time) uint64 {
	return rate * uint64(t/tcp.Microsecond) / uint64(tcp.Second/tcp.Microsecond)
}

// newShare: a path in slow start may have 1/16 of the window.
const newShare = 16

// opening is for how long the window has not grown. A receiver that fits its
// buffer to what it gets opens the window only for paths that are used.
func (m *memo) opening(d Demand) tcp.Time {
	now := uint32(d.Now / tcp.Microsecond)
	still := tcp.Time(now-m.at) * tcp.Microsecond
	if d.Window > m.last+m.last/shunMargin || m.last == 0 {
		m.last, m.at, still = d.Window, now, 0
	} else if still > tcp.Second {
		m.last = d.Window // what it was once does not count for ever
	}
	return still
}

// shunMargin is what a path must add, at least, to the goodput: 1/16 of it. The
// estimates are no better.
const shunMargin = 16

// shunAfter is how many of a path's round trips the window may take to grow
// for it.
const shunAfter = 4

// shun keeps the slow paths out that would hold up the others. still is for how
// long the window has not grown.
func shun(still tcp.Time, d Demand, subs []View) {
	var order [maxViews]uint8
	n := 0
	for i := range subs {
		v := &subs[i]
		if !v.works() || v.MinRTT == 0 {
			continue
		}
		k := n
		for ; k > 0 && subs[order[k-1]].MinRTT > v.MinRTT; k-- {
			order[k] = order[k-1]
		}
		order[k] = uint8(i)
		n++
	}
	var sum, best uint64
	keep := 0
	for k, i := range order[:n] {
		v := &subs[i]
		sum += v.Rate
		got := uint64(d.Window) * uint64(tcp.Second) / uint64(delay(v.MinRTT, subs[order[0]].MinRTT))
		if v.Rate == 0 || got >= sum || got > best+best/shunMargin || still < shunAfter*v.MinRTT {
			best, keep = max(best, min(got, sum)), k+1
		}
	}
	for _, i := range order[keep:n] {
		subs[i].shunned = true
	}
}

func (goodput) Pick(_ *memo, d Demand, subs []View) (int, uint32) {
	_, i := fastest(subs)
	if i < 0 {
		return -1, 0
	}
	return i, min(d.Want, subs[i].Room())
}

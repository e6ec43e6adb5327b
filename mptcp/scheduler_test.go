package mptcp

import (
	"slices"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

const ms = tcp.Millisecond

// near and far are two paths of 112 and 28 Mbit/s.
func near() View {
	return View{SRTT: 10 * ms, RTTVar: ms, MinRTT: 10 * ms, Rate: 14_000_000, MSS: 1400, Cwnd: 140_000, index: 1}
}

func far() View {
	return View{SRTT: 40 * ms, RTTVar: ms, MinRTT: 40 * ms, Rate: 3_500_000, MSS: 1400, Cwnd: 140_000, index: 2}
}

func edit(v View, f func(*View)) View { f(&v); return v }

func full(v *View) { v.Queued = v.Cwnd + 1 }

// TestEverySchedulerKeepsOff: none gives data to a subflow that must not have
// it, or more than was asked for.
func TestEverySchedulerKeepsOff(t *testing.T) {
	const lost = 7 // the subflow that lost it
	for _, c := range []struct {
		name string
		subs []View
		want int
	}{
		{"the faster is full", []View{far(), edit(near(), full)}, 0},
		{"much unsent in recovery", []View{far(), edit(near(), func(v *View) { v.Queued, v.Unsent, v.Repair = 100_000, 100_000, true })}, 0},
		{"the faster is stale", []View{far(), edit(near(), func(v *View) { v.Stale = true })}, 0},
		{"the faster is a backup", []View{far(), edit(near(), func(v *View) { v.Backup = true })}, 0},
		{"only backups work", []View{edit(far(), func(v *View) { v.Stale = true }), edit(near(), func(v *View) { v.Backup = true })}, 1},
		{"none", []View{edit(far(), func(v *View) { v.Stale = true })}, -1},
		{"lost there", []View{far(), edit(near(), func(v *View) { v.index = lost })}, 0},
		{"lost there, a backup is left", []View{edit(far(), func(v *View) { v.index = lost }), edit(near(), func(v *View) { v.Backup = true })}, 1},
		{"lost there, the other one is stale", []View{edit(far(), func(v *View) { v.index = lost }), edit(near(), func(v *View) { v.Stale = true })}, 0},
		{"lost on the only one", []View{edit(near(), func(v *View) { v.index = lost })}, 0},
	} {
		for _, sched := range schedulers[1:] {
			m, d := memo{}, Demand{Now: tcp.Second, Want: 20_000, Waits: 1 << 20, Window: 8 << 20, Free: 4 << 20}
			subs := slices.Clone(c.subs)
			bar(subs, 0)
			sched.Weigh(&m, d, subs)
			bar(subs, lost)
			if got, n := sched.Pick(&m, d, subs); got != c.want || got >= 0 && (n == 0 || n > d.Want) {
				t.Errorf("%s: %s picked %d for %d, want %d", sched.Name(), c.name, got, n, c.want)
			}
		}
	}
}

// pick is what a scheduler does with a demand, after a round in which it learned
// the window.
func pick(sched Scheduler, m *memo, d Demand, subs ...View) int {
	subs = slices.Clone(subs)
	bar(subs, 0)
	sched.Weigh(m, d, subs)
	bar(subs, 0)
	i, _ := sched.Pick(m, d, subs)
	return i
}

func TestRoundRobin(t *testing.T) {
	m, d := memo{}, Demand{Want: 20_000}
	var got []int
	for range 4 {
		got = append(got, pick(roundRobin{}, &m, d, near(), far()))
	}
	if !slices.Equal(got, []int{0, 1, 0, 1}) {
		t.Errorf("%v", got)
	}
	if i := pick(roundRobin{}, &m, d, near(), edit(far(), full)); i != 0 {
		t.Errorf("picked %d, which has no room", i)
	}
}

// TestBLEST: near can send 4*(140000 + 1.5*1400) = 568400 bytes in far's
// round trip, and far's first segment takes 1400 bytes more.
func TestBLEST(t *testing.T) {
	for _, c := range []struct {
		window uint32
		lambda uint16
		want   int
	}{
		{570_000, 1000, 1}, {569_000, 1000, -1},
		{684_000, 1200, 1}, {683_000, 1200, -1},
	} {
		m := memo{lambda: c.lambda}
		if got := pick(blest{}, &m, Demand{Want: 20_000, Window: c.window}, edit(near(), full), far()); got != c.want {
			t.Errorf("window %d, lambda %d: picked %d, want %d", c.window, c.lambda, got, c.want)
		}
	}
	if got := pick(blest{}, &memo{}, Demand{Want: 20_000, Window: 1000}, near(), far()); got != 0 {
		t.Errorf("picked %d though the nearer has room", got)
	}
}

func TestBLESTLambda(t *testing.T) {
	m := memo{}
	now := tcp.Second
	step := func(free uint32) uint16 {
		now += 10 * ms
		pick(blest{}, &m, Demand{Now: now, Waits: 1 << 20, Window: 1 << 20, Free: free}, near(), far())
		return m.lambda
	}
	if got := step(0); got != blestLambda+blestBlocked {
		t.Errorf("%d after a round trip in which the window stopped us", got)
	}
	if got := step(1000); got != blestLambda+blestBlocked-blestFlowed {
		t.Errorf("%d after one in which it did not", got)
	}
	for range 100 {
		step(0)
	}
	if m.lambda != blestLambdaMax {
		t.Errorf("at most %d", m.lambda)
	}
	for range 100 {
		step(1000)
	}
	if m.lambda != blestLambdaMin {
		t.Errorf("at least %d", m.lambda)
	}
}

// TestECF: near is done with k bytes in (1 + k/140000)*10 ms, far has delivered
// its first after 40 ms and 1 ms of variation.
func TestECF(t *testing.T) {
	for _, c := range []struct {
		waits   uint32
		waiting bool
		want    int
	}{
		{440_000, false, 1},  // 41.4 ms: no sooner
		{430_000, false, -1}, // 40.7 ms
		{440_000, true, -1},  // it was waited for already: up to 51 ms
		{580_000, true, 1},
		{70_000, false, 1}, // far is done with it in 20 ms
	} {
		m := memo{waiting: c.waiting}
		got := pick(ecf{}, &m, Demand{Want: 20_000, Waits: c.waits}, edit(near(), full), far())
		if got != c.want || m.waiting != (got < 0) && c.waits != 70_000 {
			t.Errorf("%d bytes, waiting %v: picked %d, want %d; then %v", c.waits, c.waiting, got, c.want, m.waiting)
		}
	}
}

// TestGoodputShuns: near fills its 14 MB/s; with far a window of less than
// 25 ms of that would be the limit, and from 25 ms of both on none is.
func TestGoodputShuns(t *testing.T) {
	for _, c := range []struct {
		window uint32
		still  tcp.Time
		want   int
	}{
		{500_000, tcp.Second, 1}, {400_000, tcp.Second, 1}, {360_000, tcp.Second, -1},
		{360_000, 100 * ms, 1}, // it may yet grow
	} {
		d := Demand{Now: 10 * tcp.Second, Want: 20_000, Waits: 1 << 20, Window: c.window, Free: c.window / 2}
		m := memo{last: c.window, at: uint32((d.Now - c.still) / tcp.Microsecond)}
		if got := pick(goodput{}, &m, d, edit(near(), full), far()); got != c.want {
			t.Errorf("window %d for %d ms: picked %d, want %d", c.window, c.still/ms, got, c.want)
		}
	}
	// What the window can cover is used however little it adds.
	d := Demand{Now: 10 * tcp.Second, Want: 20_000, Waits: 1 << 20, Window: 8 << 20, Free: 8 << 20}
	if got := pick(goodput{}, &memo{}, d, edit(near(), full), edit(far(), func(v *View) { v.Rate = 1000 })); got != 1 {
		t.Errorf("a path that is slow so far: picked %d", got)
	}
	// Shunned, it is still there for what the other one lost.
	subs := []View{near(), far()}
	d.Window, d.Free = 200_000, 100_000
	m := memo{last: d.Window, at: 1}
	bar(subs, 0)
	goodput{}.Weigh(&m, d, subs)
	bar(subs, subs[0].index)
	if got, _ := (goodput{}).Pick(&m, d, subs); !subs[1].shunned || got != 1 {
		t.Errorf("shunned %v: picked %d for what was lost", subs[1].shunned, got)
	}
}

// TestGoodputQueues: with a tight window no path queues more than a share of it, and
// all queue as long.
func TestGoodputQueues(t *testing.T) {
	subs := []View{near(), far()}
	subs[0].Cwnd, subs[1].Cwnd = 4<<20, 4<<20
	d := Demand{Now: 10 * tcp.Second, Want: 20_000, Waits: 8 << 20, Window: 600_000, Free: 300_000}
	bar(subs, 0)
	goodput{}.Weigh(&memo{last: d.Window, at: 1}, d, subs)
	if sum := subs[0].Cwnd + subs[1].Cwnd; sum > d.Window {
		t.Errorf("the paths may fill %d and %d bytes of a window of %d", subs[0].Cwnd, subs[1].Cwnd, d.Window)
	}
	for _, v := range subs {
		if bdp := carried(v.Rate, v.MinRTT); uint64(v.Cwnd) < bdp {
			t.Errorf("a path may fill %d bytes, its round trip carries %d", v.Cwnd, bdp)
		}
	}
}

func TestSchedulerByName(t *testing.T) {
	if names := SchedulerNames(); len(names) != 5 || names[0] != "goodput" {
		t.Errorf("%v", names)
	}
	for i, name := range SchedulerNames() {
		if n, ok := SchedulerByName(name); !ok || n != uint8(i+1) {
			t.Errorf("%s: %d %v", name, n, ok)
		}
	}
	if _, ok := SchedulerByName("redundant"); ok {
		t.Error("there is no such scheduler")
	}
}

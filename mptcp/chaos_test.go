package mptcp

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// TestChaos runs connections over bad paths, each from a seed: loss,
// reordering, duplication, cuts and returns, checksums on and off, both
// versions, with 32-bit sequence numbers or 64. Every byte
// must arrive, and nothing may be left. MPXD_SEED picks one seed.
func TestChaos(t *testing.T) {
	first, last := uint64(100), uint64(160)
	if testing.Short() {
		last = 110
	}
	if v, err := strconv.ParseUint(os.Getenv("MPXD_SEED"), 10, 64); err == nil {
		first, last = v, v+1
	}
	for seed := first; seed < last && !t.Failed(); seed++ {
		chaos(t, seed, profile(seed%2))
	}
}

// worst bounds random paths.
type worst struct {
	rate, queue   int64
	delay, jitter int // ms
	loss          float64
	oneIn         int // path in so many loses, one delays, and one in one more duplicates
}

func randomPaths(r *rand.Rand, n int, b worst) (ps []*path) {
	for range n {
		p := &path{up: true, rate: 1e6 + r.Int64N(b.rate), delay: tcp.Time(1+r.IntN(b.delay)) * tcp.Millisecond, queue: 1<<16 + r.Int64N(b.queue)}
		if r.IntN(b.oneIn) == 0 {
			p.loss = r.Float64() * b.loss
		}
		if r.IntN(b.oneIn) == 0 {
			p.jitter = tcp.Time(r.IntN(b.jitter)+1) * tcp.Millisecond
		}
		if r.IntN(b.oneIn+1) == 0 {
			p.dup = r.Float64() * 0.05
		}
		ps = append(ps, p)
	}
	return ps
}

func chaos(t *testing.T, seed uint64, v profile) {
	r := rand.New(rand.NewPCG(seed, 7))
	n := 1 + r.IntN(3)
	ps := randomPaths(r, n, worst{rate: 40e6, delay: 40, queue: 1 << 20, loss: 0.03, jitter: 10, oneIn: 2})
	w := newWorld(t, seed, ps...)
	w.v = v
	w.cli.set.conf.Short = v == v0 && r.IntN(2) == 0
	w.trace = os.Getenv("MPXD_TRACE") != ""
	if r.IntN(3) == 0 {
		w.cli.set.conf.Checksum = true
	}
	if r.IntN(3) == 0 {
		w.srv.set.conf.RcvBuf = 64 << 10
	}
	if r.IntN(3) == 0 {
		w.cli.set.conf.RcvBuf = 128 << 10
	}
	c, s := w.pair(r.Int64N(2<<20), r.Int64N(4<<20))
	c.keepOpen = n > 1 // joins come late
	for i := 1; i < n; i++ {
		w.after(tcp.Time(100+r.IntN(300))*tcp.Millisecond, func() {
			w.join(c.c, i, uint16(2000+i), r.IntN(4) == 0)
		})
	}
	if n > 1 {
		// Never the only path that may be left: path 0 stays, others come
		// and go; or path 0 goes for a while.
		for range r.IntN(4) {
			i := r.IntN(n)
			at := tcp.Time(r.IntN(1500)) * tcp.Millisecond
			w.after(at+200*tcp.Millisecond, func() { ps[i].up = false })
			w.after(at+tcp.Time(300+r.IntN(3000))*tcp.Millisecond, func() { ps[i].up = true })
		}
		w.after(tcp.Second, func() { c.keepOpen = false; c.write(w.cli) })
	}
	w.run(300*tcp.Second, done(c, s))
	w.equal(c, s)
	if c.err != tcp.NoError || s.err != tcp.NoError {
		t.Fatalf("seed %d: client %v, server %v", seed, c.err, s.err)
	}
	for _, p := range ps {
		p.up = true
	}
	w.rest()
	n1, n2 := &w.cli.set.Count, &w.srv.set.Count
	for _, k := range []*Counters{n1, n2} {
		if k.DSSNotMatching+k.NoDSSInWindow+k.DataCsumErr+k.MPJoinAckHMacFailure+k.MPJoinSynAckHMacFailure+k.DataAckBeyond+k.MalformedOptions+k.DSSOverflow != 0 {
			t.Errorf("seed %d: client %+v server %+v", seed, *n1, *n2)
		}
	}
}

// TestEfficiency: both paths together carry what they carry alone.
func TestEfficiency(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of hundreds of megabits are not short")
	}
	alone := func(window uint32, ps ...*path) int64 {
		w := newWorld(t, 5, ps...)
		w.cli.set.conf.RcvBuf = window
		w.srv.set.conf.SndBuf = 12 << 20
		c, _ := w.pair(0, 1<<40)
		c.keepOpen = true
		if len(ps) > 1 {
			w.after(60*tcp.Millisecond, func() { w.join(c.c, 1, 2000, false) })
		}
		from := int64(0)
		w.after(tcp.Second, func() { from = c.got })
		end := w.now + 2*tcp.Second
		w.run(10*tcp.Second, func() bool { return w.now >= end })
		rate := (c.got - from) * 8 / 1e6
		t.Logf("window %d: %d Mbit/s, %d unblocked, %d retransmitted", window, rate, w.srv.set.Count.Unblocked, w.srv.env.Count.RetransSegs)
		return rate
	}
	a, b := alone(6<<20, wifi()), alone(6<<20, lte())
	if both := alone(6<<20, wifi(), lte()); both*100 < (a+b)*95 {
		t.Errorf("wifi %d, lte %d, both %d Mbit/s", a, b, both)
	}
	// A window that cannot cover the slow path's round trip at the rate of
	// both costs, but does not collapse. (A scheduler that leaves the slow
	// path out then could have all of a.)
	if both := alone(2<<20, wifi(), lte()); both*100 < a*70 {
		t.Errorf("wifi %d, both with a small window %d Mbit/s", a, both)
	}
}

// TestCut: a path falls silent in the middle of a download and comes back.
func TestCut(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of hundreds of megabits are not short")
	}
	w := newWorld(t, 6, wifi(), lte())
	c, _ := w.pair(0, 1<<40)
	c.keepOpen = true
	w.after(60*tcp.Millisecond, func() { w.join(c.c, 1, 2000, false) })
	w.after(2*tcp.Second, func() { c.longest = 0; w.paths[0].up = false })
	var before int64
	var back tcp.Time
	w.after(5*tcp.Second, func() { w.paths[0].up = true; before = w.paths[0].carried[1]; back = w.now })
	if testing.Verbose() {
		var tick func()
		tick = func() {
			for f, tu := range w.srv.tuples {
				st := w.srv.set.Tcp(f).Status()
				t.Logf("%d ms: path %d cwnd %d inflight %d unsent %d unacked %d srtt %d rto %d timeouts %d stale %v; got %d", w.now/tcp.Millisecond, tu.Remote[15], st.Cwnd, st.InFlight, st.Unsent, st.Unacked, st.SRTT/tcp.Millisecond, st.RTO/tcp.Millisecond, st.Timeouts, w.srv.set.flow(f).stale, c.got)
			}
			w.after(250*tcp.Millisecond, tick)
		}
		tick()
	}
	used := tcp.Time(0)
	end := w.now + 8*tcp.Second
	w.run(10*tcp.Second, func() bool {
		if back != 0 && used == 0 && w.paths[0].carried[1] > before+100_000 {
			used = w.now - back
		}
		return w.now >= end
	})
	if c.bad {
		t.Error("bytes differ")
	}
	t.Logf("stalled %d ms, back in use after %d ms; server %+v", c.longest/tcp.Millisecond, used/tcp.Millisecond, w.srv.set.Count)
	if c.longest > 500*tcp.Millisecond {
		t.Errorf("stalled for %d ms", c.longest/tcp.Millisecond)
	}
	if used == 0 || used > 1500*tcp.Millisecond {
		t.Errorf("back in use after %d ms", used/tcp.Millisecond)
	}
}

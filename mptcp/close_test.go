package mptcp

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// TestFinWithTheRequest: the end right after the first data, which repeats the
// keys, is told at once: the whole exchange takes two round trips.
func TestFinWithTheRequest(t *testing.T) {
	for _, csum := range []bool{false, true} {
		w := newWorld(t, 70, &path{up: true, delay: 10 * tcp.Millisecond})
		w.cli.set.conf.Checksum = csum
		c, s := w.pair(500, 500)
		s.waitEOF = true
		begin := w.now
		w.run(10*tcp.Second, func() bool { return c.eof })
		if took := w.now - begin; took > 45*tcp.Millisecond {
			t.Errorf("csum %v: the answer took %d ms", csum, took/tcp.Millisecond)
		}
		w.run(10*tcp.Second, done(c, s))
		w.equal(c, s)
		if n := w.cli.set.Count.DataRTO + w.srv.set.Count.DataRTO; n != 0 {
			t.Errorf("%d data-level timeouts", n)
		}
		w.rest()
	}
}

// TestFinWhosePathDies: the subflow that carried the DATA_FIN, and its DATA_ACK,
// is reset or falls silent: it is acknowledged over the other one.
func TestFinWhosePathDies(t *testing.T) {
	for _, silent := range []bool{false, true} {
		w, c, s := twoPaths(t, 71, nil)
		s.send = 0
		s.waitEOF = true
		c.send = 400_000
		match := func(seg *tcp.Segment) bool {
			var o options
			o.parse(v1, seg.Raw[:seg.RawLen])
			return o.is(subDSS) && o.dss.flags&dssFin != 0
		}
		gone := false
		w.after(100*tcp.Millisecond, func() { s.send = 0 })
		w.paths[0].filter = func(seg *tcp.Segment, to bool) bool {
			if to && match(seg) && !gone {
				gone = true
				w.paths[0].up = false
				if !silent {
					w.after(0, func() {
						for f, tu := range w.cli.tuples {
							if tu.Local == addr(1) {
								w.cli.set.Tcp(f).Abort(&w.cli.env)
								w.cli.set.Expire(&w.cli.env, f)
							}
						}
					})
				}
				return false
			}
			return true
		}
		lost := false
		w.paths[1].filter = func(seg *tcp.Segment, to bool) bool { // the first copy there is lost, too
			if to && match(seg) && !lost {
				lost = true
				return false
			}
			return true
		}
		w.after(400*tcp.Millisecond, func() { c.keepOpen = false; c.write(w.cli) })
		w.run(20*tcp.Second, func() bool { return s.eof })
		if at := w.now; at > 3*tcp.Second {
			t.Errorf("silent %v: the end came at %d ms", silent, at/tcp.Millisecond)
		}
		w.paths[0].up = true
		w.run(200*tcp.Second, done(c, s))
		w.equal(c, s)
		w.rest()
	}
}

// TestSilenceOnTheOnlyPath: a path that is cut and comes back sends nothing
// twice that tcp repairs anyway.
func TestSilenceOnTheOnlyPath(t *testing.T) {
	w := newWorld(t, 72, &path{up: true, rate: 2e6, delay: 10 * tcp.Millisecond, queue: 1 << 18})
	c, s := w.pair(0, 2<<20)
	w.after(500*tcp.Millisecond, func() { w.paths[0].up = false })
	w.after(2500*tcp.Millisecond, func() { w.paths[0].up = true })
	w.run(30*tcp.Second, done(c, s))
	w.equal(c, s)
	if n := w.srv.set.Count; n.MPTCPRetrans != 0 || n.BurstBytes != 2<<20 || n.SubflowStale == 0 {
		t.Errorf("%+v", n)
	}
	w.rest()
}

// TestReturns: a path is cut for 1 to 60 s in a download over two, at a random
// moment, and is used again within two of its round trips and a second of its
// return.
func TestReturns(t *testing.T) {
	seed, n := rand.Uint64N(1<<32), 6
	switch {
	case os.Getenv("MPXD_FULL") != "":
		n = 60
	case testing.Short():
		n = 1
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 5))
	for i := range n {
		cut := tcp.Time(1000+r.IntN(59_000)) * tcp.Millisecond
		if i == 0 {
			cut = 60 * tcp.Second
		}
		which, at := r.IntN(2), tcp.Time(500+r.IntN(1000))*tcp.Millisecond
		w := cutWorld(t, seed+uint64(i))
		c, _ := w.pair(0, 1<<40)
		c.keepOpen = true
		w.after(60*tcp.Millisecond, func() { w.join(c.c, 1, 2000, false) })
		p, back, before := w.paths[which], tcp.Time(0), int64(0)
		w.after(at, func() { p.up = false })
		w.after(at+cut, func() { p.up, back, before = true, w.now, p.carried[1] })
		w.run(200*tcp.Second, func() bool { return back != 0 && p.carried[1] > before+20_000 })
		limit := 2*2*p.delay + tcp.Second
		if used := w.now - back; used > limit+50*tcp.Millisecond || c.bad {
			t.Errorf("seed %d: path %d, cut for %d ms: used again after %d ms, bad %v", w.seed, which, cut/tcp.Millisecond, used/tcp.Millisecond, c.bad)
		}
	}
}

// cutWorld has two slow paths, so that a minute is soon simulated.
func cutWorld(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed, &path{up: true, rate: 2e6, delay: 5 * tcp.Millisecond, queue: 1 << 16}, &path{up: true, rate: 1e6, delay: 20 * tcp.Millisecond, queue: 1 << 16})
	return w
}

// TestFailover: a path dies silently in a download over two, at random moments:
// the stream stands still for one RTO of that path and 100 ms at most. The last ACK
// may come a one-way delay after its death, 5 or 20 ms, and begins the RTO; what is sent
// again waits in the other path's queue, 65 or 33 ms, and is on its way for 20 or 5: 90 in
// all when the fast path dies, 58 when the slow one does.
func TestFailover(t *testing.T) {
	seed, n := rand.Uint64N(1<<32), 40
	if os.Getenv("MPXD_FULL") != "" {
		n = 1000
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 6))
	worst := tcp.Time(0)
	for i := range n {
		which, at := r.IntN(2), tcp.Time(500_000+r.IntN(1_000_000))*tcp.Microsecond
		w := cutWorld(t, seed+uint64(i))
		c, _ := w.pair(0, 1<<40)
		c.keepOpen = true
		w.after(60*tcp.Millisecond, func() { w.join(c.c, 1, 2000, false) })
		rto := tcp.Time(0)
		w.after(at, func() {
			w.paths[which].up = false
			c.longest = 0
			for f, tu := range w.srv.tuples {
				if tu.Remote == addr(byte(1+which)) {
					rto = w.srv.set.Tcp(f).Status().RTO
				}
			}
		})
		end := w.now + at + 2*tcp.Second
		w.run(10*tcp.Second, func() bool { return w.now >= end })
		worst = max(worst, c.longest-rto)
		if c.longest > rto+100*tcp.Millisecond || c.bad {
			t.Errorf("seed %d: path %d dies at %d us: stalled %d ms, RTO %d ms, bad %v", w.seed, which, at/tcp.Microsecond, c.longest/tcp.Millisecond, rto/tcp.Millisecond, c.bad)
		}
	}
	t.Logf("the longest stall was its RTO and %d ms", worst/tcp.Millisecond)
}

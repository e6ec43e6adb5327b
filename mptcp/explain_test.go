package mptcp

import (
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// heard collects the records of a host as the stack would, after each event.
type heard struct {
	h    *host
	all  []Record
	kind [kinds]int
	why  [causes]int
}

func (w *world) listenTo(h *host) *heard {
	h.set.Watch()
	return &heard{h: h}
}

func (k *heard) take() {
	var r Record
	for k.h.set.NextRecord(&r) {
		k.all = append(k.all, r)
		k.kind[r.Kind]++
		switch r.Kind {
		case KindBurst, KindReinject, KindFallback:
			k.why[r.Code]++
		}
	}
}

// both runs a download over two paths and lets f interfere when both are in use.
func both(t *testing.T, seed uint64, bytes int64, backup bool, f func(*world, *app)) (*heard, *heard, *world) {
	t.Helper()
	w := newWorld(t, seed, &path{up: true, delay: 5 * tcp.Millisecond, rate: 2e6, queue: 60_000}, &path{up: true, delay: 30 * tcp.Millisecond, rate: 1e6, queue: 60_000})
	srv, cli := w.listenTo(w.srv), w.listenTo(w.cli)
	c, s := w.pair(0, bytes)
	w.after(50*tcp.Millisecond, func() {
		if !w.join(c.c, 1, 2000, backup) {
			t.Error("no join")
		}
	})
	if f != nil {
		w.after(600*tcp.Millisecond, func() { f(w, c) })
	}
	w.run(120*tcp.Second, func() bool {
		srv.take()
		cli.take()
		return c.done && s.done
	})
	srv.take()
	cli.take()
	if c.got != bytes || c.bad {
		t.Fatalf("seed %d: got %d of %d bytes, bad %v", seed, c.got, bytes, c.bad)
	}
	return srv, cli, w
}

func (k *heard) must(t *testing.T, what string, n int) {
	t.Helper()
	if n == 0 {
		t.Errorf("%s: not heard of; kinds %v, causes %v", what, k.kind, k.why)
	}
}

// TestExplainChoices: why each burst went where it went, and that all of them are told.
func TestExplainChoices(t *testing.T) {
	srv, cli, w := both(t, 50, 3<<20, false, nil)
	srv.must(t, "the only one", srv.why[CauseOnly])
	srv.must(t, "the fastest", srv.why[CauseFastest])
	srv.must(t, "the faster is full", srv.why[CauseFasterFull])
	cli.must(t, "a hole begins and ends", cli.kind[KindBlocked]/2)
	srv.must(t, "limits change", srv.kind[KindLimited])
	srv.must(t, "samples", srv.kind[KindSample])
	var bytes uint64
	bursts := 0
	for _, r := range srv.all {
		if r.Kind == KindBurst {
			bytes += r.Values[0]
			bursts++
		}
	}
	if bytes != 3<<20 || uint64(bursts+srv.kind[KindReinject]) != w.srv.set.Count.SchedulerBursts {
		t.Errorf("%d bytes in %d bursts, and %d again, of %d", bytes, bursts, srv.kind[KindReinject], w.srv.set.Count.SchedulerBursts)
	}
	if n := w.srv.set.Count.RecordsLost; n != 0 {
		t.Errorf("%d records lost", n)
	}
	// At most one sample in a round trip, but for the last of each subflow.
	took := w.now
	if most := 2 * (int(took/(10*tcp.Millisecond)) + 1); srv.kind[KindSample] > most {
		t.Errorf("%d samples in %d ms", srv.kind[KindSample], took/tcp.Millisecond)
	}
	for _, r := range cli.all {
		if r.Kind == KindExplained {
			x := r.Explained()
			if x.Blocked == 0 || x.Application == 0 || x.Blocked > took {
				t.Errorf("in %d ms: %+v", took/tcp.Millisecond, x)
			}
		}
	}
	cli.must(t, "explained", cli.kind[KindExplained])
}

// TestExplainReinjections: each cause once.
func TestExplainReinjections(t *testing.T) {
	srv, _, _ := both(t, 51, 3<<20, false, func(w *world, _ *app) { w.paths[1].up = false })
	srv.must(t, "stalled", srv.why[CauseStalled])

	srv, _, _ = both(t, 52, 3<<20, false, func(w *world, _ *app) {
		for f, tup := range w.srv.tuples {
			if tup.RemotePort == 2000 {
				sf := w.srv.set.flow(f)
				w.srv.set.kill(&w.srv.env, w.srv.set.owner(sf), sf, Unspecified)
				w.srv.set.push(&w.srv.env, w.srv.set.owner(sf))
			}
		}
	})
	srv.must(t, "ended", srv.why[CauseEnded])

	srv, _, _ = both(t, 53, 3<<20, true, func(w *world, _ *app) { w.paths[0].up = false })
	srv.must(t, "a backup", srv.why[CauseBackup])

	srv, _, _ = both(t, 54, 3<<20, false, func(w *world, c *app) { w.cli.set.Withdraw(&w.cli.env, c.c, 1) })
	srv.must(t, "removed, or closed first", srv.why[CauseRemoved]+srv.why[CauseEnded])

	srv, _, _ = both(t, 55, 3<<20, false, func(w *world, _ *app) {
		for h := range w.srv.apps {
			w.srv.set.conn(h).retransAt = w.now
			w.srv.set.ExpireConn(&w.srv.env, h)
		}
	})
	srv.must(t, "a DATA_ACK that did not come in time", srv.kind[KindDataTimeout])
}

// TestExplainUnblock: what a slow path carries holds a small window up.
func TestExplainUnblock(t *testing.T) {
	w := newWorld(t, 57, &path{up: true, delay: 5 * tcp.Millisecond, rate: 4e6}, &path{up: true, delay: 150 * tcp.Millisecond, rate: 4e6})
	w.cli.set.conf.RcvBuf = 160 << 10
	srv := w.listenTo(w.srv)
	c, s := w.pair(0, 4<<20)
	w.after(50*tcp.Millisecond, func() { w.join(c.c, 1, 2000, false) })
	w.run(60*tcp.Second, func() bool { srv.take(); return c.done && s.done })
	srv.take()
	srv.must(t, "the window", srv.why[CauseWindow])
	window := 0
	for _, r := range srv.all {
		if r.Kind == KindLimited && Limit(r.Code) == LimitWindow {
			window++
		}
	}
	srv.must(t, "limited by the window", window)
}

// TestExplainFallbacks: in the handshake, and when options are stripped later.
func TestExplainFallbacks(t *testing.T) {
	for _, c := range []struct {
		when tcp.Flags
		want Cause
	}{{tcp.SYN, CauseHandshake}, {0, CauseStripped}} {
		w := newWorld(t, 58, &path{up: true, delay: 5 * tcp.Millisecond, rate: 1e6})
		w.paths[0].strip = func(seg *tcp.Segment, toServer bool) {
			if seg.Flags&tcp.SYN == c.when && (c.when != 0 || !toServer && w.now > 100*tcp.Millisecond) {
				seg.RawLen = 0
			}
		}
		cli := w.listenTo(w.cli)
		a, s := w.pair(1000, 1<<20)
		s.waitEOF = false
		w.run(60*tcp.Second, func() bool { cli.take(); return a.done && s.done })
		cli.take()
		if a.got != 1<<20 || a.bad {
			t.Errorf("%v: got %d bytes, bad %v", c.want, a.got, a.bad)
		}
		cli.must(t, c.want.String(), cli.why[c.want])
	}
}

// TestExplainWindow: a peer that does not read.
func TestExplainWindow(t *testing.T) {
	w := newWorld(t, 56, &path{up: true, delay: 5 * tcp.Millisecond})
	srv := w.listenTo(w.srv)
	c, s := w.pair(0, 12<<20)
	c.hold = true
	w.after(2*tcp.Second, func() { c.hold = false; c.read(w.cli) })
	w.run(60*tcp.Second, func() bool { srv.take(); return c.done && s.done })
	srv.take()
	for _, r := range srv.all {
		if r.Kind == KindExplained {
			if x := r.Explained(); x.Window < tcp.Second || x.Window > 2*tcp.Second {
				t.Errorf("%+v of two seconds without reading", x)
			}
		}
	}
	srv.must(t, "explained", srv.kind[KindExplained])
}

package proxy

import (
	"bytes"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

var paths = map[string]struct{ at, to string }{
	"IPv4": {"10.1.0.2:1080", "10.2.0.1:80"},
	"IPv6": {"[fd01::2]:1080", "[fd02::1]:80"},
	"4to6": {"10.1.0.2:1080", "[fd02::1]:80"},
}

// TestRelay: an upload that half-closes and gets its answer, over bad links on
// both sides of the proxy.
func TestRelay(t *testing.T) {
	kinds := map[string]link.Config{
		"clean":   {Rate: 1e9, Delay: ms},
		"loss":    {Rate: 1e8, Delay: ms, Loss: 10000},
		"reorder": {Rate: 1e8, Delay: ms, Reorder: 50000, ReorderDelay: 2 * ms},
		"dup":     {Rate: 1e8, Delay: ms, Duplicate: 50000},
		"corrupt": {Rate: 1e8, Delay: ms, Corrupt: 10000},
		"all": {Rate: 5e7, Delay: 5 * ms, Jitter: 2 * ms, Loss: 5000, Reorder: 10000, ReorderDelay: 3 * ms,
			Duplicate: 5000, Corrupt: 2000, Burst: link.Burst{Enter: 200, Leave: 500000, Loss: link.Million}},
	}
	for kind, l := range kinds {
		for family, path := range paths {
			t.Run(kind+"/"+family, func(t *testing.T) {
				t.Parallel()
				for seed := range seeds() {
					w := newWorld(t, worldConfig{seed: seed + 1, access: l, core: l, proxy: patient})
					w.exchange(t, path.at, path.to, 3*size(), 2*size())
					w.settle(t)
				}
			})
		}
	}
}

// patient outwaits the back-off of retransmissions into a burst of losses.
var patient = Config{Linger: 300 * tcp.Second}

func seeds() uint64 {
	if testing.Short() {
		return 1
	}
	return 3
}

func size() int64 {
	if testing.Short() {
		return 1 << 17
	}
	return 1 << 20
}

// exchange is one visit with both streams, checked from end to end.
func (w *world) exchange(t testing.TB, at, to string, up, down int64) {
	t.Helper()
	o := w.serve(down)
	g := w.visit(t, &guest{at: at, say: hello(to), answer: 2 + replyLen(to), up: up, key: 1, want: 2})
	if !w.RunUntil(func() bool { return g.done && o.Done }, 900*tcp.Second) {
		t.Fatalf("not over: %+v, %+v", *g, *o)
	}
	if g.err != tcp.NoError || !g.eof || g.got != down || g.wrong != 0 {
		t.Errorf("client: %d of %d bytes, wrong at %d, eof %v, %v", g.got, down, g.wrong, g.eof, g.err)
	}
	if o.Err != tcp.NoError || !o.EOF || o.Got != up || o.Mismatch != 0 {
		t.Errorf("origin: %d of %d bytes, wrong at %d, eof %v, %v", o.Got, up, o.Mismatch, o.EOF, o.Err)
	}
	// The proxy may wait for its last ACK a little longer.
	if !w.RunUntil(func() bool { return w.p.Count().Sessions == 0 }, 120*tcp.Second) {
		t.Fatal("the session does not end")
	}
	r := w.records[len(w.records)-1]
	if r.End != Closed || r.Up != uint64(up) || r.Down != uint64(down) || r.Reply != Succeeded || r.Upstream.String() != to {
		t.Errorf("record: %+v", r)
	}
}

// replyLen is how long a reply is whose bound address has the family of to.
func replyLen(to string) int {
	if to[0] == '[' {
		return 22
	}
	return 10
}

// TestFragments: the handshake in pieces of every size, and with the client's
// first bytes right behind the request.
func TestFragments(t *testing.T) {
	for _, to := range []string{"10.2.0.1:80", "[fd02::1]:80", "name.example:80", "10.2.0.1.:80"} {
		for _, piece := range []int{1, 2, 3, 4, 7, 11, 0} {
			w := newWorld(t, worldConfig{seed: 1, core: link.Config{Delay: 5 * ms}, proxy: Config{Resolver: names{
				"name.example": {"10.2.0.1"}, "10.2.0.1.": {"10.2.0.1"},
			}}})
			o := w.serve(1000)
			early := []byte("sent before the answer: ")
			g := w.visit(t, &guest{say: append(hello(to), early...), piece: piece, gap: 10 * tcp.Millisecond,
				answer: 2 + replyLen(to), key: 1, want: 2})
			if !w.RunUntil(func() bool { return g.done && o.Done }, 60*tcp.Second) {
				t.Fatalf("%s in pieces of %d: %+v", to, piece, *g)
			}
			if g.got != 1000 || g.wrong != 0 || g.err != tcp.NoError || o.Got != int64(len(early)) {
				t.Errorf("%s in pieces of %d: client %+v, origin %+v", to, piece, *g, *o)
			}
			if !bytes.Equal(g.heard[:5], []byte{5, 0, 5, 0, 0}) {
				t.Errorf("%s in pieces of %d: heard %x", to, piece, g.heard)
			}
			w.settle(t)
		}
	}
}

// TestEarly: what a client sends before the reply arrives is relayed without
// another word of it.
func TestEarly(t *testing.T) {
	w := newWorld(t, worldConfig{seed: 1, core: link.Config{Delay: 50 * ms}})
	o := w.serve(0)
	g := w.visit(t, &guest{say: append(hello("10.2.0.1:80"), "and no more"...), answer: 12, up: -1})
	if !w.RunUntil(func() bool { return o.Got == int64(len("and no more")) }, tcp.Second) {
		t.Errorf("the origin got %d bytes", o.Got)
	}
	w.client.Do(func(s *stack.Shard) { s.Abort(g.conn) })
	w.settle(t)
}

// TestSlowReader: what a client does not read is not fetched: the frames in use
// stay bounded by the windows, whatever the origin has to say.
func TestSlowReader(t *testing.T) {
	conf := tcp.DefaultConfig()
	conf.RcvBuf, conf.SndBuf = 256<<10, 256<<10
	l := link.Config{Rate: 1e9, Delay: ms}
	w := newWorld(t, worldConfig{seed: 1, tcp: &conf, access: l, core: l})
	const size = 10 << 20
	o := w.serve(size)
	o.After = false
	g := w.visit(t, &guest{say: hello("10.2.0.1:80"), answer: 12, key: 1, want: 2})
	w.RunUntil(func() bool { return g.got > 1<<20 }, 10*tcp.Second)
	g.hold = true

	used, idle := 0, w.proxy.Pool.Frames()
	for end := w.Now() + 60*tcp.Second; w.Now() < end && w.Step(); {
		used = max(used, idle-w.proxy.Pool.Free())
	}
	// A receive and a send buffer full of segments of at least half an MSS, the
	// two fill rings, and what is in the rings.
	if bound := (256<<10+256<<10)/730 + 2*256 + 64; used > bound {
		t.Errorf("%d frames in use, expected at most %d", used, bound)
	}
	if limit := int64(5*(256<<10) + 2<<20); o.Sent > limit {
		t.Errorf("the origin could send %d bytes, expected at most %d", o.Sent, limit)
	}
	t.Logf("%d frames in use, origin sent %d", used, o.Sent)

	w.resume(g)
	if !w.RunUntil(func() bool { return g.done && o.Done }, 60*tcp.Second) || g.got != size || g.wrong != 0 || g.err != tcp.NoError {
		t.Errorf("%+v", *g)
	}
	w.settle(t)
}

// TestReset: a leg that is reset takes the other with it.
func TestReset(t *testing.T) {
	for _, of := range []string{"client", "origin"} {
		w := newWorld(t, worldConfig{seed: 1, access: link.Config{Delay: ms}, core: link.Config{Delay: ms}})
		o := w.serve(1 << 40)
		o.After = false
		g := w.visit(t, &guest{say: hello("10.2.0.1:80"), answer: 12, up: -1, key: 1, want: 2})
		w.RunUntil(func() bool { return g.got > 1<<20 }, 10*tcp.Second)
		want := ClientGone
		if of == "client" {
			w.client.Do(func(s *stack.Shard) { s.Abort(g.conn) })
		} else {
			want = UpstreamGone
			w.origin.Do(func(s *stack.Shard) { s.Abort(w.server.last) })
		}
		if !w.RunUntil(func() bool { return g.done && o.Done }, tcp.Second) {
			t.Fatalf("reset of the %s: %+v, %+v", of, *g, *o)
		}
		other := o.Err
		if of == "origin" {
			other = g.err
		}
		if r := w.records[0]; r.End != want || r.Why != tcp.ResetByPeer || other != tcp.ResetByPeer {
			t.Errorf("reset of the %s: %+v, the other: %v", of, r, other)
		}
		w.settle(t)
	}
}

// TestCut: a link that fails for a while costs time and no byte.
func TestCut(t *testing.T) {
	l := link.Config{Rate: 1e8, Delay: 5 * ms}
	w := newWorld(t, worldConfig{seed: 1, access: l, core: l})
	const size = 8 << 20
	o := w.serve(size)
	g := w.visit(t, &guest{say: hello("10.2.0.1:80"), answer: 12, up: size, key: 1, want: 2})
	for k, h := range []interface{ SetUp(int, bool) }{w.client, w.origin, w.client, w.origin} {
		from := o.Got + g.got
		if !w.RunUntil(func() bool { return o.Got+g.got > from+1<<20 }, 60*tcp.Second) {
			t.Fatalf("cut %d: %+v, %+v", k, *g, *o)
		}
		h.SetUp(0, false)
		w.Run(w.Now() + 3*tcp.Second)
		h.SetUp(0, true)
	}
	if !w.RunUntil(func() bool { return g.done && o.Done }, 300*tcp.Second) ||
		g.got != size || o.Got != size || g.wrong+o.Mismatch != 0 || g.err != tcp.NoError || o.Err != tcp.NoError {
		t.Errorf("%+v, %+v", *g, *o)
	}
	w.settle(t)
}

// TestVanished: a client that is gone without a word frees both legs, in
// whatever it was.
func TestVanished(t *testing.T) {
	for name, c := range map[string]struct {
		say  []byte
		down int64
	}{
		"before the greeting":  {nil, 0},
		"in the request":       {hello("10.2.0.1:80")[:7], 0},
		"while it downloads":   {hello("10.2.0.1:80"), 1 << 40},
		"while nothing moves":  {hello("10.2.0.1:80"), 1 << 20},
		"while it is resolved": {hello("never.example:80"), 0},
	} {
		w := newWorld(t, worldConfig{seed: 1, access: link.Config{Rate: 1e8, Delay: ms}, proxy: Config{Resolver: names{"never.example": nil}}})
		o := w.serve(c.down)
		o.After = c.down == 1<<20
		g := w.visit(t, &guest{say: c.say, answer: 12, up: -1, key: 1, want: 2})
		w.Run(w.Now() + 3*tcp.Second)
		if w.p.Count().Sessions != 1 {
			t.Fatalf("%s: %+v", name, w.p.Count())
		}
		w.client.SetUp(0, false)
		began := w.Now()
		if !w.RunUntil(func() bool { return w.p.Count().Sessions == 0 }, 3600*tcp.Second) {
			t.Fatalf("%s: the session stays", name)
		}
		t.Logf("%s: after %d s: %v", name, (w.Now()-began)/tcp.Second, w.records[0].End)
		if w.Now()-began > 600*tcp.Second {
			t.Errorf("%s: noticed after %d s", name, (w.Now()-began)/tcp.Second)
		}
		if len(c.say) > 10 && c.down > 0 && !w.RunUntil(func() bool { return o.Done }, 10*tcp.Second) {
			t.Errorf("%s: the origin was not told", name)
		}
		w.client.Do(func(s *stack.Shard) { s.Abort(g.conn) })
		w.settle(t)
	}
}

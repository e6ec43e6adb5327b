package proxy

import (
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/internal/sim"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// TestStorm: many clients of every kind at once over bad links, some of which
// leave in the middle, while links fail and come back. In the end whoever was
// not cut off has got all its bytes, and nothing is left.
func TestStorm(t *testing.T) {
	for seed := range 2 * seeds() {
		t.Run("", func(t *testing.T) { t.Parallel(); storm(t, 100+seed) })
	}
}

func storm(t *testing.T, seed uint64) {
	l := link.Config{Rate: 1e8, Delay: 3 * ms, Jitter: ms, Loss: 5000, Reorder: 5000, ReorderDelay: 2 * ms, Duplicate: 2000, Corrupt: 1000}
	w := newWorld(t, worldConfig{seed: seed, access: l, core: l, proxy: Config{Resolver: names{
		"origin.example": {"fd02::1", "10.2.0.1"}, "never.example": nil,
	}}})
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	const down = 200_000
	w.server.Serve = func() *sim.Stream { return &sim.Stream{Send: down, Key: 2, Want: 1, After: true} }
	targets := []string{"10.2.0.1:80", "[fd02::1]:80", "origin.example:80", "10.2.0.1:81", "10.2.0.9:80", "192.0.2.1:80", "none.example:80", "never.example:80"}
	var all, left []*guest
	for range 60 {
		to := targets[rng.IntN(len(targets))]
		g := &guest{say: hello(to), up: rng.Int64N(300_000), key: 1, want: 2, piece: rng.IntN(20), gap: 5 * tcp.Millisecond}
		g.answer = 12
		if to[0] == '[' || to == "origin.example:80" {
			g.answer = 24
		}
		if rng.IntN(8) == 0 {
			g.say = g.say[:rng.IntN(len(g.say))]
		}
		all = append(all, w.visit(t, g))
		if rng.IntN(5) == 0 {
			left = append(left, g)
		}
	}
	for range 6 {
		w.Run(w.Now() + tcp.Time(rng.IntN(2000))*tcp.Millisecond)
		h := []*sim.Host{w.client, w.origin}[rng.IntN(2)]
		h.SetUp(0, false)
		w.Run(w.Now() + tcp.Time(rng.IntN(1500))*tcp.Millisecond)
		h.SetUp(0, true)
		if len(left) > 0 {
			g := left[0]
			left = left[1:]
			w.client.Do(func(s *stack.Shard) { s.Abort(g.conn) })
		}
	}
	w.RunUntil(func() bool { return w.p.Count().Sessions == 0 && len(w.app.all) == 0 }, 1200*tcp.Second)
	whole := 0
	for i, g := range all {
		succeeded := len(g.heard) > 3 && g.heard[3] == byte(Succeeded)
		if !g.done || g.wrong != 0 {
			t.Errorf("client %d: %+v", i, *g)
		}
		if succeeded && g.err == tcp.NoError {
			whole++
			if g.got != down || g.sent != g.up {
				t.Errorf("client %d: %d of %d bytes down, %d of %d up", i, g.got, down, g.sent, g.up)
			}
		}
	}
	if whole < 10 {
		t.Errorf("%d of %d clients have all their bytes", whole, len(all))
	}
	t.Logf("%d of %d whole; %+v", whole, len(all), w.p.Count())
	w.settle(t)
}

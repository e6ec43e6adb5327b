package mptcp

import (
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// TestBlackhole: a path that swallows SYNs with MP_CAPABLE is remembered, for
// longer each time, and forgotten when it carries one.
func TestBlackhole(t *testing.T) {
	w := newWorld(t, 70, &path{up: true, rate: 2e6, delay: 10 * tcp.Millisecond, queue: 1 << 18})
	eats := true
	w.paths[0].filter = func(seg *tcp.Segment, up bool) bool {
		var o options
		o.parse(v1, seg.Raw[:seg.RawLen])
		return !eats || !o.is(subCapable)
	}
	connect := func() (took tcp.Time, multi bool) {
		c, s := w.pair(1000, 1000)
		began := w.now
		w.run(60*tcp.Second, func() bool { return c.connected })
		took = w.now - began
		info, _ := w.cli.set.Info(c.c)
		w.run(60*tcp.Second, done(c, s))
		w.rest()
		return took, info.MPTCP
	}
	for _, step := range []struct {
		after       tcp.Time
		eats, multi bool
		slow        bool
	}{
		{0, true, false, true},                 // found out by losing SYNs
		{0, true, false, false},                // remembered
		{blackholeFor, true, false, true},      // tried again
		{blackholeFor, true, false, false},     // remembered for longer
		{blackholeFor, true, false, true},      // tried again
		{4 * blackholeFor, false, true, false}, // it has been mended
		{tcp.Second, true, false, true},        // and broke again: a first time
		{blackholeFor, false, true, false},     //
	} {
		w.now += step.after
		eats = step.eats
		took, multi := connect()
		if multi != step.multi || (took > tcp.Second) != step.slow {
			t.Errorf("%+v: MPTCP %v after %d ms", step, multi, took/tcp.Millisecond)
		}
	}
	if n := w.cli.set.Count.Blackhole; n != 2 {
		t.Errorf("%d began without", n)
	}
}

//go:build !race && !framecheck

// The race detector allocates, and so does the record of who held a frame.

package mptcp

import (
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// TestNoAllocations: one round of a download over two subflows, from Send to
// the DATA_ACK, allocates nothing in either Set.
func TestNoAllocations(t *testing.T) {
	for i := range 4 {
		csum := i&1 != 0
		w := newWorld(t, 40, &path{up: true, delay: tcp.Millisecond}, &path{up: true, delay: 2 * tcp.Millisecond})
		w.v = profile(i >> 1)
		w.srv.set.conf.Checksum, w.cli.set.conf.Short = csum, true
		w.srv.set.conf.Coupling = OLIA
		if csum {
			w.srv.set.Watch() // what nobody reads gives way
		}
		c, s := w.pair(0, 0)
		c.keepOpen, s.keepOpen = true, true
		w.after(20*tcp.Millisecond, func() { w.srv.send(s, 10_000) })
		w.after(50*tcp.Millisecond, func() {
			if !w.join(c.c, 1, 2000, false) {
				t.Error("no join")
			}
		})
		end := w.now + 100*tcp.Millisecond
		w.run(10*tcp.Second, func() bool { return w.now >= end })

		d := newDirect(w)
		round := func() {
			w.now += 5 * tcp.Millisecond
			w.srv.env.Now, w.cli.env.Now = w.now, w.now
			w.srv.send(s, 5600)
			for d.move(w.srv, w.cli) || d.move(w.cli, w.srv) {
			}
			for {
				span, ok := w.cli.set.Recv(&w.cli.env, c.c)
				if !ok {
					break
				}
				w.cli.env.Pool.Release(span.Frame)
			}
			for _, h := range []*host{w.srv, w.cli} {
				for _, _, ok := h.set.NextEvent(); ok; _, _, ok = h.set.NextEvent() {
				}
			}
		}
		for range 50 {
			round()
		}
		before := w.srv.set.Count.BurstBytes
		if n := testing.AllocsPerRun(200, round); n != 0 {
			t.Errorf("version %d, checksum %v: %v allocations a round", w.v, csum, n)
		}
		if got := w.srv.set.Count.BurstBytes - before; got < 200*5600 {
			t.Errorf("version %d, checksum %v: only %d bytes moved", w.v, csum, got)
		}
	}
}

package mptcp

import (
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// pair runs one connection: the client sends up, the server down.
func (w *world) pair(up, down int64) (c, s *app) {
	c = &app{send: up, salt: 1, peerSalt: 2}
	s = &app{send: down, salt: 2, peerSalt: 1}
	first := true
	w.srv.listen = func(Conn) *app {
		if first {
			first = false
			return s
		}
		return &app{} // a join that came as a connection
	}
	w.dial(c)
	return c, s
}

func done(apps ...*app) func() bool {
	return func() bool {
		for _, a := range apps {
			if !a.done {
				return false
			}
		}
		return true
	}
}

func TestOneSubflow(t *testing.T) {
	w := newWorld(t, 1, wifi())
	c, s := w.pair(300_000, 3_000_000)
	w.run(30*tcp.Second, done(c, s))
	w.equal(c, s)
	if n := w.srv.set.Count; n.MPCapableACKRX != 1 || n.DssFallback != 0 || n.SchedulerBursts == 0 {
		t.Errorf("server: %+v", n)
	}
	w.rest()
}

func TestTwoSubflows(t *testing.T) {
	w := newWorld(t, 2, wifi(), lte())
	c, s := w.pair(0, 60<<20)
	c.keepOpen = true
	w.after(60*tcp.Millisecond, func() {
		if !w.join(c.c, 1, 2000, false) {
			t.Error("the join could not begin")
		}
	})
	start := w.now
	w.run(60*tcp.Second, func() bool { return c.eof })
	took := w.now - start
	rate := c.got * 8 * int64(tcp.Second) / int64(took) / 1e6
	t.Logf("60 MiB in %d ms: %d Mbit/s, wifi %d, lte %d bytes", took/tcp.Millisecond, rate, w.paths[0].carried[1], w.paths[1].carried[1])
	t.Logf("server %+v", w.srv.set.Count)
	c.keepOpen = false
	c.write(w.cli)
	w.run(30*tcp.Second, done(c, s))
	w.equal(c, s)
	w.rest()
}

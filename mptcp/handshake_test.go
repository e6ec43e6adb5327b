package mptcp

import (
	"fmt"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// small runs one connection over one path that is edited first, and checks
// that all bytes arrive and nothing is left.
func small(t *testing.T, name string, edit func(w *world), check func(t *testing.T, w *world)) {
	for _, v := range []profile{v0, v1} {
		smallOf(t, v, fmt.Sprintf("%s, version %d", name, v), edit, check)
	}
}

func smallOf(t *testing.T, v profile, name string, edit func(w *world), check func(t *testing.T, w *world)) {
	t.Run(name, func(t *testing.T) {
		plans := [][2]int64{{5000, 20000}, {0, 100_000}, {100_000, 0}, {1, 1}}
		if testing.Short() {
			plans = plans[:1]
		}
		for _, plan := range plans {
			for _, quiet := range []bool{false, true} { // quiet: the server waits for the request's end
				w := newWorld(t, 11, &path{up: true, delay: 10 * tcp.Millisecond})
				w.v = v
				edit(w)
				c, s := w.pair(plan[0], plan[1])
				s.waitEOF = quiet
				w.run(120*tcp.Second, done(c, s))
				w.equal(c, s)
				if c.err != tcp.NoError || s.err != tcp.NoError {
					t.Errorf("client %v, server %v", c.err, s.err)
				}
				check(t, w)
				w.rest()
			}
		}
	})
}

func stripAll(seg *tcp.Segment, _ bool) { seg.RawLen = 0 }

// dropNth drops the n-th segment (from 0) of a direction that is a match.
func dropNth(n int, server bool, match func(seg *tcp.Segment) bool) func(*tcp.Segment, bool) bool {
	seen := 0
	return func(seg *tcp.Segment, toServer bool) bool {
		if toServer != server || !match(seg) {
			return true
		}
		seen++
		return seen-1 != n
	}
}

func isThird(seg *tcp.Segment) bool {
	var o options
	o.parse(v1, seg.Raw[:seg.RawLen])
	return seg.Flags&tcp.SYN == 0 && o.is(subCapable) && o.cap.size == 20
}

func TestHandshakes(t *testing.T) {
	mptcp := func(t *testing.T, w *world) {
		if n := w.srv.set.Count; n.MPCurrEstab != 1 || n.DssFallback+n.FallbackFailed != 0 {
			t.Errorf("not MPTCP: %+v", n)
		}
	}
	plain := func(t *testing.T, w *world) {
		if n := w.srv.set.Count; n.MPCurrEstab != 0 || n.FallbackFailed != 0 || w.srv.set.tokens.n != 0 {
			t.Errorf("not plain: %+v", n)
		}
	}
	small(t, "good", func(*world) {}, mptcp)
	small(t, "checksum", func(w *world) { w.cli.set.conf.Checksum = true }, mptcp)
	small(t, "checksum asked by the server", func(w *world) { w.srv.set.conf.Checksum = true }, mptcp)
	small(t, "client without", func(w *world) { w.cli.set.conf.Enabled = false }, plain)
	small(t, "server without", func(w *world) { w.srv.set.conf.Enabled = false }, plain)
	small(t, "all stripped", func(w *world) { w.paths[0].strip = stripAll }, plain)
	small(t, "stripped from SYN", func(w *world) {
		w.paths[0].strip = func(seg *tcp.Segment, to bool) {
			if seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN {
				seg.RawLen = 0
			}
		}
	}, plain)
	small(t, "stripped from SYN-ACK", func(w *world) {
		w.paths[0].strip = func(seg *tcp.Segment, to bool) {
			if seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN|tcp.ACK {
				seg.RawLen = 0
			}
		}
	}, plain)
	small(t, "stripped after the SYNs", func(w *world) {
		w.paths[0].strip = func(seg *tcp.Segment, to bool) {
			if seg.Flags&tcp.SYN == 0 {
				seg.RawLen = 0
			}
		}
	}, plain)
	small(t, "stripped towards the server", func(w *world) {
		w.paths[0].strip = func(seg *tcp.Segment, to bool) {
			if to && seg.Flags&tcp.SYN == 0 {
				seg.RawLen = 0
			}
		}
	}, plain)
	small(t, "stripped from payload", func(w *world) {
		w.paths[0].strip = func(seg *tcp.Segment, to bool) {
			if seg.Len > 0 {
				seg.RawLen = 0
			}
		}
	}, func(*testing.T, *world) {})
	small(t, "lost SYN-ACK", func(w *world) {
		w.paths[0].filter = dropNth(0, false, func(seg *tcp.Segment) bool { return seg.Flags&tcp.SYN != 0 })
	}, mptcp)
	small(t, "lost third ACK", func(w *world) { w.paths[0].filter = dropNth(0, true, isThird) }, mptcp)
	small(t, "lost first data", func(w *world) {
		w.paths[0].filter = dropNth(0, true, func(seg *tcp.Segment) bool { return seg.Len > 0 })
	}, mptcp)
	small(t, "lost third ACK and first data", func(w *world) {
		a, b := dropNth(0, true, isThird), dropNth(0, true, func(seg *tcp.Segment) bool { return seg.Len > 0 })
		w.paths[0].filter = func(seg *tcp.Segment, to bool) bool { return a(seg, to) && b(seg, to) }
	}, func(*testing.T, *world) {})
	small(t, "SYN with MP_CAPABLE never arrives", func(w *world) {
		w.paths[0].filter = func(seg *tcp.Segment, to bool) bool { return seg.Flags&tcp.SYN == 0 || seg.RawLen == 0 }
	}, plain)
	small(t, "SYN-ACK with MP_CAPABLE never arrives", func(w *world) {
		w.paths[0].filter = func(seg *tcp.Segment, to bool) bool {
			return to || seg.Flags&tcp.SYN == 0 || seg.RawLen == 0
		}
	}, plain)
	small(t, "reset of B", func(w *world) {
		w.paths[0].strip = func(seg *tcp.Segment, to bool) {
			if to && seg.Flags&tcp.SYN != 0 && seg.RawLen > 0 {
				seg.Raw[3] |= capExtension
			}
		}
	}, plain)
	version := func(n byte) func(w *world) {
		return func(w *world) {
			w.paths[0].strip = func(seg *tcp.Segment, to bool) {
				if to && seg.Flags&tcp.SYN != 0 && seg.RawLen > 0 {
					seg.Raw[2] |= n
				}
			}
		}
	}
	smallOf(t, v1, "later version", version(2), mptcp)
	smallOf(t, v0, "later version with a key", version(2), plain)
	smallOf(t, v0, "the unpublished version with a key", version(1), plain)
	small(t, "no algorithm", func(w *world) {
		w.paths[0].strip = func(seg *tcp.Segment, to bool) {
			if to && seg.Flags&tcp.SYN != 0 && seg.RawLen > 0 {
				seg.Raw[3] = 0
			}
		}
	}, plain)
}

// twoPaths brings up a connection with two subflows that carries a long
// download.
func twoPaths(t *testing.T, seed uint64, edit func(w *world)) (w *world, c, s *app) {
	w = newWorld(t, seed, &path{up: true, rate: 2e6, delay: 10 * tcp.Millisecond, queue: 1 << 18}, &path{up: true, rate: 2e6, delay: 15 * tcp.Millisecond, queue: 1 << 18})
	if edit != nil {
		edit(w)
	}
	c, s = w.pair(0, 4<<20)
	c.keepOpen = true
	w.after(200*tcp.Millisecond, func() {
		if !w.join(c.c, 1, 2000, false) {
			t.Error("no join")
		}
	})
	return w, c, s
}

func (w *world) finish(c, s *app) {
	w.t.Helper()
	w.run(100*tcp.Second, func() bool { return c.eof })
	c.keepOpen = false
	c.write(w.cli)
	w.run(100*tcp.Second, done(c, s))
	w.equal(c, s)
	w.rest()
}

func TestJoins(t *testing.T) {
	corrupt := func(size uint8, at int) func(w *world) {
		return func(w *world) {
			w.paths[1].strip = func(seg *tcp.Segment, _ bool) {
				if seg.RawLen > 2 && seg.Raw[2]>>4 == uint8(subJoin) && seg.Raw[1] == size {
					seg.Raw[at] ^= 1
				}
			}
		}
	}
	for _, c := range []struct {
		name  string
		edit  func(w *world)
		check func(srv, cli *Counters) bool
	}{
		{"good", nil, func(s, c *Counters) bool { return s.MPJoinAckRx == 1 && c.MPJoinSynAckRx == 1 }},
		{"unknown token", corrupt(12, 5), func(s, c *Counters) bool { return s.MPJoinNoTokenFound == 1 && s.MPJoinAckRx == 0 }},
		{"bad MAC in SYN-ACK", corrupt(16, 6), func(s, c *Counters) bool { return c.MPJoinSynAckHMacFailure == 1 && s.MPJoinAckRx == 0 }},
		{"bad MAC in ACK", corrupt(24, 23), func(s, c *Counters) bool { return s.MPJoinAckHMacFailure == 1 && s.MPJoinAckRx == 0 }},
		{"stripped", func(w *world) { w.paths[1].strip = stripAll }, func(s, c *Counters) bool { return s.MPJoinAckRx == 0 }},
		{"stripped from the third ACK on", func(w *world) {
			w.paths[1].strip = func(seg *tcp.Segment, to bool) {
				if to && seg.Flags&tcp.SYN == 0 {
					seg.RawLen = 0
				}
			}
		}, func(s, c *Counters) bool { return s.MPJoinNoOption == 1 && s.MPJoinAckRx == 0 }},
		{"stripped later", func(w *world) {
			n := 0
			w.paths[1].strip = func(seg *tcp.Segment, to bool) {
				if n++; n > 12 {
					seg.RawLen = 0
				}
			}
		}, func(s, c *Counters) bool { return s.MPJoinAckRx == 1 }},
		{"third ACK lost", func(w *world) {
			w.paths[1].filter = dropNth(0, true, func(seg *tcp.Segment) bool { return seg.Flags&tcp.SYN == 0 })
		}, func(s, c *Counters) bool { return s.MPJoinAckRx == 1 }},
		{"fourth ACK lost", func(w *world) {
			w.paths[1].filter = dropNth(0, false, func(seg *tcp.Segment) bool { return seg.Flags&tcp.SYN == 0 })
		}, func(s, c *Counters) bool { return s.MPJoinAckRx == 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a, b := twoPaths(t, 21, c.edit)
			w.finish(a, b)
			if !c.check(&w.srv.set.Count, &w.cli.set.Count) {
				t.Errorf("server %+v\nclient %+v", w.srv.set.Count, w.cli.set.Count)
			}
		})
	}
}

// TestJoinsAtOnce: a peer may open all its subflows in one instant, as Linux
// does: none is refused or put off while the others have not proved themselves,
// nor because the host has only just been started.
func TestJoinsAtOnce(t *testing.T) {
	w, c, s := twoPaths(t, 23, func(w *world) { w.now = tcp.Millisecond })
	w.after(400*tcp.Millisecond, func() {
		for i := range defaultSubflows - 2 {
			w.join(c.c, 1, uint16(3000+i), false)
		}
	})
	w.finish(c, s)
	if n := w.srv.set.Count; n.MPJoinAckRx != defaultSubflows-1 || n.MPJoinRejected+n.MPJoinFlood != 0 {
		t.Errorf("%+v", n)
	}
}

func TestJoinLimits(t *testing.T) {
	w, c, _ := twoPaths(t, 22, func(w *world) { w.cli.set.conf.MaxSubflows = 32 })
	for i := range 20 {
		w.after(tcp.Time(400+10*i)*tcp.Millisecond, func() { w.join(c.c, 1, uint16(3000+i), false) })
	}
	end := w.now + 1200*tcp.Millisecond
	w.run(10*tcp.Second, func() bool { return w.now > end })
	if n := w.srv.set.Count; n.MPJoinAckRx != defaultSubflows-1 || n.MPJoinRejected == 0 {
		t.Errorf("%+v", n)
	}
	c.keepOpen = false
	w.cli.env.Now = w.now
	w.cli.set.Abort(&w.cli.env, c.c)
	w.rest()
}

// TestAborts: each side ends the connection at once, with one subflow and two,
// told on RSTs or on an ACK; also if the RST that answers is lost.
func TestAborts(t *testing.T) {
	for _, form := range []struct {
		v          profile
		onACK, rst bool
	}{{v1, false, true}, {v1, true, true}, {v0, false, true}, {v0, false, false}} {
		for _, server := range []bool{false, true} {
			for subflows := range 2 {
				t.Run(fmt.Sprintf("%+v, server %v, %d joins", form, server, subflows), func(t *testing.T) {
					w, c, s := twoPaths(t, 23, func(w *world) {
						w.v = form.v
						w.cli.set.conf.FastcloseACK, w.srv.set.conf.FastcloseACK = form.onACK, form.onACK
						w.paths[1].up = subflows > 0
						w.paths[0].queue, w.paths[1].queue = 8<<20, 8<<20 // nobody repeats a RST
					})
					w.after(500*tcp.Millisecond, func() {
						h, a := w.cli, c
						if server {
							h, a = w.srv, s
						}
						if !form.rst {
							for _, p := range w.paths {
								p.filter = func(seg *tcp.Segment, _ bool) bool { return seg.Flags&tcp.RST == 0 }
							}
						}
						h.set.Abort(&h.env, a.c)
					})
					w.run(10*tcp.Second, done(c, s))
					other, self, got, told := s, c, &w.srv.set.Count, &w.cli.set.Count
					if server {
						other, self, got, told = c, s, told, got
					}
					if self.err != tcp.Aborted || other.err != tcp.ResetByPeer || got.MPFastcloseRx == 0 {
						t.Errorf("self %v, other %v, %d received", self.err, other.err, got.MPFastcloseRx)
					}
					w.rest()
					if lost := told.MPFastcloseMute; !form.rst && lost != 1 || form.rst && lost != 0 {
						t.Errorf("%d times nobody answered", lost)
					}
				})
			}
		}
	}
}

// TestSubflowReset: a forged RST, or one from the peer's path manager, ends a
// subflow; the connection goes on over the other one.
func TestSubflowReset(t *testing.T) {
	for i := range 2 {
		w, c, s := twoPaths(t, 24, nil)
		w.after(600*tcp.Millisecond, func() {
			for f, tu := range w.cli.tuples {
				if tu.Local == addr(byte(1+i)) {
					w.cli.set.Tcp(f).Abort(&w.cli.env)
					w.cli.set.Expire(&w.cli.env, f)
				}
			}
		})
		w.finish(c, s)
		if w.srv.set.Count.MPTCPRetrans == 0 {
			t.Errorf("nothing was reinjected: %+v", w.srv.set.Count)
		}
	}
}

// TestBreakBeforeMake: all subflows go, a new one comes, nothing is lost.
func TestBreakBeforeMake(t *testing.T) {
	w, c, s := twoPaths(t, 25, nil)
	w.after(600*tcp.Millisecond, func() {
		for f := range w.cli.tuples {
			w.cli.set.Tcp(f).Abort(&w.cli.env)
			w.cli.set.Expire(&w.cli.env, f)
		}
	})
	w.after(3*tcp.Second, func() {
		if !w.join(c.c, 1, 4000, false) {
			t.Error("no join")
		}
	})
	w.finish(c, s)
}

// TestNobodyComesBack: a connection without subflows ends after a minute.
func TestNobodyComesBack(t *testing.T) {
	w, c, s := twoPaths(t, 26, nil)
	w.after(600*tcp.Millisecond, func() { w.paths[0].up, w.paths[1].up = false, false })
	w.run(600*tcp.Second, done(c, s))
	if s.err != tcp.TimedOut || w.srv.set.Count.CloseTimeout != 1 {
		t.Errorf("%v %+v", s.err, w.srv.set.Count)
	}
	w.rest()
}

// TestBackup: a backup subflow is not used while the other one works, and is
// when it does not.
func TestBackup(t *testing.T) {
	w := newWorld(t, 27, &path{up: true, rate: 2e6, delay: 10 * tcp.Millisecond, queue: 1 << 18}, &path{up: true, rate: 2e6, delay: 5 * tcp.Millisecond, queue: 1 << 18})
	c, s := w.pair(0, 4<<20)
	c.keepOpen = true
	w.after(200*tcp.Millisecond, func() { w.join(c.c, 1, 2000, true) })
	w.after(tcp.Second, func() {
		if n := w.paths[1].carried[1]; n > 2000 {
			t.Errorf("the backup carried %d bytes", n)
		}
		w.paths[0].up = false
	})
	w.after(4*tcp.Second, func() { w.paths[0].up = true })
	w.finish(c, s)
	if n := w.paths[1].carried[1]; n < 1<<20 {
		t.Errorf("the backup carried %d bytes", n)
	}
}

// TestSlowReader: a reader that stops and goes on: the window closes and opens
// again, the probes do not give up.
func TestSlowReader(t *testing.T) {
	for _, loseUpdates := range []bool{false, true} {
		w, c, s := twoPaths(t, 28, func(w *world) { w.cli.set.conf.RcvBuf = 100_000 })
		w.after(600*tcp.Millisecond, func() { c.hold = true })
		w.after(20*tcp.Second, func() {
			if loseUpdates {
				w.paths[0].up, w.paths[1].up = false, false
			}
			c.hold = false
			c.read(w.cli)
		})
		w.after(21*tcp.Second, func() { w.paths[0].up, w.paths[1].up = true, true })
		w.finish(c, s)
		if w.srv.set.Count.WinProbe == 0 {
			t.Errorf("no probe: %+v", w.srv.set.Count)
		}
	}
}

// TestReleased: an application that lets go of a connection.
func TestReleased(t *testing.T) {
	// What was sent is still delivered.
	w, c, s := twoPaths(t, 29, nil)
	w.after(300*tcp.Millisecond, func() { w.srv.set.Release(&w.srv.env, s.c) })
	w.run(20*tcp.Second, func() bool { return c.eof })
	if c.bad || c.got != s.sent {
		t.Errorf("%d of %d, %v", c.got, s.sent, c.bad)
	}
	c.keepOpen = false
	c.write(w.cli)
	w.rest()
	// A peer that goes on sending is reset.
	w = newWorld(t, 30, &path{up: true, delay: 10 * tcp.Millisecond, rate: 2e6, queue: 1 << 20})
	c, s = w.pair(1<<30, 0)
	w.after(300*tcp.Millisecond, func() { w.srv.set.Release(&w.srv.env, s.c) })
	w.run(10*tcp.Second, done(c))
	if c.err != tcp.ResetByPeer {
		t.Errorf("%v", c.err)
	}
	w.rest()
}

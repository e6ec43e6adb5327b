package mptcp

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// managed is a world of two paths whose client and server have policies.
func managed(t *testing.T, seed uint64, client, server Policy, edit func(*world)) (w *world, c, s *app) {
	w = newWorld(t, seed, &path{up: true, rate: 2e6, delay: 10 * tcp.Millisecond, queue: 1 << 18},
		&path{up: true, rate: 2e6, delay: 15 * tcp.Millisecond, queue: 1 << 18})
	w.cli.set.conf.Active, w.srv.set.conf.Passive = client.numbered(), server.numbered()
	if edit != nil {
		edit(w)
	}
	c, s = w.pair(0, 4<<20)
	c.keepOpen = true
	return w, c, s
}

// told is what was counted at all.
func told(n Counters) (out string) {
	v := reflect.ValueOf(n)
	for i := range v.NumField() {
		if k := v.Field(i).Uint(); k != 0 {
			out += fmt.Sprintf("%s %d, ", v.Type().Field(i).Name, k)
		}
	}
	return out
}

// carriedBoth checks that both paths carried a good part of the download.
func (w *world) carriedBoth() {
	w.t.Helper()
	for i, p := range w.paths {
		if p.carried[1] < 1<<20 {
			w.t.Errorf("path %d carried %d bytes", i, p.carried[1])
		}
	}
}

// TestPolicy: what the endpoints of a policy say is done without a word of the
// application.
func TestPolicy(t *testing.T) {
	six := tcp.Addr{0x20, 1, 0xd, 0xb8, 15: 101}
	for _, c := range []struct {
		name           string
		client, server Policy
		joins          uint64 // that are made
		announced      uint64
	}{
		{"none", Policy{}, Policy{}, 0, 0},
		{"subflow", Policy{Endpoints: []Endpoint{{Addr: addr(2), Flags: Subflow}}}, Policy{}, 1, 0},
		{"the first address is no second one", Policy{Endpoints: []Endpoint{{Addr: addr(1), Flags: Subflow}}}, Policy{}, 0, 0},
		{"several between two addresses", Policy{Subflows: 3}, Policy{}, 2, 0},
		{"signal, not accepted", Policy{}, Policy{Endpoints: []Endpoint{{Addr: addr(101), Flags: Signal}}}, 0, 1},
		{"signal", Policy{AddAddrAccepted: 1}, Policy{Endpoints: []Endpoint{{Addr: addr(101), Flags: Signal}}}, 1, 1},
		{"signal with a port", Policy{AddAddrAccepted: 1}, Policy{Endpoints: []Endpoint{{Addr: addr(100), Port: 81, Flags: Signal}}}, 1, 1},
		{"IPv6 with a port beside timestamps", Policy{}, Policy{Endpoints: []Endpoint{{Addr: six, Port: 81, Flags: Signal}}}, 0, 1},
		{"one more than is accepted", Policy{AddAddrAccepted: 1}, Policy{Endpoints: []Endpoint{{Addr: addr(101), Flags: Signal}, {Addr: addr(102), Flags: Signal}}}, 1, 2},
		{"full mesh", Policy{AddAddrAccepted: 2, Endpoints: []Endpoint{{Addr: addr(2), Flags: Subflow | Fullmesh}}},
			Policy{Endpoints: []Endpoint{{Addr: addr(101), Flags: Signal}, {Addr: addr(102), Flags: Signal}}}, 3, 2},
		{"four addresses", Policy{AddAddrAccepted: 4}, Policy{Endpoints: []Endpoint{{Addr: addr(101), Flags: Signal}, {Addr: addr(102), Flags: Signal},
			{Addr: addr(103), Flags: Signal}, {Addr: addr(104), Flags: Signal}}}, 4, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.client.Check(); err != nil {
				t.Fatal(err)
			}
			w, a, b := managed(t, 60, c.client, c.server, nil)
			row, most := 0, 0
			w.txs = func(from *host, seg *tcp.Segment, _ *tcp.Tuple) {
				var o options
				if o.parse(v1, seg.Raw[:seg.RawLen]); from == w.srv && o.is(subAddAddr) && !o.add.echo {
					row++
					most = max(most, row)
				} else if from == w.srv {
					row = 0
				}
			}
			w.finish(a, b)
			s, cl := w.srv.set.Count, w.cli.set.Count
			if s.MPJoinAckRx != c.joins || cl.MPJoinSynTx != c.joins || s.AddAddrTx != c.announced || cl.EchoAddTx != c.announced || s.EchoAdd != c.announced ||
				s.AddAddrTxDrop+s.AddAddrUnechoed+cl.AddAddrHMac+cl.AddAddrDrop != 0 || most > inARow {
				t.Errorf("server %s\nclient %s\n%d in a row", told(s), told(cl), most)
			}
			if c.joins > 0 && c.name != "several between two addresses" {
				w.carriedBoth()
			}
		})
	}
}

// TestAnnounceAgain: an announcement that is lost, or its echo, is repeated,
// at growing distances, until the echo comes; and not for ever.
func TestAnnounceAgain(t *testing.T) {
	for _, c := range []struct {
		name           string
		lost           int // announcements
		echoes         int // echoes
		sent, accepted uint64
	}{{"nothing lost", 0, 0, 1, 1}, {"the first", 1, 0, 2, 1}, {"the first echo", 0, 1, 2, 1}, {"three", 2, 1, 4, 1}, {"all", 100, 0, addTellings, 0}} {
		t.Run(c.name, func(t *testing.T) {
			lost, echoes := 0, 0
			w, a, b := managed(t, 61, Policy{}, Policy{Endpoints: []Endpoint{{Addr: addr(101), Flags: Signal}}}, func(w *world) {
				w.paths[0].filter = func(seg *tcp.Segment, up bool) bool {
					var o options
					o.parse(v1, seg.Raw[:seg.RawLen])
					switch {
					case !o.is(subAddAddr):
					case !up && !o.add.echo:
						lost++
						return lost > c.lost
					case up && o.add.echo:
						echoes++
						return echoes > c.echoes
					}
					return true
				}
			})
			b.send = 16 << 20
			a.hold = c.lost > 10 // so that it lives long enough
			if a.hold {
				w.after(200*tcp.Second, func() { a.hold = false; a.ready(w.cli, 0) })
				w.run(300*tcp.Second, func() bool { return a.eof })
			}
			w.finish(a, b)
			if n := w.srv.set.Count; n.AddAddrTx != c.sent || n.EchoAdd != c.accepted || (n.AddAddrUnechoed == 1) != (c.accepted == 0) {
				t.Error(told(n))
			}
		})
	}
}

// TestWithdraw: our address is taken back in mid-transfer and given again, with
// the same id.
func TestWithdraw(t *testing.T) {
	w, a, b := managed(t, 62, Policy{AddAddrAccepted: 2}, Policy{Endpoints: []Endpoint{{Addr: addr(101), ID: 7, Flags: Signal}}}, nil)
	conn := func() Conn { return w.srv.set.connHandle(w.serverConn()) }
	w.after(500*tcp.Millisecond, func() {
		if !w.srv.set.Withdraw(&w.srv.env, conn(), 7) || w.srv.set.Withdraw(&w.srv.env, conn(), 9) {
			t.Error("Withdraw")
		}
	})
	before := int64(0)
	w.after(800*tcp.Millisecond, func() { before = w.paths[1].carried[1] })
	w.after(900*tcp.Millisecond, func() {
		if n := w.paths[1].carried[1] - before; n > 2000 {
			t.Errorf("%d bytes on a path that was given up", n)
		}
		if id, ok := w.srv.set.Announce(&w.srv.env, conn(), addr(101), 0, 7); !ok || id != 7 {
			t.Error("Announce")
		}
		if _, ok := w.srv.set.Announce(&w.srv.env, conn(), addr(102), 0, 7); ok {
			t.Error("an id with another meaning")
		}
	})
	w.finish(a, b)
	w.carriedBoth()
	if s, c := w.srv.set.Count, w.cli.set.Count; s.RmAddrTx == 0 || c.RmAddr != s.RmAddrTx || s.MPJoinAckRx != 2 || s.AddAddrTx != 2 || c.AddAddr != 2 {
		t.Errorf("server %s\nclient %s", told(s), told(c))
	}
}

// TestWithdrawFirst: id 0 is the address of the first subflow, and may go as
// any other.
func TestWithdrawFirst(t *testing.T) {
	w, a, b := managed(t, 63, Policy{AddAddrAccepted: 2}, Policy{Endpoints: []Endpoint{{Addr: addr(101), Flags: Signal}}}, nil)
	w.after(500*tcp.Millisecond, func() {
		if !w.srv.set.Withdraw(&w.srv.env, w.srv.set.connHandle(w.serverConn()), 0) {
			t.Error("Withdraw")
		}
	})
	before := int64(0)
	w.after(700*tcp.Millisecond, func() { before = w.paths[0].carried[1] })
	w.after(900*tcp.Millisecond, func() {
		if n := w.paths[0].carried[1] - before; n > 2000 {
			t.Errorf("%d bytes on a path that was given up", n)
		}
	})
	w.finish(a, b)
	if c := w.cli.set.Count; c.RmAddr == 0 || c.MPJoinSynTx != 1 {
		t.Error(told(c))
	}
}

// TestSetBackup: a subflow that we do not want any more carries nothing, though
// the first of the ACKs that say so are lost.
func TestSetBackup(t *testing.T) {
	w, a, b := managed(t, 64, Policy{Endpoints: []Endpoint{{Addr: addr(2), Flags: Subflow}}}, Policy{}, nil)
	drop := 1
	w.paths[1].filter = func(seg *tcp.Segment, up bool) bool {
		var o options
		if o.parse(v1, seg.Raw[:seg.RawLen]); up && o.is(subPrio) && drop > 0 {
			drop--
			return false
		}
		return true
	}
	second := func() (f Flow) {
		w.cli.set.EachFlow(a.c, func(g Flow) {
			if i, _ := w.cli.set.SubflowInfo(g); i.LocalID == 1 {
				f = g
			}
		})
		return f
	}
	w.after(500*tcp.Millisecond, func() { w.cli.set.SetBackup(&w.cli.env, second(), true) })
	before := int64(0)
	w.after(1000*tcp.Millisecond, func() { before = w.paths[1].carried[1] })
	w.after(1400*tcp.Millisecond, func() {
		if n := w.paths[1].carried[1] - before; n > 2000 {
			t.Errorf("a backup carried %d bytes", n)
		}
		w.cli.set.SetBackup(&w.cli.env, second(), false)
	})
	w.finish(a, b)
	w.carriedBoth()
	if n := w.srv.set.Count; n.MPPrioRx < 3 {
		t.Error(told(n))
	}
}

// TestReopen: the only path is cut until its subflow is given up, and returns:
// the connection, which lives on without a subflow, is joined again (break before make).
func TestReopen(t *testing.T) {
	w, a, b := managed(t, 65, Policy{}, Policy{}, nil)
	w.after(500*tcp.Millisecond, func() {
		w.cli.set.EachFlow(a.c, func(f Flow) { w.cli.set.kill(&w.cli.env, w.cli.set.conn(a.c), w.cli.set.flow(f), Unspecified) })
	})
	w.finish(a, b)
	if c, s := w.cli.set.Count, w.srv.set.Count; c.MPJoinSynTx != 1 || s.MPJoinAckRx != 1 {
		t.Errorf("client %s\nserver %s", told(c), told(s))
	}
}

// TestNoReturn: a connection without subflows that nobody joins is over when
// CloseTimeout is.
func TestNoReturn(t *testing.T) {
	w, a, b := managed(t, 66, Policy{}, Policy{}, func(w *world) { w.srv.set.conf.CloseTimeout = 5 * tcp.Second })
	w.after(500*tcp.Millisecond, func() {
		w.paths[0].up = false
		w.srv.set.EachFlow(w.srv.set.connHandle(w.serverConn()), func(f Flow) {
			w.srv.set.kill(&w.srv.env, w.serverConn(), w.srv.set.flow(f), Unspecified)
		})
	})
	began := tcp.Time(0)
	w.after(500*tcp.Millisecond, func() { began = w.now })
	w.run(20*tcp.Second, func() bool { return b.done })
	if took := w.now - began; b.err != tcp.TimedOut || took < 5*tcp.Second || took > 6*tcp.Second {
		t.Errorf("%v after %d ms", b.err, took/tcp.Millisecond)
	}
	_ = a
}

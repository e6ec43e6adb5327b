package sim

import (
	"fmt"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// narrow is a link whose packets are shorter than those of its ends.
func narrow(mtu int, tell bool) link.Config {
	return link.Config{Rate: 1e8, Delay: 5 * ms, MTU: 14 + mtu, TellTooBig: tell}
}

// TestBlackHole: large packets vanish without a word, up or down. It costs some timeouts, then
// nearly all of the path is used again, but for the MTU.
func TestBlackHole(t *testing.T) {
	for _, mtu := range []int{1300, 1420, 1000} {
		for family, to := range servers {
			if mtu < 1280 && family == "IPv6" {
				continue // there is no such path
			}
			t.Run(fmt.Sprint(mtu, family), func(t *testing.T) {
				t.Parallel()
				const bytes, within = 2 << 20, 30 * tcp.Second
				hole, clear := narrow(mtu, false), link.Config{Rate: 1e8, Delay: 5 * ms}
				for _, up := range []bool{true, false} {
					p := newPair(t, pairConfig{seed: 41})
					p.client.Ports[0].Up, p.server.Ports[0].Up = link.New(clear), link.New(clear)
					from := p.server
					if up {
						from = p.client
					}
					from.Ports[0].Up = link.New(hole)
					p.exchange(t, to, bytes, bytes, within)
					c := from.Shard.Stats().TCP
					over := from.Ports[0].Up.Counters().Dropped[link.TooLong]
					t.Logf("up %v: %d ms; %d timeouts, %d black holes, %d probes, %d arrived, %d too long", up, p.Now()/tcp.Millisecond,
						c.Timeouts, c.BlackHoles, c.MTUProbes, c.MTUProbesOK, over)
					if c.BlackHoles == 0 || c.BlackHoles > 2 || over > 40 {
						t.Errorf("%d black holes, %d packets too long", c.BlackHoles, over)
					}
					p.settle(t)
				}
			})
		}
	}
}

// endless lets the client send without end.
func (p *pair) endless(t *testing.T, to string) *Stream {
	st := &Stream{Send: 1 << 40, Key: 1}
	p.service.Serve = func() *Stream { return &Stream{Want: 1} }
	p.client.Do(func(s *stack.Shard) {
		if err := p.app.Dial(s, to, st); err != nil {
			t.Error(err)
		}
	})
	return st
}

// mss is the payload of the client's full segments.
func (p *pair) mss(st *Stream) (mss uint32) {
	p.client.Do(func(s *stack.Shard) { s.EachFlow(st.conn, func(f tcp.Status) { mss = f.MSS }) })
	p.Run(p.Now() + tcp.Millisecond)
	return mss
}

// TestBlackHoleSearch: after a while nearly all of what a narrow path takes is used, and
// when the path becomes wider all of it, in time.
func TestBlackHoleSearch(t *testing.T) {
	const headers = 52 // of IPv4 and TCP with timestamps
	mtus := []uint32{1420, 1300, 1492, 900}
	if testing.Short() {
		mtus = mtus[:1]
	}
	for _, mtu := range mtus {
		p := newPair(t, pairConfig{seed: 43, link: link.Config{Rate: 5e5, Delay: 5 * ms}})
		c := p.client.Ports[0].Up.Config()
		c.MTU = 14 + int(mtu)
		p.client.Ports[0].Up.Set(c)
		st := p.endless(t, servers["IPv4"])
		p.Run(100 * tcp.Second)
		if n := p.mss(st) + headers; n > mtu || n < mtu-16 {
			t.Errorf("packets of %d, the path takes %d", n, mtu)
		}
		before := *p.client.Shard.Stats()
		c.MTU = 0
		p.client.Ports[0].Up.Set(c)
		p.Run(600 * tcp.Second)
		if n := p.mss(st) + headers; n > mtu {
			t.Errorf("packets of %d already", n)
		}
		p.Run(760 * tcp.Second)
		after := *p.client.Shard.Stats()
		if n := p.mss(st) + headers; n != 1500 {
			t.Errorf("packets of %d, the path takes 1500 again", n)
		}
		if n := before.TCP.BlackHoles; n == 0 || n > 2 || after.TCP.BlackHoles != n {
			t.Errorf("%d black holes, %d", n, after.TCP.BlackHoles)
		}
		t.Logf("MTU %d: %d probes, %d arrived; %d timeouts", mtu, before.TCP.MTUProbes, before.TCP.MTUProbesOK, before.TCP.Timeouts)
	}
}

// TestOutageKeepsMTU: a path that was cut takes large packets again soon after it is back.
func TestOutageKeepsMTU(t *testing.T) {
	shrunk := uint64(0)
	for i := range tcp.Time(5) {
		from := 200*tcp.Millisecond + i*17*tcp.Millisecond
		p := newPair(t, pairConfig{seed: 42, link: link.Config{Rate: 2e7, Delay: 5 * ms}})
		p.lan.Mangle = func(_ *Port, b []byte) bool { return p.Now() < from || p.Now() > from+5*tcp.Second }
		st := p.endless(t, servers["IPv4"])
		p.Run(from + 12*tcp.Second)
		if n := p.mss(st); n != 1448 {
			t.Errorf("cut at %d ms: segments of %d", from/tcp.Millisecond, n)
		}
		shrunk += p.client.Shard.Stats().TCP.BlackHoles
	}
	if shrunk == 0 {
		t.Error("none was ever tried smaller")
	}
}

// TestLossKeepsMTU: ordinary loss, however heavy, hardly ever makes segments smaller, and never for long.
func TestLossKeepsMTU(t *testing.T) {
	var holes, again, probes uint64
	for _, seed := range seeds(500, 5) {
		l := link.Config{Rate: 1e8, Delay: 5 * ms, Loss: 50_000}
		p := oneWay(t, seed, l, l, servers["IPv4"], 8<<20, 600*tcp.Second)
		c := p.client.Shard.Stats().TCP
		holes, again, probes = holes+c.BlackHoles, again+c.RetransSegs, probes+c.MTUProbesOK
		p.settle(t)
	}
	t.Logf("%d retransmissions, smaller %d times, %d probes arrived", again, holes, probes)
	if holes*500 > again || probes < holes {
		t.Errorf("%d retransmissions made the segments smaller %d times; %d probes arrived", again, holes, probes)
	}
}

// TestPathRemembered: what a router said counts for the next connection, until it is too old.
func TestPathRemembered(t *testing.T) {
	for family, to := range servers {
		for _, up := range []bool{true, false} {
			t.Run(fmt.Sprint(family, " up ", up), func(t *testing.T) {
				p := newPair(t, pairConfig{seed: 44})
				from := p.server
				if up {
					from = p.client
				}
				from.Ports[0].Up = link.New(narrow(1300, true))
				told := func() uint64 { return from.Ports[0].Up.Counters().Dropped[link.TooLong] }
				p.exchange(t, to, 100_000, 100_000, 10*tcp.Second)
				first := told()
				p.exchange(t, to, 100_000, 100_000, 10*tcp.Second)
				if n := told(); first == 0 || n != first {
					t.Errorf("%d packets did not fit at first, then %d", first, n-first)
				}
				p.Run(p.Now() + 601*tcp.Second)
				p.exchange(t, to, 100_000, 100_000, 10*tcp.Second)
				if told() == first {
					t.Error("the path was not tried again after ten minutes")
				}
				p.settle(t)
			})
		}
	}
}

// TestNarrowSubflow: one path of two takes only small packets, told or not. It costs that path some
// time but not the stream, and both are used.
func TestNarrowSubflow(t *testing.T) {
	for _, tell := range []bool{true, false} {
		for _, path := range []int{0, 1} {
			t.Run(fmt.Sprint("told ", tell, " path ", path), func(t *testing.T) {
				p := newTwoPaths(t, 45, link.Config{Rate: 50e6, Delay: 5 * ms}, link.Config{Rate: 50e6, Delay: 20 * ms}, false)
				c := p.phone.Ports[path].Down.Config()
				c.MTU, c.TellTooBig = 14+1300, tell
				p.phone.Ports[path].Down.Set(c)
				in := &Stream{Send: 24 << 20, Key: 2, Want: 1, After: true}
				p.app.st = &Stream{Send: 1000, Key: 1, Want: 2}
				p.service.Serve = func() *Stream { return in }
				p.phone.Do(func(s *stack.Shard) { p.app.dial(t, s) })
				longest, last := tcp.Time(0), p.Now()
				for out, got := p.app.st, int64(-1); !out.Done && p.Now() < 60*tcp.Second; p.Run(p.Now() + 10*tcp.Millisecond) {
					if out.Got != got {
						longest, last, got = max(longest, p.Now()-last), p.Now(), out.Got
					}
				}
				out, carried := p.app.st, p.phone.Ports[path].Down.Counters().Bytes
				t.Logf("%d ms, longest silence %d ms, the narrow path carried %d", p.Now()/tcp.Millisecond, longest/tcp.Millisecond, carried)
				if !out.Done || out.Got != in.Send || out.Mismatch != 0 || out.Err != tcp.NoError {
					t.Fatalf("%+v", *out)
				}
				// The first connection's own handshake may be on the narrow path: until the join
				// has come there is no other.
				if longest > 700*tcp.Millisecond || carried < 2<<20 {
					t.Errorf("silent for %d ms, the narrow path carried %d", longest/tcp.Millisecond, carried)
				}
				if err := p.Settle(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

package proxy

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mpxd/mpxd/internal/sim"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// TestRefusals: every reply, as RFC 1928 writes it, followed by the end of the
// stream and no reset, also when the client has sent more.
func TestRefusals(t *testing.T) {
	resolver := names{
		"silent.example":   nil,
		"loop.example":     {"10.1.0.2"},
		"rebind.example":   {"127.0.0.1", "::1", "0.0.0.0"},
		"far.example":      {"192.0.2.1"},
		"refuses.example":  {"10.2.0.1"},
		"refuses6.example": {"fd02::1", "10.2.0.1"},
	}
	udp := ask(3, "10.2.0.1:80")
	bind := ask(2, "10.2.0.1:80")
	badType := []byte{5, 1, 0, 2, 10, 2, 0, 1, 0, 80}
	for name, c := range map[string]struct {
		request []byte
		want    Code
		within  tcp.Time
	}{
		"closed port":         {ask(1, "10.2.0.1:81"), ConnectionRefused, tcp.Second},
		"closed port, IPv6":   {ask(1, "[fd02::1]:81"), ConnectionRefused, tcp.Second},
		"closed port of name": {ask(1, "refuses.example:81"), ConnectionRefused, tcp.Second},
		"both families":       {ask(1, "refuses6.example:81"), ConnectionRefused, tcp.Second},
		"no neighbour":        {ask(1, "10.2.0.9:80"), HostUnreachable, 10 * tcp.Second},
		"no such name":        {ask(1, "none.example:80"), HostUnreachable, tcp.Second},
		"name times out":      {ask(1, "silent.example:80"), TTLExpired, 11 * tcp.Second},
		"no route":            {ask(1, "192.0.2.1:80"), NetworkUnreachable, tcp.Second},
		"no route to name":    {ask(1, "far.example:80"), NetworkUnreachable, tcp.Second},
		"silent destination":  {ask(1, "10.2.0.1:7"), TTLExpired, 11 * tcp.Second},
		"ourselves":           {ask(1, "10.1.0.2:1080"), NotAllowed, tcp.Second},
		"ourselves, mapped":   {ask(1, "[::ffff:10.2.0.2]:1080"), NotAllowed, tcp.Second},
		"ourselves by name":   {ask(1, "loop.example:1080"), NotAllowed, tcp.Second},
		"loopback":            {ask(1, "127.0.0.1:80"), NotAllowed, tcp.Second},
		"loopback by name":    {ask(1, "rebind.example:80"), NotAllowed, tcp.Second},
		"address as name":     {append([]byte{5, 1, 0, 3, 9}, "127.0.0.1\x00\x50"...), NotAllowed, tcp.Second},
		"unspecified":         {ask(1, "0.0.0.0:80"), NotAllowed, tcp.Second},
		"multicast":           {ask(1, "[ff02::1]:80"), NotAllowed, tcp.Second},
		"broadcast":           {ask(1, "10.2.0.255:80"), NotAllowed, tcp.Second},
		"port 0":              {ask(1, "10.2.0.1:0"), NotAllowed, tcp.Second},
		"BIND":                {bind, CommandNotSupported, tcp.Second},
		"UDP ASSOCIATE":       {udp, CommandNotSupported, tcp.Second},
		"address type":        {badType, AddressTypeNotSupported, tcp.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldConfig{seed: 1, proxy: Config{Resolver: resolver}})
			w.core.Mangle = func(_ *sim.Port, b []byte) bool { // port 7 does not answer
				return len(b) < 38 || binary.BigEndian.Uint16(b[36:]) != 7
			}
			more := bytes.Repeat([]byte("more "), 20000)
			say := append(append([]byte("\x05\x01\x00"), c.request...), more...)
			want := []byte{5, 0, 5, byte(c.want), 0, 1, 0, 0, 0, 0, 0, 0}
			g := w.visit(t, &guest{say: say, answer: len(want)})
			began := w.Now()
			if !w.RunUntil(func() bool { return g.done }, c.within) {
				t.Fatalf("not over after %d s: %+v", (w.Now()-began)/tcp.Second, w.p.Count())
			}
			if g.err != tcp.NoError || !g.eof || !bytes.Equal(g.heard, want) || g.got != 0 {
				t.Errorf("heard %x, want %x; eof %v, %v", g.heard, want, g.eof, g.err)
			}
			if n := w.p.Count(); n.Replies[c.want] != 1 || n.Ends[Refused] != 1 || w.records[0].Reply != c.want {
				t.Errorf("%+v, %+v", n, w.records[0])
			}
			w.settle(t)
		})
	}
}

// TestOutOfPorts: the dial for which no port is left is a general failure, and
// counted; sessions that are there go on.
func TestOutOfPorts(t *testing.T) {
	w := newWorld(t, worldConfig{seed: 1, stack: func(c *stack.Config) { c.Ports = [2]uint16{50000, 50001} }})
	w.server.Serve = func() *sim.Stream { return &sim.Stream{Send: 1000, Key: 2, Want: 1, After: true} }
	var last *guest
	for i := range 3 {
		last = w.visit(t, &guest{say: hello("10.2.0.1:80"), answer: 12, up: -1})
		w.RunUntil(func() bool { return len(last.heard) == 12 }, tcp.Second)
		want := Succeeded
		if i == 2 {
			want = GeneralFailure
		}
		if len(last.heard) != 12 || Code(last.heard[3]) != want {
			t.Fatalf("visit %d heard %x, want %v", i, last.heard, want)
		}
	}
	if n := w.p.Count(); n.Replies[GeneralFailure] != 1 || w.proxy.Shard.Stats().PortsExhausted != 1 || n.Replies[Succeeded] != 2 {
		t.Errorf("%+v, %d counted", n, w.proxy.Shard.Stats().PortsExhausted)
	}
}

// TestNoMethod: a client that must authenticate is told that it cannot.
func TestNoMethod(t *testing.T) {
	w := newWorld(t, worldConfig{seed: 1})
	g := w.visit(t, &guest{say: []byte("\x05\x02\x01\x02"), answer: 2})
	if !w.RunUntil(func() bool { return g.done }, tcp.Second) || !bytes.Equal(g.heard, []byte{5, 0xff}) || g.err != tcp.NoError {
		t.Errorf("%+v", *g)
	}
	if n := w.p.Count(); n.NoMethod != 1 || n.Ends[Refused] != 1 {
		t.Errorf("%+v", n)
	}
	w.settle(t)
}

// TestUnanswered: what is not SOCKS5, comes too slowly or stops in the middle
// gets no reply and does not stay.
func TestUnanswered(t *testing.T) {
	for name, c := range map[string]struct {
		guest
		end   End
		after tcp.Time
	}{
		"another protocol":    {guest{say: []byte("GET / HTTP/1.1\r\n\r\n")}, Malformed, 0},
		"another version":     {guest{say: []byte("\x05\x01\x00\x04\x01\x00\x01")}, Malformed, 0},
		"a name of no length": {guest{say: []byte("\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50")}, Malformed, 0},
		"silence":             {guest{up: -1}, HandshakeTimeout, 10 * tcp.Second},
		"slowloris":           {guest{say: hello("a-long-name.example:80"), piece: 1, gap: tcp.Second, up: -1}, HandshakeTimeout, 10 * tcp.Second},
		"half a request":      {guest{say: hello("10.2.0.1:80")[:6]}, ClientGone, 0},
	} {
		w := newWorld(t, worldConfig{seed: 1})
		g := c.guest
		w.visit(t, &g)
		if !w.RunUntil(func() bool { return g.done }, 12*tcp.Second) {
			t.Errorf("%s: %+v", name, g)
			continue
		}
		if r := w.records[0]; r.End != c.end || r.Ended-r.Began < c.after || r.Ended-r.Began > c.after+tcp.Second {
			t.Errorf("%s: %+v", name, r)
		}
		w.settle(t)
	}
}

// TestSeveralAddresses: dead addresses of a name cost their share of the time,
// and the one that lives is found.
func TestSeveralAddresses(t *testing.T) {
	w := newWorld(t, worldConfig{seed: 1, proxy: Config{Resolver: names{
		"multi.example": {"127.0.0.1", "192.0.2.1", "10.2.0.9", "fd02::9", "10.2.0.1"},
	}}})
	o := w.serve(1000)
	g := w.visit(t, &guest{say: hello("multi.example:80"), answer: 12, up: 10, key: 1, want: 2})
	if !w.RunUntil(func() bool { return g.done && o.Done }, 12*tcp.Second) || g.got != 1000 || g.err != tcp.NoError {
		t.Fatalf("%+v, %+v", *g, w.p.Count())
	}
	w.RunUntil(func() bool { return len(w.records) > 0 }, 10*tcp.Second)
	if r := w.records[0]; r.Name != "multi.example" || r.Upstream != netip.MustParseAddrPort("10.2.0.1:80") {
		t.Errorf("%+v", r)
	}
	w.settle(t)
}

// TestLateAnswer: an answer of the resolver that comes when its session is gone
// finds nobody, also if the place was taken again.
func TestLateAnswer(t *testing.T) {
	var late []func([]netip.Addr, error)
	w := newWorld(t, worldConfig{seed: 1, proxy: Config{Resolver: keep{&late}}})
	first := w.visit(t, &guest{say: hello("slow.example:80"), answer: 12})
	w.RunUntil(func() bool { return len(late) == 1 }, tcp.Second)
	w.client.Do(func(s *stack.Shard) { s.Abort(first.conn) })
	w.RunUntil(func() bool { return w.p.Count().Sessions == 0 }, tcp.Second)
	second := w.visit(t, &guest{say: hello("slow.example:80"), answer: 12, up: -1})
	w.RunUntil(func() bool { return len(late) == 2 }, tcp.Second)
	late[0]([]netip.Addr{netip.MustParseAddr("10.2.0.1")}, nil)
	w.Run(w.Now() + tcp.Second)
	if len(second.heard) != 2 {
		t.Errorf("the second session was given the first one's answer: %x", second.heard)
	}
	late[1]([]netip.Addr{netip.MustParseAddr("10.2.0.1")}, nil)
	o := w.serve(0)
	w.RunUntil(func() bool { return len(second.heard) == 12 }, tcp.Second)
	if !bytes.HasPrefix(second.heard, []byte{5, 0, 5, 0}) {
		t.Errorf("heard %x", second.heard)
	}
	w.client.Do(func(s *stack.Shard) { s.Abort(second.conn) })
	w.RunUntil(func() bool { return o.Done }, tcp.Second)

	// The third is told that it took too long, and does not close at once.
	third := w.visit(t, &guest{say: hello("slow.example:80"), answer: 12, up: -1})
	w.RunUntil(func() bool { return len(third.heard) == 12 }, 12*tcp.Second)
	late[2]([]netip.Addr{netip.MustParseAddr("10.2.0.1")}, nil)
	if !w.RunUntil(func() bool { return third.done }, 10*tcp.Second) ||
		third.heard[3] != byte(TTLExpired) || third.got != 0 || w.p.Count().Replies[Succeeded] != 1 {
		t.Errorf("third: %+v, %+v", *third, w.p.Count())
	}
	w.settle(t)
}

// keep is a resolver that leaves the answers to the test.
type keep struct{ to *[]func([]netip.Addr, error) }

func (k keep) Lookup(_ string, done func([]netip.Addr, error)) bool {
	*k.to = append(*k.to, done)
	return true
}

// TestFull: sessions beyond the limit are refused and leave nothing, names
// beyond the resolver's are answered.
func TestFull(t *testing.T) {
	w := newWorld(t, worldConfig{seed: 1, proxy: Config{MaxSessions: 2, Resolver: busy{}}})
	a := w.visit(t, &guest{up: -1})
	b := w.visit(t, &guest{up: -1})
	w.RunUntil(func() bool { return w.p.Count().Sessions == 2 }, tcp.Second)
	c := w.visit(t, &guest{up: -1})
	if !w.RunUntil(func() bool { return c.done }, tcp.Second) || c.err != tcp.ResetByPeer || w.p.Count().TooMany != 1 {
		t.Errorf("the third: %+v, %+v", *c, w.p.Count())
	}
	w.RunUntil(func() bool { return a.done && b.done }, 20*tcp.Second)
	d := w.visit(t, &guest{say: hello("any.example:80"), answer: 12})
	if !w.RunUntil(func() bool { return d.done }, tcp.Second) || d.heard[3] != byte(GeneralFailure) || w.p.Count().ResolverBusy != 1 {
		t.Errorf("resolver busy: %+v", *d)
	}
	w.settle(t)
}

type busy struct{}

func (busy) Lookup(string, func([]netip.Addr, error)) bool { return false }

// TestLinger: the origin has ended, the client never does: it is not kept for
// ever. One that goes on sending is.
func TestLinger(t *testing.T) {
	w := newWorld(t, worldConfig{seed: 1})
	o := w.serve(1000)
	o.After = false
	g := w.visit(t, &guest{say: hello("10.2.0.1:80"), answer: 12, up: -1, key: 1, want: 2})
	if !w.RunUntil(func() bool { return g.eof }, 5*tcp.Second) || g.got != 1000 {
		t.Fatalf("%+v", *g)
	}
	for range 10 { // 200 s of a byte now and then
		w.Run(w.Now() + 20*tcp.Second)
		w.client.Do(func(s *stack.Shard) { s.Write(g.conn, []byte{0}) })
	}
	if g.done {
		t.Fatal("a half-closed session that moves was ended")
	}
	began := w.Now()
	if !w.RunUntil(func() bool { return g.done }, 200*tcp.Second) || w.records[0].End != LingerTimeout {
		t.Errorf("%+v", w.records)
	}
	if took := w.Now() - began; took < 59*tcp.Second || took > 62*tcp.Second {
		t.Errorf("it lingered for %d ms", took/tcp.Millisecond)
	}
	w.settle(t)
}

// TestStop resets all that is under way.
func TestStop(t *testing.T) {
	w := newWorld(t, worldConfig{seed: 1})
	o := w.serve(1 << 40)
	o.After = false
	g := w.visit(t, &guest{say: hello("10.2.0.1:80"), answer: 12, up: -1, key: 1, want: 2})
	h := w.visit(t, &guest{up: -1})
	w.RunUntil(func() bool { return g.got > 1<<16 && h.conn != 0 }, 5*tcp.Second)
	w.proxy.Do(w.p.Stop)
	if !w.RunUntil(func() bool { return g.done && h.done && o.Done }, tcp.Second) ||
		g.err != tcp.ResetByPeer || h.err != tcp.ResetByPeer || o.Err != tcp.ResetByPeer {
		t.Errorf("%v, %v, %v", g.err, h.err, o.Err)
	}
	i := w.visit(t, &guest{up: -1})
	if !w.RunUntil(func() bool { return i.done }, tcp.Second) || i.err != tcp.ResetByPeer {
		t.Errorf("after Stop: %+v", *i)
	}
	w.settle(t)
}

package stack

import (
	"net/netip"
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// duplex is a Port joined to another one: what is sent lies at once in the
// frames of the other side's pool. It allocates nothing.
type duplex struct {
	pool  *frame.Pool
	other *duplex
	q     [512]frame.Span
	n     int
	drop  func(b []byte) bool // loses a packet on its way in
}

func (d *duplex) Recv(in []frame.Span) int {
	n := copy(in, d.q[:d.n])
	d.n = copy(d.q[:], d.q[n:d.n])
	return n
}

func (d *duplex) Send(out []frame.Span) int {
	o := d.other
	out = out[:min(len(out), d.Room())]
	for _, s := range out {
		b := d.pool.Bytes(s)
		if o.drop != nil && o.drop(b) {
			d.pool.TxStart(s.Frame)
			d.pool.TxDone(s.Frame)
			continue
		}
		f, ok := o.pool.Get()
		if !ok {
			panic("the other side has no frame")
		}
		o.q[o.n] = frame.Span{Frame: f, Off: 256, Len: s.Len}
		copy(o.pool.Bytes(o.q[o.n]), b)
		o.n++
		d.pool.TxStart(s.Frame)
		d.pool.TxDone(s.Frame)
	}
	return len(out)
}

func (d *duplex) Room() int { return len(d.other.q) - d.other.n }
func (d *duplex) Flush()    {}

// couple is two shards on one wire.
type couple struct {
	a, b     *Shard
	pa, pb   *duplex
	now      tcp.Time
	na, nb   tcp.Time
	appA     *recorder
	appB     *recorder
	received int
}

const gap = 10 * tcp.Microsecond

func newCouple(t testing.TB, edit func(a, b *Config)) *couple {
	t.Helper()
	c := &couple{pa: &duplex{}, pb: &duplex{}, appA: &recorder{}, appB: &recorder{}, now: tcp.Second}
	c.pa.other, c.pb.other = c.pb, c.pa
	make2 := func(p *duplex, app App, mac byte, conf Config) *Shard {
		p.pool = frame.New(make([]byte, 4096<<12), 12)
		s, err := New(conf, p.pool, []Link{{Name: "wire", MAC: [6]byte{2, 0, 0, 0, 0, mac}, MTU: 1500, Ports: []Port{p}}}, app)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	conf := func(a string, seed byte) Config {
		return Config{Addresses: []Address{{Prefix: netip.MustParsePrefix(a)}}, TCP: tcp.DefaultConfig(), Seed: [32]byte{seed}}
	}
	ca, cb := conf("10.0.0.1/24", 1), conf("10.0.0.2/24", 2)
	if edit != nil {
		edit(&ca, &cb)
	}
	c.a, c.b = make2(c.pa, c.appA, 1, ca), make2(c.pb, c.appB, 2, cb)
	if err := c.b.Listen(80); err != nil {
		t.Fatal(err)
	}
	return c
}

// step lets both run once, and the time pass, quickly over what is idle.
func (c *couple) step() {
	c.na, c.nb = c.a.Turn(c.now), c.b.Turn(c.now)
	c.now += gap
	if c.pa.n == 0 && c.pb.n == 0 {
		c.now = max(c.now, min(c.na, c.nb))
	}
}

func (c *couple) until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for limit := 200_000; !cond(); limit-- {
		if limit == 0 || min(c.na, c.nb) == tcp.Never && c.pa.n+c.pb.n == 0 && c.now > 2*tcp.Second {
			t.Fatalf("never: %s (at %d ms)", what, c.now/tcp.Millisecond)
		}
		c.step()
	}
}

// dial connects a to b and returns both handles.
func (c *couple) dial(t testing.TB) (at, bt mptcp.Conn) {
	t.Helper()
	before := len(c.appB.accepted)
	at, err := c.a.Dial(netip.MustParseAddrPort("10.0.0.2:80"), 0)
	if err != nil {
		t.Fatal(err)
	}
	c.until(t, "connected", func() bool {
		return len(c.appB.accepted) > before && c.appA.events[at]&tcp.Connected != 0
	})
	return at, c.appB.accepted[before]
}

// echo sends back what comes, span for span, as a relay does.
func echo(s *Shard, c mptcp.Conn, _ tcp.Event) {
	for s.Room(c) > 4096 {
		d, ok := s.Recv(c)
		if !ok {
			break
		}
		s.Send(c, d)
		s.pool.Release(d.Frame)
	}
	if eof, done, _ := s.Status(c); done {
		s.Close(c)
	} else if eof {
		s.Shut(c)
	}
}

// pour keeps a connection filled with segments of full size, and drinks what comes back.
func (c *couple) pour(limit *int, data []byte) func(*Shard, mptcp.Conn, tcp.Event) {
	return func(s *Shard, k mptcp.Conn, _ tcp.Event) {
		for d, ok := s.Recv(k); ok; d, ok = s.Recv(k) {
			c.received += int(d.Len)
			s.pool.Release(d.Frame)
		}
		for *limit >= len(data) && s.Room(k) > 16*len(data) && s.Write(k, data) == len(data) {
			*limit -= len(data)
		}
	}
}

// relaying is a couple in the middle of a long transfer through an echo.
func relaying(t testing.TB, limit *int) (*couple, mptcp.Conn) {
	c := newCouple(t, func(a, b *Config) {
		a.TCP.SndBuf, b.TCP.SndBuf = 1<<19, 1<<19
		a.TCP.RcvBuf, b.TCP.RcvBuf = 1<<19, 1<<19
	})
	c.appB.ready = echo
	at, _ := c.dial(t)
	c.appA.ready = c.pour(limit, make([]byte, 1448))
	c.a.Requeue(at, tcp.Writable)
	return c, at
}

// BenchmarkEcho is one data segment in and out of the echo, with its ACKs, on
// both shards together.
func BenchmarkEcho(b *testing.B) {
	limit := 1 << 60
	c, _ := relaying(b, &limit)
	for range 3000 {
		c.step()
	}
	b.ReportAllocs()
	first := c.received
	turns := 0
	for b.Loop() {
		for want := c.received + 1448; c.received < want; turns++ {
			c.step()
		}
	}
	segments := float64(c.received-first) / 1448
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/segments, "ns/segment")
	b.ReportMetric(segments/float64(turns), "segments/turn")
}

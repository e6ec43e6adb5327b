package tcp

import (
	"math/rand/v2"
	"testing"
)

// cookies is a listener that keeps nothing.
type cookies struct {
	*one
	k   Cookies
	t   *Tuple
	now uint32 // the peer's timestamp
}

func newCookies(t testing.TB) *cookies {
	return &cookies{one: newOneOf(t, 4), t: testTuple(1), now: 7000}
}

// shake sends a SYN with these options and returns the SYN-ACK and the third
// ACK, which is about n bytes of payload.
func (k *cookies) shake(o Options, f Flags, n int) (synack, ack Segment) {
	syn := Segment{Seq: peerISS, Wnd: 65535, Flags: SYN | f, Opts: o}
	k.k.Answer(&k.env, k.t, testParams, &syn, &synack)
	ack = Segment{Seq: peerISS + 1, Ack: synack.Seq + 1, Flags: ACK, Wnd: 400, Len: uint32(n)}
	if synack.Opts.Has&HasTS != 0 {
		ack.Opts = Options{Has: HasTS, TSVal: o.TSVal + 30, TSEcr: synack.Opts.TSVal}
	}
	return synack, ack
}

// open lets the ACK open the flow.
func (k *cookies) open(ack *Segment) bool {
	var syn Segment
	if !k.k.Check(&k.env, k.t, ack, &syn) {
		return false
	}
	p := testParams
	p.HasISN, p.ISN, p.Answered = true, ack.Ack-1, true
	k.conn.Accept(&k.env, k.t, p, &syn)
	if v := k.input(ack); v != Acceptable {
		k.one.t.Fatalf("the ACK was not acceptable in state %s", k.conn.state.short())
	}
	return true
}

// TestCookieKeepsOptions: a flow that a cookie opened is the one an Accept
// would have opened, but for an MSS rounded down.
func TestCookieKeepsOptions(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		o := Options{Has: uint8(rnd.UintN(16)), WScale: uint8(rnd.UintN(15)), MSS: uint16(rnd.UintN(10000)), TSVal: rnd.Uint32()}
		if i%2 == 0 {
			o.Has |= HasTS
		}
		n := rnd.IntN(2) * 500
		k, a := newCookies(t), newOneOf(t, 4)
		k.env.Now += Time(rnd.Int64N(int64(1000 * Second)))
		a.env.Now = k.env.Now
		synack, ack := k.shake(o, 0, n)
		if !k.open(&ack) {
			t.Fatalf("%+v: cookie refused", o)
		}
		syn := Segment{Seq: peerISS, Wnd: 65535, Flags: SYN, Opts: o}
		a.conn.Accept(&a.env, k.t, testParams, &syn)
		var other Segment
		a.conn.Output(&a.env, &other)
		third := ack
		third.Ack, third.Data = a.conn.iss+1, nil
		a.input(&third)

		// The same SYN-ACK, where the peer can echo what it says.
		if d := int32(other.Opts.TSVal - synack.Opts.TSVal); d < 0 || d >= 64 {
			t.Errorf("%+v: timestamp %d, without cookie %d", o, synack.Opts.TSVal, other.Opts.TSVal)
		}
		want := other.Opts
		if o.Has&HasTS == 0 {
			want.Has &^= HasSACKOK | HasWScale
			want.WScale = 0
		}
		if got := synack.Opts; got.Has != want.Has || got.MSS != want.MSS || got.Has&HasWScale != 0 && got.WScale != want.WScale ||
			synack.Wnd != other.Wnd || synack.Flags != SYN|ACK || synack.Ack != peerISS+1 || synack.RawLen != 0 {
			t.Errorf("%+v: SYN-ACK %+v, without cookie %+v", o, synack, other)
		}
		c, d := &k.conn, &a.conn
		if c.state != Established || c.rcvNxt != d.rcvNxt || c.Readable() != uint32(n) || c.iss != synack.Seq {
			t.Errorf("%+v: %s, %d bytes", o, c.state.short(), c.Readable())
		}
		round := k.conf.MinMSS
		for _, m := range []uint16{536, 1220, 1360, 1400, 1440, 1460, 8940} {
			if m <= d.peerMSS {
				round = m
			}
		}
		if c.peerMSS != round {
			t.Errorf("%+v: MSS %d, without cookie %d", o, c.peerMSS, d.peerMSS)
		}
		if o.Has&HasTS != 0 && (c.flags&(useTS|useSACK|useScale) != d.flags&(useTS|useSACK|useScale) ||
			c.sndScale != d.sndScale || c.rcvScale != d.rcvScale || c.sndWnd != d.sndWnd || c.tsRecent != d.tsRecent) {
			t.Errorf("%+v: scales %d and %d, window %d", o, c.sndScale, c.rcvScale, c.sndWnd)
		}
		if n > 0 && k.read() != n {
			t.Error("payload is missing")
		}
		k.out()
		k.done()
		a.done()
	}
}

func TestCookieIsProof(t *testing.T) {
	k := newCookies(t)
	_, good := k.shake(Options{Has: HasMSS | HasTS | HasWScale, MSS: 1400, WScale: 7, TSVal: 9}, 0, 0)
	var syn Segment
	for what, bad := range map[string]func(a *Segment, t *Tuple){
		"another ISN":           func(a *Segment, t *Tuple) { a.Seq++ },
		"another MSS":           func(a *Segment, t *Tuple) { a.Ack += 2 },
		"the other key":         func(a *Segment, t *Tuple) { a.Ack ^= 1 },
		"another ACK":           func(a *Segment, t *Tuple) { a.Ack += 1 << 20 },
		"another shift":         func(a *Segment, t *Tuple) { a.Opts.TSEcr ^= 2 },
		"SACK":                  func(a *Segment, t *Tuple) { a.Opts.TSEcr ^= cookieSACK },
		"no timestamp":          func(a *Segment, t *Tuple) { a.Opts.Has = 0 },
		"another port":          func(a *Segment, t *Tuple) { t.RemotePort++ },
		"another local port":    func(a *Segment, t *Tuple) { t.LocalPort++ },
		"another address":       func(a *Segment, t *Tuple) { t.Remote[15]++ },
		"another local address": func(a *Segment, t *Tuple) { t.Local[15]++ },
	} {
		a, tu := good, *testTuple(1)
		bad(&a, &tu)
		before := k.count.SyncookiesFailed
		if k.k.Check(&k.env, &tu, &a, &syn) || k.count.SyncookiesFailed != before+1 {
			t.Errorf("%s is good, too", what)
		}
	}
	for _, f := range []Flags{SYN | ACK, RST | ACK, RST, 0} {
		a := good
		if a.Flags = f; k.k.Check(&k.env, k.t, &a, &syn) {
			t.Errorf("a segment with flags %#x opens a flow", f)
		}
	}
	if !k.k.Check(&k.env, k.t, &good, &syn) || k.count.SyncookiesRecv != 1 || k.count.SyncookiesSent != 1 {
		t.Error("the cookie itself is not good")
	}
	if other := newCookies(t); other.k.Check(&other.env, other.t, &good, &syn) || other.count.SyncookiesFailed != 0 {
		t.Error("who sent no cookie looks for one")
	}
	for range 1000 { // no key is ever one that everybody knows
		fresh := Cookies{}
		fresh.rotate(&k.env)
		if fresh.keys[0] == [32]byte{} || fresh.keys[1] == [32]byte{} || fresh.keys[0] == fresh.keys[1] {
			t.Fatal("a key is not drawn")
		}
	}
}

func TestCookieExpires(t *testing.T) {
	o := Options{Has: HasTS, TSVal: 1}
	for _, phase := range []Time{0, 10 * Second, 63 * Second} {
		for _, c := range []struct {
			age  Time
			good bool
		}{{0, true}, {60 * Second, true}, {64*Second - 1, true}, {128 * Second, false}, {200 * Second, false}, {3600 * Second, false}} {
			k := newCookies(t)
			k.shake(o, 0, 0) // the period begins
			k.env.Now += phase
			_, ack := k.shake(o, 0, 0)
			if c.age > cookiePeriod {
				k.env.Now += cookiePeriod // keys are drawn on the way, too
				k.shake(o, 0, 0)
			}
			k.env.Now += c.age - min(c.age/cookiePeriod, 1)*cookiePeriod
			k.shake(o, 0, 0)
			var syn Segment
			if good := k.k.Check(&k.env, k.t, &ack, &syn); good != c.good {
				t.Errorf("%d s into the period, after %d s: %v", phase/Second, c.age/Second, good)
			}
		}
	}
}

// TestCookieNumbersTellNothing: neighbouring tuples' cookies look random.
func TestCookieNumbersTellNothing(t *testing.T) {
	k := newCookies(t)
	var ones [32]int
	last := Seq(0)
	const n = 4000
	for i := range n {
		tu := *k.t
		tu.RemotePort = uint16(i)
		var out Segment
		k.k.Answer(&k.env, &tu, testParams, &Segment{Seq: peerISS, Flags: SYN}, &out)
		for bit := range ones {
			ones[bit] += int((out.Seq ^ last) >> bit & 1)
		}
		last = out.Seq
	}
	for bit, m := range ones[4:] {
		if m < n/2-n/16 || m > n/2+n/16 {
			t.Errorf("bit %d changes %d times of %d", bit+4, m, n)
		}
	}
}

func TestCookieAllocatesNothing(t *testing.T) {
	k := newCookies(t)
	if n := testing.AllocsPerRun(1000, func() {
		_, ack := k.shake(Options{Has: HasTS | HasMSS, MSS: 1460}, 0, 0)
		var syn Segment
		k.k.Check(&k.env, k.t, &ack, &syn)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if k.env.Nodes.Live() != 0 || k.env.Pool.Free() != k.free {
		t.Error("a cookie took a node or a frame")
	}
}

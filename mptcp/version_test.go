package mptcp

import (
	"bytes"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// TestOfferBoth: a listener of version 0 ignores an offer of version 1; the next
// connection to it offers version 0, and after an hour one tries again.
func TestOfferBoth(t *testing.T) {
	w := newWorld(t, 50, &path{up: true, delay: 10 * tcp.Millisecond})
	w.cli.set.conf.Offer = OfferBoth
	old := true
	w.paths[0].strip = func(seg *tcp.Segment, toServer bool) {
		var o options
		if o.parse(v1, seg.Raw[:seg.RawLen]); old && toServer && seg.Flags&tcp.SYN != 0 && o.is(subCapable) && o.cap.size == 4 {
			seg.RawLen = 0 // it wants a key
		}
	}
	for i, want := range []Info{{MPTCP: false}, {MPTCP: true, Version: 0}, {MPTCP: true, Version: 0}, {MPTCP: true, Version: 1}} {
		if i == 3 {
			old = false
			w.now += versionFor
		}
		c, s := w.pair(5000, 5000)
		c.keepOpen = true
		w.run(10*tcp.Second, func() bool { return s.got == 5000 && c.got == 5000 })
		if got, _ := w.cli.set.Info(c.c); got.MPTCP != want.MPTCP || got.MPTCP && got.Version != want.Version {
			t.Errorf("connection %d: %+v, want %+v", i, got, want)
		}
		c.keepOpen = false
		w.after(0, func() { c.write(w.cli) })
		w.run(10*tcp.Second, done(c, s))
		w.equal(c, s)
		w.rest()
	}
}

// TestVersions: a destination takes the place of another, and is not taken for
// it.
func TestVersions(t *testing.T) {
	var v versions
	a := addr(1)
	v.ignored(0, &a, 80, true)
	if !v.older(versionFor-1, &a, 80) || v.older(versionFor, &a, 80) || v.older(1, &a, 81) {
		t.Error("what is remembered is wrong")
	}
	places := map[int]bool{}
	for i := range 256 {
		b := addr(byte(i))
		places[v.place(&b, uint16(80+i%4))] = true
		v.ignored(1, &b, uint16(80+i%4), true)
	}
	if len(places) < 100 {
		t.Errorf("256 destinations share %d places", len(places))
	}
	b := addr(77)
	if !v.older(2, &b, 80+77%4) && v[v.place(&b, 80+77%4)].addr == b {
		t.Error("forgotten")
	}
	v.ignored(3, &b, 80+77%4, false)
	if v.older(4, &b, 80+77%4) {
		t.Error("not forgotten")
	}
}

// TestNoJoinInitial: a server that asks by flag C not to be joined at the
// address and port of the first subflow is not; who does it all the same is
// reset. Version 0 has no such flag.
func TestNoJoinInitial(t *testing.T) {
	for _, c := range []struct {
		v             profile
		obeys, joined bool
	}{{v1, true, false}, {v1, false, false}, {v0, true, true}} {
		w := newWorld(t, 51, wifi(), lte())
		w.v = c.v
		w.srv.set.conf.NoJoinInitial = true
		flag := false
		w.txs = func(from *host, seg *tcp.Segment, _ *tcp.Tuple) {
			var o options
			if o.parse(v1, seg.Raw[:seg.RawLen]); from == w.srv && o.is(subCapable) {
				flag = flag || o.cap.flags&capNoJoin != 0
			}
		}
		a, b := w.pair(5000, 5000)
		a.keepOpen, b.keepOpen = true, true
		w.run(10*tcp.Second, func() bool { return a.got == 5000 && b.got == 5000 })
		if !c.obeys {
			w.cli.set.conn(a.c).noJoin = false
		}
		began := w.join(a.c, 1, 2000, false)
		end := w.now + tcp.Second
		w.run(10*tcp.Second, func() bool { return w.now >= end })
		n := &w.srv.set.Count
		if began != (!c.obeys || c.v == v0) || flag != (c.v == v1) || (n.MPJoinAckRx == 1) != c.joined || (n.MPJoinInitial == 1) != (c.v == v1 && !c.obeys) {
			t.Errorf("%+v: began %v, flag %v, %d joined, %d refused", c, began, flag, n.MPJoinAckRx, n.MPJoinInitial)
		}
		w.cli.env.Now = w.now
		w.cli.set.Abort(&w.cli.env, a.c)
		w.run(10*tcp.Second, done(a, b))
		w.rest()
	}
}

// TestDecodedByOthers lets an independent decoder read all options that both
// hosts send in a connection's life, and compares what it finds with our own.
func TestDecodedByOthers(t *testing.T) {
	for _, v := range []profile{v0, v1} {
		for seed := range uint64(6) {
			w, c, s := twoPaths(t, 60+seed, func(w *world) {
				w.v = v
				w.cli.set.conf.Checksum, w.cli.set.conf.Short = seed&1 != 0, seed&2 != 0
				w.paths[0].loss, w.paths[1].loss = 0.01, 0.01
			})
			seen := map[subtype]int{}
			w.txs = func(_ *host, seg *tcp.Segment, _ *tcp.Tuple) {
				if seg.RawLen > 0 {
					compare(t, v, seg, seen)
				}
			}
			if seed < 4 {
				w.finish(c, s)
			} else {
				w.after(700*tcp.Millisecond, func() { w.srv.set.Abort(&w.srv.env, s.c) })
				w.run(100*tcp.Second, done(c, s))
				w.rest()
			}
			if seen[subCapable] < 3 || seen[subJoin] < 3 || seen[subDSS] < 100 || seed >= 4 && seen[subFastclose] == 0 || v == v0 && seen[subReset] > 0 {
				t.Errorf("version %d, seed %d: %v", v, seed, seen)
			}
		}
	}
}

func compare(t *testing.T, v profile, seg *tcp.Segment, seen map[subtype]int) {
	t.Helper()
	copied := *seg
	g := decode(t, &copied)
	o := reread(t, v, &copied)
	seen[subtype(g.OptionMultipath)]++
	ok := true
	switch subtype(g.OptionMultipath) {
	case subCapable:
		m := g.OptionMPTCPMpCapable
		ok = m.Version == o.cap.version && m.Version == uint8(v) && m.A == (o.cap.flags&capChecksum != 0) && m.H && !m.B && !m.C && m.DataLength == o.cap.length &&
			m.Checksum == o.cap.csum && (o.cap.size < 12 || key64(m.SendKey) == o.cap.sender) && (o.cap.size < 20 || key64(m.ReceivKey) == o.cap.receiver)
	case subJoin:
		m := g.OptionMPTCPMpJoin
		ok = m.ReceivToken == o.join.token && m.SendRandNum == o.join.nonce && m.AddrID == o.join.id && bytes.HasPrefix(o.join.mac[:], m.SendHMAC)
	case subDSS:
		m, d := g.OptionMPTCPDss, &o.dss
		ok = m.A == (d.flags&dssAck != 0) && m.M == (d.flags&dssMap != 0) && m.F == (d.flags&dssFin != 0) && m.SSN == d.ssn && m.DataLength == d.length &&
			m.Checksum == d.csum && (!m.A || number(m.DataAck) == d.ack) && (!m.M || number(m.DSN) == d.dsn)
	case subFastclose:
		ok = key64(g.OptionMTCPMPFastClose.ReceivKey) == o.close && (v == v1) == (seg.Flags&tcp.RST != 0)
	case subFail:
		ok = g.OptionMTCPMPFail.DSN == o.fail
	}
	if !ok {
		t.Errorf("version %d: %+v, decoded as %+v", v, o, g)
	}
}

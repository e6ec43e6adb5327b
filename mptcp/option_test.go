package mptcp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/tcp"
)

// decode lets an independent decoder read what we wrote.
func decode(t *testing.T, seg *tcp.Segment) layers.TCPOption {
	t.Helper()
	b := make([]byte, seg.HeaderLen())
	seg.Put(b, 1, 2)
	var l layers.TCP
	if err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		t.Fatal(err)
	}
	for _, o := range l.Options {
		if o.OptionType == layers.TCPOptionKindMultipathTCP {
			return o
		}
	}
	t.Fatalf("no MPTCP option in % x", b)
	return layers.TCPOption{}
}

// reread lets our own decoder read it.
func reread(t *testing.T, p profile, seg *tcp.Segment) *options {
	t.Helper()
	b := make([]byte, seg.HeaderLen())
	seg.Put(b, 1, 2)
	var in tcp.Segment
	if _, ok := in.Parse(b); !ok {
		t.Fatal("header")
	}
	o := new(options)
	o.parse(p, in.Raw[:in.RawLen])
	if o.bad != 0 {
		t.Fatalf("%d bad options in % x", o.bad, b)
	}
	return o
}

func key64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func TestCapableOption(t *testing.T) {
	for _, form := range [][2]uint8{{1, 4}, {1, 12}, {1, 20}, {1, 22}, {1, 24}, {0, 12}, {0, 20}} {
		version, size := form[0], form[1]
		want := capableOption{version: version, flags: capHMAC | capChecksum, size: size}
		if size >= 12 {
			want.sender = 0x1122334455667788
		}
		if size >= 20 {
			want.receiver = 0x99aabbccddeeff01
		}
		if size >= 22 {
			want.length = 1420
		}
		if size == 24 {
			want.csum = 0xbeef
		}
		var seg tcp.Segment
		want.put(&seg)
		if o := reread(t, v1, &seg); !o.is(subCapable) || o.cap != want {
			t.Errorf("size %d: %+v", size, o.cap)
		}
		g := decode(t, &seg).OptionMPTCPMpCapable
		if g == nil || g.Version != version || !g.A || g.B || g.C || !g.H || g.DataLength != want.length || g.Checksum != want.csum ||
			size >= 12 && key64(g.SendKey) != want.sender || size >= 20 && key64(g.ReceivKey) != want.receiver {
			t.Errorf("size %d: %+v", size, g)
		}
	}
}

func TestJoinOption(t *testing.T) {
	mac := [20]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	for _, want := range []joinOption{
		{size: 12, backup: true, id: 7, token: 0xdeadbeef, nonce: 0x01020304},
		{size: 16, id: 9, nonce: 0x0a0b0c0d, mac: [20]byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{size: 24, mac: mac},
	} {
		var seg tcp.Segment
		want.put(&seg)
		if o := reread(t, v1, &seg); !o.is(subJoin) || o.join != want {
			t.Errorf("%+v read as %+v", want, o.join)
		}
		g := decode(t, &seg).OptionMPTCPMpJoin
		if g == nil || g.Backup != want.backup || g.AddrID != want.id || g.ReceivToken != want.token || g.SendRandNum != want.nonce ||
			len(g.SendHMAC) > 0 && !bytes.HasPrefix(want.mac[:], g.SendHMAC) {
			t.Errorf("%+v decoded as %+v", want, g)
		}
	}
}

func TestDSSOption(t *testing.T) {
	for flags := uint8(0); flags <= dssLegend; flags++ {
		for _, sum := range []bool{false, true} {
			if flags&dssAck == 0 && flags&dssAck64 != 0 || flags&dssMap == 0 && (flags&(dssDSN64|dssFin) != 0 || sum) {
				continue
			}
			want := dssOption{flags: flags, sum: sum}
			if flags&dssAck != 0 {
				want.ack = 0xf1f2f3f4
			}
			if flags&dssAck64 != 0 {
				want.ack |= 0x1234567800000000
			}
			if flags&dssMap != 0 {
				want.dsn, want.ssn, want.length = 0x51525354, 77, 1400
				if flags&dssDSN64 != 0 {
					want.dsn |= 0x9876543200000000
				}
				if sum {
					want.csum = 0xabcd
				}
			}
			var seg tcp.Segment
			want.put(&seg)
			if int(seg.RawLen) != want.size() {
				t.Errorf("flags %02x: wrote %d bytes, size says %d", flags, seg.RawLen, want.size())
			}
			if o := reread(t, v1, &seg); !o.is(subDSS) || o.dss != want {
				t.Errorf("flags %02x: %+v read as %+v", flags, want, o.dss)
			}
			g := decode(t, &seg).OptionMPTCPDss
			if g == nil || g.F != (flags&dssFin != 0) || g.SSN != want.ssn || g.DataLength != want.length || g.Checksum != want.csum ||
				g.A && number(g.DataAck) != want.ack || g.M && number(g.DSN) != want.dsn {
				t.Errorf("flags %02x: decoded as %+v", flags, g)
			}
		}
	}
}

func TestAddressOptions(t *testing.T) {
	v4, v6 := tcp.AddrFrom4([4]byte{10, 1, 2, 3}), tcp.Addr{0x20, 1, 0xd, 0xb8, 15: 1}
	for _, c := range []struct {
		p    profile
		want addrOption
		size int
	}{
		{v1, addrOption{id: 3, addr: v4, signed: true, mac: 0x1122334455667788}, 16},
		{v1, addrOption{id: 3, addr: v4, hasPort: true, port: 8080, signed: true, mac: 1}, 18},
		{v1, addrOption{id: 4, addr: v6, signed: true, mac: 2}, 28},
		{v1, addrOption{id: 4, addr: v6, hasPort: true, port: 443, signed: true, mac: 3}, 30},
		{v1, addrOption{id: 5, addr: v6, echo: true}, 20},
		{v1, addrOption{id: 5, addr: v6, hasPort: true, port: 443, echo: true}, 22},
		{v1, addrOption{id: 6, addr: v4, echo: true}, 8},
		{v1, addrOption{id: 6, addr: v4, hasPort: true, port: 1, echo: true}, 10},
		{v0, addrOption{id: 7, addr: v4}, 8},
		{v0, addrOption{id: 7, addr: v4, hasPort: true, port: 1}, 10},
		{v0, addrOption{id: 8, addr: v6}, 20},
		{v0, addrOption{id: 8, addr: v6, hasPort: true, port: 443}, 22},
	} {
		var seg tcp.Segment
		want := c.want
		want.put(&seg, c.p)
		if o := reread(t, c.p, &seg); !o.is(subAddAddr) || o.add != want || int(seg.RawLen) != c.size || want.size() != c.size {
			t.Errorf("%+v read as %+v, %d bytes", want, o.add, seg.RawLen)
		}
		g := decode(t, &seg).OptionMPTCPAddAddr
		if g == nil || g.E != want.echo || g.AddrID != want.id || g.Port != want.port || !bytes.Equal(g.Address, want.addr.Bytes()) ||
			want.signed && key64(g.SendHMAC) != want.mac || c.p == v0 && g.IPVer != want.family() {
			t.Errorf("%+v decoded as %+v", want, g)
		}
	}
	// In version 0 the family's number and the length must agree.
	for _, low := range []byte{0, 1, 6, 15} {
		var o options
		if o.parse(v0, []byte{30, 8, 0x30 | low, 1, 10, 1, 2, 3}); o.bad != 1 || o.is(subAddAddr) {
			t.Errorf("family %d of 4 bytes: %+v", low, o.add)
		}
	}
	var seg tcp.Segment
	rm := removeOption{n: 3, ids: [37]uint8{1, 0, 9}}
	rm.put(&seg)
	if o := reread(t, v1, &seg); o.rm.n != 3 || o.rm.ids != rm.ids {
		t.Errorf("%+v", o.rm)
	}
	if g := decode(t, &seg).OptionMTCPRemAddr; g == nil || !bytes.Equal(g.AddrIDs, []byte{1, 0, 9}) {
		t.Errorf("%+v", g)
	}
}

func TestSignalOptions(t *testing.T) {
	var seg tcp.Segment
	prioOption{backup: true}.put(&seg)
	if o := reread(t, v1, &seg); !o.is(subPrio) || !o.prio.backup || !decode(t, &seg).OptionMPTCPMpPrio.Backup {
		t.Error("MP_PRIO")
	}
	for _, p := range []profile{v0, v1} {
		seg = tcp.Segment{}
		want := prioOption{backup: true, hasID: true, id: 200}
		want.put(&seg)
		var o options
		if o.parse(p, seg.Raw[:seg.RawLen]); o.is(subPrio) != (p == v0) || p == v0 && o.prio != want {
			t.Errorf("MP_PRIO with an id, version %d: %+v", p, o.prio)
		}
		if g := decode(t, &seg).OptionMPTCPMpPrio; g == nil || g.AddrID != 200 || !g.Backup {
			t.Errorf("%+v", g)
		}
	}
	seg = tcp.Segment{}
	putFail(&seg, 0x1122334455667788)
	if o := reread(t, v1, &seg); o.fail != 0x1122334455667788 || decode(t, &seg).OptionMTCPMPFail.DSN != o.fail {
		t.Error("MP_FAIL")
	}
	seg = tcp.Segment{}
	putFastclose(&seg, 0x8877665544332211)
	if o := reread(t, v1, &seg); o.close != 0x8877665544332211 || key64(decode(t, &seg).OptionMTCPMPFastClose.ReceivKey) != o.close {
		t.Error("MP_FASTCLOSE")
	}
	seg = tcp.Segment{}
	resetOption{transient: true, reason: Middlebox}.put(&seg)
	g := decode(t, &seg).OptionMPTCPMPTcpRst
	if o := reread(t, v1, &seg); !o.reset.transient || o.reset.reason != Middlebox || !g.T || g.U || g.Reason != 6 {
		t.Error("MP_TCPRST")
	}
}

func TestExpand(t *testing.T) {
	for _, c := range []struct {
		ref  uint64
		low  uint32
		want uint64
	}{
		{0x1_0000_0000, 0, 0x1_0000_0000},
		{0x1_0000_0000, 0xffff_ffff, 0xffff_ffff},
		{0xffff_ffff, 1, 0x1_0000_0001},
		{0x7fff_ffff_ffff_ffff, 0x10, 0x8000_0000_0000_0010},
		{5, 0xffff_fff0, 0xffff_ffff_ffff_fff0},
	} {
		if got := expand(c.ref, c.low); got != c.want {
			t.Errorf("expand(%x, %x) = %x, want %x", c.ref, c.low, got, c.want)
		}
	}
}

// TestTokens compares the table with a map under random use.
func TestTokens(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var tab tokens
	ref := map[uint32]uint32{}
	var keys []uint32
	for i := range 20000 {
		if len(keys) > 0 && r.IntN(5) < 2 {
			j := r.IntN(len(keys))
			tab.remove(keys[j])
			delete(ref, keys[j])
			keys[j] = keys[len(keys)-1]
			keys = keys[:len(keys)-1]
		} else if k := r.Uint32N(1<<14) * 64; ref[k] == 0 { // they collide
			tab.put(k, uint32(i+1))
			ref[k] = uint32(i + 1)
			keys = append(keys, k)
		}
	}
	for k := range uint32(1 << 14) {
		if tab.get(k*64) != ref[k*64] {
			t.Fatalf("token %d: %d, want %d", k, tab.get(k*64), ref[k*64])
		}
	}
	if tab.n != len(ref) {
		t.Errorf("%d entries, want %d", tab.n, len(ref))
	}
	tab.remove(1)
}

// FuzzOptions: any bytes are read without panic, and what was understood says
// the same when written again.
func FuzzOptions(f *testing.F) {
	var seg tcp.Segment
	(&capableOption{version: 1, size: 20}).put(&seg)
	f.Add(seg.Raw[:seg.RawLen])
	seg = tcp.Segment{}
	(&dssOption{flags: dssAck | dssMap | dssDSN64 | dssAck64, length: 9}).put(&seg)
	f.Add(seg.Raw[:seg.RawLen])
	f.Add([]byte{30, 3, 0x50, 30, 0, 1})
	seg = tcp.Segment{}
	(&addrOption{id: 1, addr: tcp.Addr{15: 1}}).put(&seg, v0)
	f.Add(seg.Raw[:seg.RawLen])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > tcp.MaxOptions {
			b = b[:tcp.MaxOptions]
		}
		for _, p := range []profile{v0, v1} {
			again(t, p, b)
		}
	})
}

func again(t *testing.T, v profile, b []byte) {
	var o, p options
	o.parse(v, b)
	var seg tcp.Segment
	switch {
	case o.is(subDSS):
		o.dss.put(&seg)
	case o.is(subCapable):
		o.cap.put(&seg)
	case o.is(subAddAddr):
		o.add.put(&seg, v)
	case o.is(subJoin) && o.join.size != 24:
		o.join.put(&seg)
	default:
		return
	}
	p.parse(v, seg.Raw[:seg.RawLen])
	if o.is(subDSS) && p.dss != o.dss || !o.is(subDSS) && (p.cap != o.cap && o.is(subCapable) || p.add != o.add && o.is(subAddAddr) && !o.is(subCapable)) {
		t.Fatalf("% x: %+v, again %+v", b, o, p)
	}
}

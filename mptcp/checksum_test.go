package mptcp

import (
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// same compares two sums: zero has two forms.
func same(a, b uint16) bool { return a == b || a%0xffff == 0 && b%0xffff == 0 }

// TestCutSums cuts spans at random, odd places too: a sum that is known is that
// of the bytes, and the larger part's stays known.
func TestCutSums(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	p := frame.New(make([]byte, 2<<12), 12)
	f, _ := p.Get()
	for range 20_000 {
		d := frame.Span{Frame: f, Off: uint16(r.IntN(64)), Len: uint16(1 + r.IntN(1500)), Flags: frame.SumKnown | frame.More}
		b := p.Bytes(d)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		d.Sum = checksum.Sum(b)
		for d.Len > 0 {
			off := uint32(r.IntN(int(d.Len)))
			n := uint32(r.IntN(int(uint32(d.Len)-off) + 1))
			k := cut(p, d, off, n)
			known := k.Flags&frame.SumKnown != 0
			if known && !same(k.Sum, checksum.Sum(p.Bytes(k))) {
				t.Fatalf("%d bytes from %d of %d: %04x, not %04x", n, off, d.Len, k.Sum, checksum.Sum(p.Bytes(k)))
			}
			if d.Flags&frame.SumKnown != 0 && n > uint32(d.Len)/2 && !known {
				t.Fatalf("%d bytes of %d: the sum was forgotten", n, d.Len)
			}
			d = k
		}
	}
}

// TestChecksums: every mapping that leaves has the checksum of its bytes,
// whatever the lengths of the spans it was made of, and wherever it is cut:
// retransmitted with other boundaries, reinjected on another path, after windows that
// end within a span. The receiver's own sums are checked by it.
func TestChecksums(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 12))
		w := newWorld(t, seed, &path{up: true, rate: 2e6, delay: 10 * tcp.Millisecond, queue: 1 << 16, loss: 0.01},
			&path{up: true, rate: 1e6, delay: 25 * tcp.Millisecond, queue: 1 << 16, loss: 0.01})
		w.v = profile(seed % 2)
		w.srv.set.conf.Checksum = true
		w.cli.set.conf.RcvBuf = uint32(20_000 + r.IntN(40_000))
		w.mtu = 500 + r.IntN(960)
		seen := 0
		w.txs = func(from *host, seg *tcp.Segment, _ *tcp.Tuple) {
			var o options
			if o.parse(w.v, seg.Raw[:seg.RawLen]); from != w.srv || !o.is(subDSS) || o.dss.flags&dssMap == 0 || o.dss.length < 2 {
				return
			}
			key := from.set.conn(w.srvConn()).localKey
			_, idsn := w.v.digest(key)
			b := make([]byte, o.dss.length)
			for i := range b {
				b[i] = pattern(2, int64(o.dss.dsn-idsn-1)+int64(i))
			}
			m := mapping{dsn: o.dss.dsn, ssn: o.dss.ssn, wire: o.dss.length}
			if got := checksum.Add(checksum.Add(checksum.Sum(b), pseudo(&m)), o.dss.csum); got != 0xffff {
				t.Errorf("seed %d: the checksum of %d bytes from %d on is wrong by %04x", seed, len(b), o.dss.dsn-idsn, ^got)
			}
			seen++
		}
		c, s := w.pair(0, 400_000)
		s.chunk = func() int64 { return 1 + r.Int64N(1400) }
		c.keepOpen = true
		w.after(100*tcp.Millisecond, func() { w.join(c.c, 1, 2000, false) })
		w.after(500*tcp.Millisecond, func() { w.paths[int(seed)%2].up = false })
		w.after(900*tcp.Millisecond, func() { w.paths[int(seed)%2].up = true })
		w.finish(c, s)
		if n := w.cli.set.Count; n.DataCsumErr != 0 || seen < 100 {
			t.Errorf("seed %d: %d wrong checksums received, %d mappings seen", seed, n.DataCsumErr, seen)
		}
	}
}

// srvConn is the server's one connection.
func (w *world) srvConn() Conn {
	for c := range w.srv.apps {
		return c
	}
	return 0
}

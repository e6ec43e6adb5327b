package mptcp

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// TestMiddleboxes runs connections through random middleboxes, each run from a
// seed: options stripped from a random moment on, segments split, coalesced,
// renumbered, duplicated, reordered, lost, and payload changed where checksums
// find it out. Every byte must arrive, nobody may hang, and nothing may be left.
// MPXD_SEED picks one seed, MPXD_FULL=1 runs 10,000 from a random one on.
func TestMiddleboxes(t *testing.T) {
	first, n := uint64(1), uint64(150)
	switch {
	case os.Getenv("MPXD_FULL") != "":
		first, n = rand.Uint64N(1<<32), 10_000
	case testing.Short():
		n = 20
	}
	if v, err := strconv.ParseUint(os.Getenv("MPXD_SEED"), 10, 64); err == nil {
		first, n = v, 1
	}
	t.Logf("seeds from %d on", first)
	total := Counters{}
	failed := 0
	for seed := first; seed < first+n && failed < 10; seed++ {
		if !t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { middleboxes(t, seed, &total) }) {
			failed++
		}
	}
	t.Logf("in fallback %d by options, %d by FIN, %d by a checksum; %d too late; %d resets for a checksum; %d bytes unmapped",
		total.DssFallback, total.DssFinFallback, total.DSSCorruptionFallback, total.FallbackFailed, total.DSSCorruptionReset, total.Unmapped)
}

// crossing is one run: a client, a server, paths with middleboxes.
type crossing struct {
	w     *world
	r     *rand.Rand
	c, s  *app
	clean int // a path without middleboxes that harm; -1: none
	port  uint16
}

func middleboxes(t *testing.T, seed uint64, total *Counters) {
	r := rand.New(rand.NewPCG(seed, 9))
	n := 1 + r.IntN(3)
	ps := randomPaths(r, n, worst{rate: 20e6, delay: 30, queue: 1 << 19, loss: 0.02, jitter: 8, oneIn: 3})
	x := &crossing{w: newWorld(t, seed, ps...), r: r, clean: -1, port: 3000}
	x.w.v = profile(r.IntN(2))
	x.w.cli.set.conf.Short = r.IntN(2) == 0
	x.w.trace = os.Getenv("MPXD_TRACE") != ""
	csum := r.IntN(2) == 0
	x.w.cli.set.conf.Checksum = csum
	x.c, x.s = x.w.pair(r.Int64N(300_000), r.Int64N(600_000))
	x.s.waitEOF = r.IntN(2) == 0
	if n > 1 {
		x.clean = r.IntN(n)
	}
	for i, p := range ps {
		p.box = x.boxes(i, csum)
	}
	if n > 1 {
		x.c.keepOpen = true
		for i := 1; i < n; i++ {
			x.w.after(tcp.Time(50+r.IntN(500))*tcp.Millisecond, func() { x.w.join(x.c.c, i, uint16(2000+i), r.IntN(5) == 0) })
		}
		x.w.after(tcp.Time(r.IntN(1500))*tcp.Millisecond, func() { x.c.keepOpen = false; x.c.write(x.w.cli) })
		x.again()
	}
	x.w.run(120*tcp.Second, done(x.c, x.s))
	if !x.c.content(x.s) || !x.s.content(x.c) {
		t.Fatalf("seed %d: client %v, server %v: %s %s", seed, x.c.err, x.s.err, x.w.status(x.w.cli), x.w.status(x.w.srv))
	}
	x.w.arrived(x.c, x.s)
	x.w.rest()
	for _, k := range []*Counters{&x.w.cli.set.Count, &x.w.srv.set.Count} {
		total.DssFallback += k.DssFallback
		total.DssFinFallback += k.DssFinFallback
		total.DSSCorruptionFallback += k.DSSCorruptionFallback
		total.FallbackFailed += k.FallbackFailed
		total.DSSCorruptionReset += k.DSSCorruptionReset
		total.Unmapped += k.Unmapped
	}
}

// content reports whether a ended well, or for want of a peer that could
// confirm the end of what it got whole: it is done and opens no subflow any more.
func (a *app) content(peer *app) bool {
	return a.err == tcp.NoError || a.err == tcp.TimedOut && a.eof && peer.eof && peer.done && peer.err == tcp.NoError
}

// again lets the client's path manager open a subflow over the clean path when
// it has none left.
func (x *crossing) again() {
	x.w.after(500*tcp.Millisecond, func() {
		k := x.w.cli.set.conn(x.c.c)
		if x.c.done || k == nil {
			return
		}
		if x.w.cli.set.usableBut(k, nil) == 0 && !k.plain && !k.over {
			x.port++
			x.w.join(x.c.c, x.clean, x.port, false)
		}
		x.again()
	})
}

// boxes are the middleboxes of path i. What they do together must leave a way:
// on an only path options are not stripped after segments were coalesced, since
// what was sent twice cannot fall back; and no half without options is coalesced
// there or on the clean path, which would strip them.
func (x *crossing) boxes(i int, csum bool) box {
	var c chain
	r := x.r
	if r.IntN(3) == 0 {
		c = append(c, renumber{tcp.Seq(r.Uint32()), tcp.Seq(r.Uint32())})
	}
	halves := false
	if r.IntN(4) == 0 {
		halves = r.IntN(2) == 0
		c = append(c, splitter{!halves})
	}
	strip := i != x.clean && r.IntN(2) == 0
	if !strip && r.IntN(3) == 0 && !(halves && (i == x.clean || x.clean < 0)) {
		c = append(c, &merger{last: r.IntN(2) == 0})
	}
	if strip {
		c = append(c, x.stripper())
	}
	switch {
	case i > 0 && i != x.clean && csum && r.IntN(3) == 0:
		c = append(c, noise{r, 0.02})
	case len(x.w.paths) == 1 && len(c) == 0 && csum:
		e := &editor{toServer: r.IntN(2) == 0, at: uint32(r.IntN(100_000))}
		switch n := uint32(1 + r.IntN(5)); r.IntN(3) {
		case 0:
			e.change = n
		case 1:
			e.insert = n
		default:
			e.change = n // a hole needs data behind it, and the plan may be short
		}
		a := x.c
		if e.toServer {
			a = x.s
		}
		if x.w.v != v0 { // there it is sent again
			a.altered = e
		}
		return e
	}
	r.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
	return c
}

// stripper begins at a random segment, in some directions, for some kinds of
// segments.
func (x *crossing) stripper() box {
	i, from := 0, x.r.IntN(200)
	if x.r.IntN(3) == 0 {
		from = x.r.IntN(8)
	}
	way, kind := x.r.IntN(3), x.r.IntN(3)
	return stripper(func(seg *tcp.Segment, toServer bool) bool {
		i++
		switch {
		case i <= from, way == 1 && toServer, way == 2 && !toServer:
			return false
		}
		return kind == 0 || kind == 1 && seg.Len > 0 || kind == 2 && seg.Len == 0
	})
}

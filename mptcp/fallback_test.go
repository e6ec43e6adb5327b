package mptcp

import (
	"fmt"
	"os"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// between runs a connection over one path with a middlebox, with several
// amounts of data each way, and checks that what arrives is what the box made of
// it, that nobody hangs for longer than he must, and that nothing is left. In version 0
// what a checksum found out is sent again and arrives as it was.
func between(t *testing.T, name string, csum bool, make func() box, check func(t *testing.T, v profile, cli, srv *Counters)) {
	for _, v := range []profile{v0, v1} {
		betweenOf(t, v, fmt.Sprintf("%s, version %d", name, v), csum, make, check)
	}
}

func betweenOf(t *testing.T, v profile, name string, csum bool, make func() box, check func(t *testing.T, v profile, cli, srv *Counters)) {
	t.Run(name, func(t *testing.T) {
		plans := [][2]int64{{10_000, 300_000}, {300_000, 10_000}, {5000, 20_000}, {300_000, 300_000}}
		if testing.Short() {
			plans = plans[:1]
		}
		for _, plan := range plans {
			for _, quiet := range []bool{false, true} { // quiet: the server waits for the request's end
				w := newWorld(t, 12, &path{up: true, rate: 4e6, queue: 1 << 18, delay: 10 * tcp.Millisecond})
				w.v = v
				w.cli.set.conf.Checksum, w.cli.set.conf.Short = csum, quiet
				w.paths[0].box = make()
				c, s := w.pair(plan[0], plan[1])
				s.waitEOF = quiet
				if x, ok := w.paths[0].box.(*editor); ok && (v == v1 || !csum) {
					a := c
					if x.toServer {
						a = s
					}
					a.altered = x
				}
				begin := w.now
				w.run(20*tcp.Second, done(c, s))
				if c.err != tcp.NoError || s.err != tcp.NoError {
					t.Errorf("plan %v: client %v, server %v", plan, c.err, s.err)
				}
				w.arrived(c, s)
				if took := w.now - begin; took > 6*tcp.Second {
					t.Errorf("plan %v, quiet %v: took %d ms", plan, quiet, took/tcp.Millisecond)
				}
				if plan[0]+plan[1] > 300_000 {
					check(t, v, &w.cli.set.Count, &w.srv.set.Count)
				}
				w.rest()
			}
		}
	})
}

// arrived checks that all bytes came, as a middlebox left them.
func (w *world) arrived(c, s *app) {
	w.t.Helper()
	for _, p := range []struct{ from, to *app }{{c, s}, {s, c}} {
		want := p.from.send
		if x := p.to.altered; x != nil && want > int64(x.at) {
			want += int64(x.insert) - int64(x.delete)
		}
		if p.to.bad || p.to.got != want {
			w.t.Fatalf("seed %d: got %d of %d, bad %v; client %s; server %s", w.seed, p.to.got, want, p.to.bad, w.status(w.cli), w.status(w.srv))
		}
	}
}

// from strips what matches, beginning with the n-th segment of the path.
func from(n int, match func(seg *tcp.Segment, toServer bool) bool) func() box {
	return func() box {
		i := 0
		return stripper(func(seg *tcp.Segment, toServer bool) bool {
			i++
			return i > n && seg.Flags&tcp.SYN == 0 && match(seg, toServer)
		})
	}
}

// stages are the numbers of segments after which a middlebox begins.
func stages() []int {
	switch {
	case testing.Short():
		return []int{3}
	case os.Getenv("MPXD_FULL") == "":
		return []int{0, 3, 40}
	}
	return []int{0, 1, 2, 3, 4, 5, 6, 8, 12, 40, 100, 200}
}

// TestStripped: options vanish at every stage, in both directions or in one.
func TestStripped(t *testing.T) {
	for _, kind := range []struct {
		name  string
		match func(seg *tcp.Segment, toServer bool) bool
	}{
		{"all", func(*tcp.Segment, bool) bool { return true }},
		{"to the server", func(_ *tcp.Segment, to bool) bool { return to }},
		{"to the client", func(_ *tcp.Segment, to bool) bool { return !to }},
		{"payload", func(seg *tcp.Segment, _ bool) bool { return seg.Len > 0 }},
		{"pure ACKs", func(seg *tcp.Segment, _ bool) bool { return seg.Len == 0 }},
		{"pure ACKs to the server", func(seg *tcp.Segment, to bool) bool { return to && seg.Len == 0 }},
		{"pure ACKs to the client", func(seg *tcp.Segment, to bool) bool { return !to && seg.Len == 0 }},
		{"DATA_FIN", func(seg *tcp.Segment, _ bool) bool {
			var o options
			o.parse(v1, seg.Raw[:seg.RawLen])
			return o.is(subDSS) && o.dss.flags&dssFin != 0
		}},
	} {
		for _, csum := range []bool{false, true} {
			for _, n := range stages() {
				between(t, fmt.Sprintf("%s from %d csum %v", kind.name, n, csum), csum, from(n, kind.match), func(t *testing.T, v profile, c, s *Counters) {
					if c.FallbackFailed+s.FallbackFailed+c.MPRstTx+s.MPRstTx != 0 {
						t.Errorf("a subflow was reset: client %+v, server %+v", *c, *s)
					}
				})
			}
		}
	}
}

// TestEdited: a middlebox changes payload on the only subflow. With checksums it
// is found out, and both sides go on as TCP (RFC 8684, 3.7).
func TestEdited(t *testing.T) {
	places := []uint32{0, 100, 4000, 9_990}
	if testing.Short() {
		places = places[1:2]
	}
	for _, toServer := range []bool{true, false} {
		for _, at := range places {
			for name, x := range map[string]editor{"same length": {change: 1}, "one more": {insert: 1}, "four more": {insert: 4}, "one less": {delete: 1}, "seven less": {delete: 7}} {
				x.toServer, x.at = toServer, at
				between(t, fmt.Sprintf("%s at %d to the server %v", name, at, toServer), true, func() box { y := x; return &y }, func(t *testing.T, v profile, c, s *Counters) {
					if n := c.DSSCorruptionFallback + s.DSSCorruptionFallback; n != 2 || c.MPFailTx+s.MPFailTx == 0 || (c.MPFailTx == 0 || s.MPFailTx == 0) != (v == v0) || c.DataCsumErr+s.DataCsumErr != 1 || c.InfiniteMapTx+s.InfiniteMapTx == 0 {
						t.Errorf("client %+v\nserver %+v", *c, *s)
					}
				})
			}
		}
	}
}

// TestMangled: what does not change the stream does no harm: MPTCP goes on.
func TestMangled(t *testing.T) {
	for _, csum := range []bool{false, true} {
		for name, make := range map[string]func() box{
			"renumbered":                    func() box { return renumber{12345678, 0xf0000000} },
			"split, options on both":        func() box { return splitter{true} },
			"split, options on the first":   func() box { return splitter{false} },
			"coalesced, the first's option": func() box { return &merger{} },
			"coalesced, the last's option":  func() box { return &merger{last: true} },
			"renumbered, split, coalesced":  func() box { return chain{splitter{true}, renumber{7, 1 << 31}, &merger{}} },
		} {
			between(t, fmt.Sprintf("%s csum %v", name, csum), csum, make, func(t *testing.T, v profile, c, s *Counters) {
				if s.MPCapableSYNRX != 1 || c.MPCapableSYNACKRX != 1 || v == v1 && s.MPCapableACKRX != 1 || c.DssFallback+s.DssFallback+c.DataCsumErr+s.DataCsumErr+c.FallbackFailed+s.FallbackFailed != 0 {
					t.Errorf("client %+v\nserver %+v", *c, *s)
				}
			})
		}
	}
}

// TestStrippedDuringJoin: options vanish from the first path at every moment of
// a join on the second. Either the connection falls back and the join is refused,
// or the join was there first and carries on.
func TestStrippedDuringJoin(t *testing.T) {
	fellBack, joined, step := 0, 0, 3*tcp.Millisecond
	switch {
	case os.Getenv("MPXD_FULL") != "":
		step = tcp.Millisecond
	case testing.Short():
		step = 20 * tcp.Millisecond
	}
	for _, to := range []int{0, 1, 2} { // both directions, to the server, to the client
		for at := tcp.Time(0); at <= 70*tcp.Millisecond; at += step {
			slow := path{up: true, rate: 4e6, queue: 1 << 18, delay: 10 * tcp.Millisecond}
			second := slow
			w := newWorld(t, 3, &slow, &second)
			w.trace = os.Getenv("MPXD_TRACE") != ""
			begin := w.now + 100*tcp.Millisecond
			w.paths[0].box = stripper(func(seg *tcp.Segment, toServer bool) bool {
				return w.now >= begin+at && (to == 0 || toServer == (to == 1))
			})
			c, s := w.pair(300_000, 300_000)
			w.after(begin+20*tcp.Millisecond-w.now, func() { w.join(c.c, 1, 2001, false) })
			w.run(30*tcp.Second, done(c, s))
			if c.err != tcp.NoError || s.err != tcp.NoError {
				t.Fatalf("stripped to %d from %d ms on: client %v, server %v: %s %s", to, at/tcp.Millisecond, c.err, s.err, w.status(w.cli), w.status(w.srv))
			}
			w.arrived(c, s)
			w.rest()
			if n := w.cli.set.Count.DssFallback + w.srv.set.Count.DssFallback; n > 0 {
				fellBack++
			} else {
				joined++
			}
		}
	}
	if fellBack == 0 || joined == 0 {
		t.Errorf("%d fell back, %d went on over the join: the moments are badly chosen", fellBack, joined)
	}
}

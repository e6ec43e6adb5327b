package runner

import "math/bits"

// late is a histogram of durations in ns, exact to 1/16, up to 2^40 ns.
type late struct {
	count [37 * 16]uint64
	n     uint64
	max   int64
}

func (h *late) add(ns int64) {
	ns = max(ns, 0)
	h.count[lateBucket(ns)]++
	h.n++
	h.max = max(h.max, ns)
}

func lateBucket(ns int64) int {
	ns = min(ns, 1<<40-1)
	if ns < 16 {
		return int(ns)
	}
	e := bits.Len64(uint64(ns)) - 5 // so that ns>>e is 16..31
	return e*16 + int(ns>>e)
}

// quantile is an upper bound of the given share (in ppm) of the durations.
func (h *late) quantile(ppm uint64) int64 {
	if h.n == 0 {
		return 0
	}
	want := (h.n*ppm + 999_999) / 1_000_000
	var seen uint64
	for i, c := range h.count {
		if seen += c; c > 0 && seen >= want {
			return min(lateBound(i), h.max)
		}
	}
	return h.max
}

// lateBound is the largest duration of a bucket.
func lateBound(i int) int64 {
	if i < 16 {
		return int64(i)
	}
	e := i/16 - 1
	return int64(i-e*16+1)<<e - 1
}

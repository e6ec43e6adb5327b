package runner

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLateQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h late
	var all []int64
	for range 50_000 {
		v := r.Int64N(1 << r.IntN(35))
		h.add(v)
		all = append(all, v)
	}
	slices.Sort(all)
	for _, ppm := range []uint64{1, 500_000, 990_000, 999_000, 1_000_000} {
		want := all[(uint64(len(all))*ppm+999_999)/1_000_000-1]
		if got := h.quantile(ppm); got < want || got > want+want/16 {
			t.Errorf("%d ppm: %d, want %d to %d", ppm, got, want, want+want/16)
		}
	}
	if h.max != all[len(all)-1] {
		t.Errorf("worst %d, want %d", h.max, all[len(all)-1])
	}
	var empty late
	empty.add(-5)
	if empty.quantile(1_000_000) != 0 {
		t.Error("a frame that is early is not late")
	}
	empty.add(1 << 50)
	if got := empty.quantile(1_000_000); got != 1<<40-1 && got != 1<<50 {
		t.Errorf("beyond the histogram: %d", got)
	}
}

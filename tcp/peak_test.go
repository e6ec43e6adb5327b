package tcp

import (
	"math/rand/v2"
	"testing"
)

// The peak is never more than the window holds and never less than what is
// left of it after the first quarter: that much may be forgotten.
func TestPeakFollowsTheWindow(t *testing.T) {
	const window = 10
	const seed = 1
	r := rand.New(rand.NewPCG(seed, seed))
	var p peak
	var seen []uint32 // by time
	for now := range 3000 {
		v := r.Uint32N(1000) + 1
		seen = append(seen, v)
		p.add(v, uint8(now), window)
		most, recent := uint32(0), uint32(0)
		for back := 0; back <= window && back <= now; back++ {
			most = max(most, seen[now-back])
			if back <= window/4 {
				recent = max(recent, seen[now-back])
			}
		}
		if p.max() > most || p.max() < recent {
			t.Fatalf("seed %d, time %d: %d, but the window has %d and its end %d", seed, now, p.max(), most, recent)
		}
	}
}

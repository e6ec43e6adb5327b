//go:build !framecheck && !race

// framecheck writes a history, which allocates; the race detector does as well.

package stack

import "testing"

func TestTurnAllocatesNothing(t *testing.T) {
	limit := 1 << 40
	c, _ := relaying(t, &limit)
	for range 1000 {
		c.step()
	}
	before := c.received
	if n := testing.AllocsPerRun(1000, c.step); n != 0 {
		t.Errorf("%v allocations per turn", n)
	}
	if c.received-before < 1<<20 {
		t.Errorf("only %d bytes came back", c.received-before)
	}
	st := c.b.Stats()
	if share := float64(st.Gathered) / float64(st.Gathered+st.ZeroCopy); share > 0.05 {
		t.Errorf("%.1f %% of %d relayed segments were gathered", 100*share, st.Gathered+st.ZeroCopy)
	}
}

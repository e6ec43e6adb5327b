package mptcp

import (
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

func TestMinRTT(t *testing.T) {
	fast := View{SRTT: 10 * tcp.Millisecond, MSS: 1400, Cwnd: 140_000}
	slow := View{SRTT: 40 * tcp.Millisecond, MSS: 1400, Cwnd: 140_000}
	const lost = 7 // the subflow that lost it
	edit := func(v View, f func(*View)) View { f(&v); return v }
	for _, c := range []struct {
		name string
		subs []View
		want int
	}{
		{"the faster", []View{slow, fast}, 1},
		// What an application wrote in one turn waits for Output and must not
		// spill over while there is window.
		{"much unsent but window", []View{slow, edit(fast, func(v *View) { v.Queued, v.Unsent = 100_000, 100_000 })}, 1},
		{"much unsent in recovery", []View{slow, edit(fast, func(v *View) { v.Queued, v.Unsent, v.Repair = 100_000, 100_000, true })}, 0},
		{"the faster is full", []View{slow, edit(fast, func(v *View) { v.Queued = 140_001 })}, 0},
		{"the faster is stale", []View{slow, edit(fast, func(v *View) { v.Stale = true })}, 0},
		{"the faster is a backup", []View{slow, edit(fast, func(v *View) { v.Backup = true })}, 0},
		{"only backups work", []View{edit(slow, func(v *View) { v.Stale = true }), edit(fast, func(v *View) { v.Backup = true })}, 1},
		{"not measured", []View{slow, edit(fast, func(v *View) { v.SRTT = 0 })}, 0},
		{"none", []View{edit(slow, func(v *View) { v.Stale = true })}, -1},
		{"lost there", []View{slow, edit(fast, func(v *View) { v.index = lost })}, 0},
		{"lost there, a backup is left", []View{edit(slow, func(v *View) { v.index = lost }), edit(fast, func(v *View) { v.Backup = true })}, 1},
	} {
		bar(c.subs, lost)
		if got, n := (minRTT{}).Pick(nil, Demand{Want: 20_000}, c.subs); got != c.want || got >= 0 && n == 0 {
			t.Errorf("%s: picked %d for %d, want %d", c.name, got, n, c.want)
		}
	}
}

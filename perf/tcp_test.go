//go:build linux

package main

import (
	"math"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/link/runner"
	"github.com/mpxd/mpxd/tcp"
)

func TestMathis(t *testing.T) {
	for cell, want := range map[tcpCell]float64{{1000, 10, 0}: 44.9, {1000, 40, 0}: 11.2, {10000, 10, 0}: 14.2, {1, 1, 0}: 282.4} {
		if got := mathisMbps(cell); math.Abs(got-want) > 0.1 {
			t.Errorf("%v: %.1f Mbit/s, want %.1f", cell, got, want)
		}
	}
}

func TestJainIndex(t *testing.T) {
	for _, c := range []struct{ a, b, want float64 }{{1, 1, 1}, {1, 0, 0.5}, {2, 1, 0.9}} {
		if got := jainIndex(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v", got)
		}
	}
}

func TestDoubt(t *testing.T) {
	s := runner.Stats{Paths: []runner.PathStats{{}}}
	if why := doubt(s); why != "" {
		t.Error(why)
	}
	s.LateP99 = tcpLate + time.Microsecond
	if doubt(s) == "" {
		t.Error("late, and trusted")
	}
	s.LateP99 = 0
	s.Paths[0].BA.Refused = 1
	if doubt(s) == "" {
		t.Error("it lost a frame, and is trusted")
	}
}

func TestPlan(t *testing.T) {
	cells, names := (&tcpCommand{}).plan()
	if len(cells) != 9 || len(names) != 3 || cells[4].String() != "loss0.1.rtt10" {
		t.Errorf("%v %v", cells, names)
	}
	for _, n := range names {
		if _, ours := tcp.ControllerByName(n); !ours || kernelControllers[n] == "" {
			t.Errorf("%s is not known to both sides", n)
		}
	}
}

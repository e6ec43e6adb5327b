package runner

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/link"
)

// Stats are what a runner has done since it was started.
type Stats struct {
	Wall, Used time.Duration // since Start; of processor, the far ends' receive paths included
	Schedule   string        // of the thread: SCHED_DEADLINE, SCHED_FIFO or not real-time
	Rounds     uint64

	// How late frames left, after the time the model said.
	Frames              uint64
	LateP50, LateP99    time.Duration
	LateP999, LateWorst time.Duration

	Paths []PathStats
}

// PathStats are those of the two directions of a path.
type PathStats struct {
	Name   string
	AB, BA DirectionStats
}

// DirectionStats counts frames.
type DirectionStats struct {
	Link link.Counters

	// Frames the runner lost, which a sound measurement has none of.
	RingFull uint64 // no free slot when it arrived
	Crowded  uint64 // no room among the deliveries
	Super    uint64 // longer than the MTU: the sender has TSO or GSO on
	VLAN     uint64 // with a VLAN tag
	Refused  uint64 // by the interface it should leave by
}

// Lost is what the runner itself lost in one direction.
func (d DirectionStats) Lost() uint64 { return d.RingFull + d.Crowded + d.Super + d.VLAN + d.Refused }

// stats is called by the engine's thread.
func (e *engine) stats() Stats {
	s := Stats{
		Wall: time.Since(e.begin), Used: threadTime(), Schedule: e.schedule, Rounds: e.rounds,
		Frames:  e.late.n,
		LateP50: time.Duration(e.late.quantile(500_000)), LateP99: time.Duration(e.late.quantile(990_000)),
		LateP999: time.Duration(e.late.quantile(999_000)), LateWorst: time.Duration(e.late.max),
	}
	for i, p := range e.paths {
		s.Paths = append(s.Paths, PathStats{p.Name, e.wires[2*i].stats(), e.wires[2*i+1].stats()})
	}
	return s
}

func (w *wire) stats() DirectionStats {
	w.count.ringFull += w.in.lost()
	c := w.count
	return DirectionStats{Link: w.link.Counters(), RingFull: c.ringFull, Crowded: c.crowded, Super: c.super, VLAN: c.vlan, Refused: c.refused}
}

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// String is one line for people.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "emulator: %d frames, late p50 %v p99 %v worst %v, %.0f %% of a processor, %s",
		s.Frames, s.LateP50.Round(time.Microsecond), s.LateP99.Round(time.Microsecond), s.LateWorst.Round(time.Microsecond),
		100*s.Used.Seconds()/max(s.Wall.Seconds(), 1e-9), s.Schedule)
	for _, p := range s.Paths {
		if n := p.AB.Lost() + p.BA.Lost(); n > 0 {
			fmt.Fprintf(&b, "; %s: %d frames lost by the emulator itself", p.Name, n)
		}
	}
	return b.String()
}

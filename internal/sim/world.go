package sim

import (
	"fmt"
	"strings"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/tcp"
)

// World is hosts on networks, and what is in flight between them.
type World struct {
	Seed uint64

	now    tcp.Time
	nets   []*Net
	hosts  []*Host
	flight *link.Queue[arrival]
	seeds  uint64
	// TooMany counts frames lost because more than maxFlight were in flight: a
	// link model without a queue that was fed too much.
	TooMany uint64
}

// maxFlight bounds the frames in flight: 256 MiB of full ones.
const maxFlight = 1 << 17

// turnTime is what a turn costs, so that a host that always wants to run again
// does not stop the time.
const turnTime = tcp.Microsecond

// NewWorld makes an empty world.
func NewWorld(seed uint64) *World {
	return &World{Seed: seed, flight: link.NewQueue[arrival](maxFlight)}
}

// seed draws one of the world's seeds, different for each use (splitmix64).
func (w *World) seed() uint64 {
	w.seeds++
	x := w.Seed + w.seeds*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Now is the time.
func (w *World) Now() tcp.Time { return w.now }

// Next is when something will happen; tcp.Never if nothing will.
func (w *World) Next() tcp.Time {
	next := tcp.Never
	if at, ok := w.flight.Next(); ok {
		next = tcp.Time(at)
	}
	for _, h := range w.hosts {
		next = min(next, h.next)
	}
	return max(next, w.now)
}

// Step jumps to the next event and lets it happen. False: nothing will ever
// happen again.
func (w *World) Step() bool {
	next := w.Next()
	if next == tcp.Never {
		return false
	}
	w.now = next
	for a, ok := w.flight.Pop(int64(w.now)); ok; a, ok = w.flight.Pop(int64(w.now)) {
		w.arrive(a)
	}
	for _, h := range w.hosts {
		if h.next <= w.now {
			h.turn()
		}
	}
	return true
}

// Run lets everything happen until the given time, which is then the time.
func (w *World) Run(until tcp.Time) {
	for w.Next() <= until && w.Step() {
	}
	w.now = max(w.now, until)
}

// RunUntil steps until cond holds; false: it did not within the given time.
func (w *World) RunUntil(cond func() bool, within tcp.Time) bool {
	for limit := w.now + within; !cond(); {
		if w.Next() > limit || !w.Step() {
			return false
		}
	}
	return true
}

// settleTime is more than TIME-WAIT and the longest retransmission together.
const settleTime = 3600 * tcp.Second

// Settle runs until nothing will ever happen again, and tells what is left
// over: connections, flows, TIME-WAIT entries, timers, frames.
func (w *World) Settle() error {
	for limit := w.now + settleTime; w.Next() <= limit && w.Step(); {
	}
	return w.Check()
}

// Check tells what is alive now.
func (w *World) Check() error {
	var out []string
	if n := w.flight.Len(); n > 0 {
		out = append(out, fmt.Sprintf("%d frames in flight", n))
	}
	for _, h := range w.hosts {
		if s := h.leaks(); s != "" {
			out = append(out, h.Name+": "+s)
		}
	}
	if out == nil {
		return nil
	}
	return fmt.Errorf("seed %d, at %d ns: %s", w.Seed, w.now, strings.Join(out, "; "))
}

//go:build linux

package main

import (
	"fmt"
	"runtime"
	"time"
)

// engine measures one shard that relays, without a kernel: a client, the proxy
// and an origin, each a shard of our own stack, joined by wires in memory. Only
// the processor time of the proxy's turns counts; it pays for receiving and
// sending each segment, its checksum pass and all acknowledgements of both
// sides.
type engine struct {
	Seconds     float64 `default:"1" help:"How long each run is measured."`
	Connections []int   `default:"1,100" help:"How many connections relay at once, one case each."`
}

func (c *engine) Run(r *Report) error {
	r.Env.Driver, r.Env.Mode = "memory", "none"
	runtime.LockOSThread() // the processor time is the thread's
	defer runtime.UnlockOSThread()
	var cases []Case
	for _, n := range c.Connections {
		for _, mptcp := range []bool{false, true} {
			for _, up := range []bool{false, true} {
				name := map[bool]string{false: "tcp", true: "mptcp"}[mptcp] + map[bool]string{false: "_down", true: "_up"}[up]
				if n > 1 {
					name += fmt.Sprintf("_%d", n)
				}
				cases = append(cases, Case{"relay_" + name, func() ([]Quantity, error) {
					return c.relay(n, mptcp, up)
				}})
			}
		}
	}
	if err := r.Measure(cases); err != nil {
		return err
	}
	for _, f := range r.Figures {
		if f.Unit == "% gathered" {
			f.Judge(5, 1)
		}
	}
	return nil
}

// engineWarmup gets the connections past slow start.
const engineWarmup = 200 * time.Millisecond

// relay is one run.
func (c *engine) relay(conns int, mptcp, up bool) ([]Quantity, error) {
	w, err := newEngineWorld(conns, mptcp, up)
	if err != nil {
		return nil, err
	}
	if err := w.connect(); err != nil {
		return nil, err
	}
	w.run(engineWarmup)
	var before, after runtime.MemStats
	from := w.tally()
	runtime.ReadMemStats(&before)
	w.run(time.Duration(c.Seconds * float64(time.Second)))
	runtime.ReadMemStats(&after)
	to := w.tally()
	if w.load.failed != nil {
		return nil, w.load.failed
	}
	segments := float64(to.segments - from.segments)
	if segments == 0 {
		return nil, fmt.Errorf("nothing was relayed")
	}
	cpu := float64(to.cpu - from.cpu)
	return []Quantity{
		{"ns_per_segment", "ns", lower, cpu / segments},
		{"gbps_per_core", "Gbit/s", higher, float64(to.bytes-from.bytes) * 8 / cpu},
		{"gathered", "% gathered", lower, float64(to.gathered-from.gathered) * 100 / segments},
		{"allocations_per_segment", "", lower, float64(after.Mallocs-before.Mallocs) / segments},
	}, nil
}

// tally is what the proxy has done so far.
type tally struct {
	cpu                       int64 // ns
	segments, gathered, bytes uint64
}

func (w *engineWorld) tally() tally {
	s := w.proxy.Stats()
	return tally{w.cpu, s.ZeroCopy + s.Gathered, s.Gathered, w.sink.got}
}

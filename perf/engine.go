//go:build linux

package main

import (
	"fmt"
	"runtime"
	"strings"
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
	Checksum    bool    `help:"Only what DSS checksums cost: one connection over MPTCP with them beside one without."`
}

// relayed is what the proxy relays in a case.
type relayed struct {
	conns               int
	mptcp, checksum, up bool
}

func (l relayed) name() string {
	name := "relay_" + map[bool]string{false: "tcp", true: "mptcp"}[l.mptcp]
	if l.checksum {
		name += "_checksum"
	}
	name += map[bool]string{false: "_down", true: "_up"}[l.up]
	if l.conns > 1 {
		name += fmt.Sprintf("_%d", l.conns)
	}
	return name
}

// loads are the cases: each way over TCP and MPTCP with every number of
// connections, and with checksums over one.
func (c *engine) loads() (all []relayed) {
	for _, n := range c.Connections {
		for _, l := range []relayed{{n, false, false, false}, {n, true, false, false}, {n, true, true, false}} {
			if l.checksum && n != c.Connections[0] || c.Checksum && (!l.mptcp || n != c.Connections[0]) {
				continue
			}
			up := l
			up.up = true
			all = append(all, l, up)
		}
	}
	return all
}

func (c *engine) Run(r *Report) error {
	r.Env.Driver, r.Env.Mode = "memory", "none"
	runtime.LockOSThread() // the processor time is the thread's
	defer runtime.UnlockOSThread()
	var cases []Case
	for _, l := range c.loads() {
		cases = append(cases, Case{l.name(), func() ([]Quantity, error) { return c.relay(l) }})
	}
	if err := r.Measure(cases); err != nil {
		return err
	}
	for _, f := range r.Figures {
		if f.Unit == "% gathered" {
			f.Judge(5, 1)
		}
		if strings.HasSuffix(f.Name, ".kept") {
			f.Judge(0.95, 0.98)
		}
	}
	return nil
}

// engineWarmup gets the connections past slow start.
const engineWarmup = 200 * time.Millisecond

// relay is one run.
func (c *engine) relay(l relayed) ([]Quantity, error) {
	w, err := c.begin(l)
	if err != nil {
		return nil, err
	}
	if !l.checksum {
		w.run(time.Duration(c.Seconds * float64(time.Second)))
		d, err := w.since()
		return d.quantities(), err
	}
	// What checksums cost is less than what the machine's speed changes by from
	// one second to the next: both worlds take turns.
	l.checksum = false
	without, err := c.begin(l)
	if err != nil {
		return nil, err
	}
	for range checksumTurns {
		w.run(time.Duration(c.Seconds * float64(time.Second) / checksumTurns))
		without.run(time.Duration(c.Seconds * float64(time.Second) / checksumTurns))
	}
	d, err := w.since()
	if err != nil {
		return nil, err
	}
	p, err := without.since()
	kept := Quantity{"kept", "of without", higher, d.gbps() / p.gbps()}
	return append(d.quantities()[:3], kept), err // allocations are those of both
}

const checksumTurns = 20

// begin makes a world whose connections relay.
func (c *engine) begin(l relayed) (*engineWorld, error) {
	w, err := newEngineWorld(l)
	if err == nil {
		err = w.connect()
	}
	if err != nil {
		return nil, err
	}
	w.run(engineWarmup)
	w.began = w.tally()
	return w, nil
}

// tally is what the proxy has done so far.
type tally struct {
	cpu                       int64 // ns
	segments, gathered, bytes uint64
	mallocs                   uint64 // of the whole process
}

// since is what was done since the warm-up.
func (w *engineWorld) since() (tally, error) {
	t := w.tally()
	t.cpu -= w.began.cpu
	t.segments -= w.began.segments
	t.gathered -= w.began.gathered
	t.bytes -= w.began.bytes
	t.mallocs -= w.began.mallocs
	if w.load.failed == nil && t.segments == 0 {
		return t, fmt.Errorf("nothing was relayed")
	}
	return t, w.load.failed
}

func (t tally) gbps() float64 { return float64(t.bytes) * 8 / float64(t.cpu) }

func (t tally) quantities() []Quantity {
	n := float64(t.segments)
	return []Quantity{
		{"ns_per_segment", "ns", lower, float64(t.cpu) / n},
		{"gbps_per_core", "Gbit/s", higher, t.gbps()},
		{"gathered", "% gathered", lower, float64(t.gathered) * 100 / n},
		{"allocations_per_segment", "", lower, float64(t.mallocs) / n},
	}
}

func (w *engineWorld) tally() tally {
	s := w.proxy.Stats()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return tally{w.cpu, s.ZeroCopy + s.Gathered, s.Gathered, w.sink.got, m.Mallocs}
}

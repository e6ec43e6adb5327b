//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/internal/link/runner"
	"github.com/mpxd/mpxd/xdp"
)

// tcpCommand measures one flow of ours beside one of the kernel's, over an emulated
// link that loses the same frames in both.
type tcpCommand struct {
	CellSeconds float64  `default:"12" help:"How long a run lasts at most; half of it without loss, five times as long for jain."`
	Quick       bool     `help:"Three cells, CUBIC and BBR, one run of at most 5 s each."`
	Only        string   `placeholder:"REGEXP" help:"Only what has such a name, as cubic.loss0.1.rtt10 or jain."`
	Verbose     bool     `help:"Tell of each run on standard error."`
	XDPMode     xdp.Mode `name:"xdp-mode" default:"generic" help:"XDP mode of ours: auto, zero-copy, native or generic."`
}

// tcpCell is a link.
type tcpCell struct {
	loss  int // ppm
	rtt   int // ms
	queue int // bytes, 0: link.DefaultQueue
}

func (c tcpCell) String() string {
	return fmt.Sprintf("loss%g.rtt%d", float64(c.loss)*100/link.Million, c.rtt)
}

const (
	tcpRate   = 300e6
	tcpEvents = 1000 // losses that end a run
	// How late half of the frames, and one in a hundred, may leave the emulator: on
	// two virtual processors for everything, others take them away for milliseconds.
	tcpLateHalf = time.Millisecond
	tcpLate     = 10 * time.Millisecond
	tcpRetries  = 3
	tcpSeed     = 20

	// Two flows find their shares by losing: the queue is one round trip of the
	// rate, so that they do so every few seconds.
	jainRTT   = 10
	jainQueue = tcpRate / 8 * jainRTT / 1000
	jainBar   = 0.9

	cleanBar = 0.95
	lossyBar = 0.9
	// collapse: a run below this part of the kernel's median.
	collapse = 1.0 / 3
)

// Our names of the controllers, in the order they are measured.
var tcpNames = []string{"cubic", "newreno", "bbr"}

func (c *tcpCommand) plan() (cells []tcpCell, names []string) {
	if c.Quick {
		return []tcpCell{{0, 10, 0}, {1000, 10, 0}, {10000, 40, 0}}, []string{"cubic", "bbr"}
	}
	for _, loss := range []int{0, 1000, 10000} {
		for _, rtt := range []int{0, 10, 40} {
			cells = append(cells, tcpCell{loss, rtt, 0})
		}
	}
	return cells, tcpNames
}

func (c *tcpCommand) Run(r *Report) (err error) {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return err
	}
	if c.Quick {
		r.runs, c.CellSeconds = 1, min(c.CellSeconds, 5)
	}
	if err := lab.CanRoot(); err != nil {
		return err
	}
	if _, err := lab.Sweep(); err != nil {
		return err
	}
	l, err := newTCPLab(c.XDPMode.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	t := &tcpTrial{tcpCommand: c, Report: r, lab: l}
	cells, names := c.plan()
	for _, cell := range cells {
		for _, name := range names {
			if !only.MatchString(name + "." + cell.String()) {
				continue
			}
			if err := t.compare(cell, name); err != nil {
				return fmt.Errorf("%s.%v: %w", name, cell, err)
			}
		}
	}
	if only.MatchString("jain") {
		if err := t.jain(); err != nil {
			return fmt.Errorf("jain: %w", err)
		}
	}
	if t.compared > 0 {
		r.Add("collapses", "cells", lower, []float64{float64(t.collapses)}).Judge(0, 0)
	}
	r.Env.Driver, r.Env.Mode = "veth", l.granted
	if len(r.Figures) == 0 {
		return fmt.Errorf("nothing is called %q", c.Only)
	}
	return nil
}

// tcpTrial is one run of the command.
type tcpTrial struct {
	*tcpCommand
	*Report
	lab                 *tcpLab
	compared, collapses int
}

// compare measures one controller on one link: kernel to kernel, ours to the
// kernel and, with CUBIC, the kernel to ours, taking turns.
func (t *tcpTrial) compare(cell tcpCell, name string) error {
	ends := []tcpEnds{{controller: name}, {controller: name, sender: true}}
	what := []string{"kernel", "send"}
	if name == "cubic" {
		ends, what = append(ends, tcpEnds{controller: name, receiver: true}), append(what, "receive")
	}
	mbps := make([][]float64, len(ends))
	events := 0.0
	for turn := range t.runs {
		for i, e := range ends {
			got, lost, err := t.measure(cell, e, tcpSeed+uint64(turn))
			if err != nil {
				return fmt.Errorf("%s: %w", what[i], err)
			}
			mbps[i] = append(mbps[i], got)
			if i == 0 {
				events += float64(lost)
			}
		}
	}
	for i := 1; i < len(ends); i++ {
		t.judge(cell, fmt.Sprintf("%s.%s.%v", what[i], name, cell), mbps[i], mbps[0])
	}
	if name == "newreno" && cell.loss > 0 && cell.rtt > 0 {
		t.mathis(cell, mbps[0], events)
	}
	return nil
}

func (t *tcpTrial) judge(cell tcpCell, name string, ours, kernels []float64) {
	bar := cleanBar
	if cell.loss > 0 {
		bar = lossyBar
	}
	t.Add(name+".mbps", "Mbit/s", higher, ours).Against("kernel", kernels).Judge(bar, 1)
	t.compared++
	if slices.Min(ours) < collapse*median(kernels) {
		t.collapses++
	}
}

// measure is one run, made again if the emulator was late.
func (t *tcpTrial) measure(cell tcpCell, e tcpEnds, seed uint64) (mbps float64, lost uint64, err error) {
	for range tcpRetries {
		var why string
		if mbps, lost, why, err = t.transfer(cell, e, seed); err != nil || why == "" {
			return mbps, lost, err
		}
		err = fmt.Errorf("the emulator is no link: %s", why)
	}
	return 0, 0, err
}

// transfer is one run. why says what makes it worth nothing.
func (t *tcpTrial) transfer(cell tcpCell, e tcpEnds, seed uint64) (mbps float64, lost uint64, why string, err error) {
	emulator, err := t.lab.emulate(cell, seed)
	if err != nil {
		return 0, 0, "", err
	}
	defer func() { err = errors.Join(err, emulator.Close()) }()
	f, err := t.lab.open(e, tcpPort)
	if err != nil {
		return 0, 0, "", err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	begin := time.Now()
	if err := t.watch(cell, emulator, begin); err != nil {
		return 0, 0, "", err
	}
	n, err := f.moved()
	if err != nil {
		return 0, 0, "", err
	}
	took := time.Since(begin)
	s, err := emulator.Stats()
	if err != nil {
		return 0, 0, "", err
	}
	mbps, lost = float64(n)*8/1e6/took.Seconds(), s.Paths[0].AB.Link.Dropped[link.RandomLoss]
	if t.Verbose {
		fmt.Fprintf(os.Stderr, "%v %+v: %.1f Mbit/s, %d lost, %d overflowed; %v\n", cell, e, mbps, lost, s.Paths[0].AB.Link.Dropped[link.QueueFull], s)
	}
	return mbps, lost, doubt(s), nil
}

// watch waits until the run is long enough.
func (t *tcpTrial) watch(cell tcpCell, emulator *runner.Runner, begin time.Time) error {
	span := time.Duration(t.CellSeconds * float64(time.Second))
	if cell.loss == 0 {
		span /= 2
	}
	const look = 100 * time.Millisecond
	for left := span; left > 0; left = span - time.Since(begin) {
		time.Sleep(min(left, look))
		s, err := emulator.Stats()
		if err != nil || s.Paths[0].AB.Link.Dropped[link.RandomLoss] >= tcpEvents {
			return err
		}
	}
	return nil
}

// doubt says why a run over that emulator counts for nothing.
func doubt(s runner.Stats) string {
	if n := s.Paths[0].AB.Lost() + s.Paths[0].BA.Lost(); n > 0 {
		return fmt.Sprintf("it lost %d frames itself", n)
	}
	if s.LateP50 > tcpLateHalf || s.LateP99 > tcpLate {
		return fmt.Sprintf("half of the frames left %v late and more, one in a hundred %v", s.LateP50, s.LateP99)
	}
	return ""
}

// mathisMbps is what Reno reaches: a window of sqrt(3/2p) segments in each
// round trip (Mathis, Semke, Mahdavi and Ott, 1997), at most what the link carries.
func mathisMbps(cell tcpCell) float64 {
	const mss, wire = 1448, 1514 + link.EthernetOverhead
	p := float64(cell.loss) / link.Million
	return min(mss*8/1e3/float64(cell.rtt)*math.Sqrt(1.5/p), tcpRate/1e6*mss/wire)
}

// mathis checks the emulator: the kernel's Reno over it must be what theory says.
func (t *tcpTrial) mathis(cell tcpCell, mbps []float64, events float64) {
	const enough = 50 // losses, for theory to hold on average
	want := mathisMbps(cell)
	parts := make([]float64, len(mbps))
	for i, v := range mbps {
		parts[i] = v / want
	}
	f := t.Add(fmt.Sprintf("emulator.mathis.%v", cell), "of theory", higher, parts)
	if events >= enough && (f.Value < 0.7 || f.Value > 1.3) {
		t.Distrust("kernel reno at %v makes %.2f of what theory says, after %.0f losses", cell, f.Value, events)
	}
}

// jain lets our CUBIC and the kernel's share the link. Each is measured when both
// have found their place.
func (t *tcpTrial) jain() error {
	var index, share []float64
	for turn := range t.runs {
		a, b, err := t.beside(turn)
		if err != nil {
			return err
		}
		index, share = append(index, jainIndex(a, b)), append(share, a/(a+b))
	}
	t.Add("jain.cubic.index", "", higher, index).Judge(jainBar, 1)
	t.Add("jain.cubic.share", "ours", higher, share)
	return nil
}

func jainIndex(a, b float64) float64 { return (a + b) * (a + b) / (2 * (a*a + b*b)) }

// beside measures our flow and the kernel's, in Mbit/s, of which the other begins
// first each turn.
func (t *tcpTrial) beside(turn int) (ours, kernels float64, err error) {
	emulator, err := t.lab.emulate(tcpCell{0, jainRTT, jainQueue}, tcpSeed)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, emulator.Close()) }()
	var flows [2]*flow // ours, the kernel's
	for i := range flows {
		i ^= turn & 1
		f, err := t.lab.open(tcpEnds{controller: "cubic", sender: i == 0}, uint16(tcpPort+i))
		if err != nil {
			return 0, 0, err
		}
		defer func() { err = errors.Join(err, f.close()) }()
		flows[i] = f
	}
	span := time.Duration(5 * t.CellSeconds * float64(time.Second))
	time.Sleep(span / 3)
	var before, after [2]int64
	from := time.Now()
	for i, f := range flows {
		if before[i], err = f.moved(); err != nil {
			return 0, 0, err
		}
	}
	time.Sleep(span - span/3)
	took := time.Since(from).Seconds()
	for i, f := range flows {
		if after[i], err = f.moved(); err != nil {
			return 0, 0, err
		}
	}
	s, err := emulator.Stats()
	if err != nil {
		return 0, 0, err
	}
	if why := doubt(s); why != "" {
		t.Distrust("jain: the emulator is no link: %s", why)
	}
	rate := func(i int) float64 { return float64(after[i]-before[i]) * 8 / 1e6 / took }
	return rate(0), rate(1), nil
}

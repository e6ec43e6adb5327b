package sim

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// blend is one stream over two paths. The first has 100 Mbit/s and 10 ms, the
// second so many times less and more; only the direction of the data is lossy.
type blend struct {
	controller uint8
	rate, rtt  int64 // ratios
	loss       int   // ppm
	buffer     buffer
	up         bool
}

// buffer is how much the receiver takes.
type buffer uint8

const (
	ample buffer = iota // never a limit
	twice               // twice what both paths carry in the longer round trip
	small               // a phone's
)

var bufferNames = [...]string{"ample", "2xBDP", "1MB"}

const (
	pairRate   = 100e6
	pairRTT    = 10 * ms
	ampleBytes = 16 << 20
	smallBytes = 1 << 20
)

func (p blend) bytes() uint32 {
	switch p.buffer {
	case twice:
		return uint32(2 * (pairRate + pairRate/p.rate) / 8 * (pairRTT * p.rtt / ms) / 1000)
	case small:
		return smallBytes
	}
	return ampleBytes
}

func blends() (all []blend) {
	add := func(controller uint8, rate, rtt int64, loss int) {
		for _, buffer := range []buffer{ample, twice, small} {
			for _, up := range []bool{false, true} {
				all = append(all, blend{controller, rate, rtt, loss, buffer, up})
			}
		}
	}
	for _, loss := range []int{0, 1000, 10000} {
		for _, rate := range []int64{1, 3, 10} {
			for _, rtt := range []int64{1, 4, 10} {
				add(tcp.CUBIC, rate, rtt, loss)
			}
		}
	}
	for _, loss := range []int{1000, 10000} { // CUBIC leaves the paths mostly empty then
		add(tcp.BBR, 1, 1, loss)
		add(tcp.BBR, 3, 4, loss)
		add(tcp.BBR, 10, 10, loss)
	}
	return all
}

func (p blend) String() string {
	return fmt.Sprintf("%s/rate%d/rtt%d/loss%d.%d/%s/%s", controllerNames[p.controller], p.rate, p.rtt, p.loss/10000, p.loss/1000%10, bufferNames[p.buffer], p.way())
}

func (p blend) way() string { return map[bool]string{false: "down", true: "up"}[p.up] }

// near and far are the paths.
func (p blend) near() lane { return lane{p.controller, pairRate, pairRTT, p.loss, p.bytes(), p.up} }
func (p blend) far() lane {
	return lane{p.controller, pairRate / p.rate, pairRTT * p.rtt, p.loss, p.bytes(), p.up}
}

// lane is one path by itself.
type lane struct {
	controller uint8
	rate, rtt  int64
	loss       int
	bytes      uint32
	up         bool
}

// links are the path's two directions.
func (l lane) links() (up, down link.Config) {
	up = link.Config{Rate: l.rate, Overhead: link.EthernetOverhead, Delay: l.rtt / 2}
	down = up
	if l.up {
		up.Loss = l.loss
	} else {
		down.Loss = l.loss
	}
	return up, down
}

const (
	pairSeed   = 3
	pairWarmup = tcp.Second
	pairSpan   = 3 * tcp.Second
)

// carry is what a stream over one or two paths brings, in kbit/s.
func carry(t *testing.T, lanes []lane, scheduler uint8) int64 {
	l := lanes[0]
	w := &twoPaths{World: NewWorld(pairSeed)}
	conf := tcp.DefaultConfig()
	conf.Controller = l.controller
	conf.RcvBuf, conf.SndBuf = l.bytes, ampleBytes
	offer := mptcp.Config{Enabled: true, RcvBuf: l.bytes, SndBuf: ampleBytes, Scheduler: scheduler}
	phone := HostConfig{Name: "phone", App: &w.app, TCP: &conf, MPTCP: offer, Frames: 1 << 15}
	server := HostConfig{Name: "server", App: &w.service, TCP: &conf, MPTCP: offer, Frames: 1 << 15}
	for i, l := range lanes {
		n := w.Net(fmt.Sprint("path", i))
		up, down := l.links()
		phone.NICs = append(phone.NICs, NIC{Net: n, Addresses: []string{fmt.Sprintf("10.%d.0.1/24", i+1)}, Up: up, Down: down})
		server.NICs = append(server.NICs, NIC{Net: n, Addresses: []string{fmt.Sprintf("10.%d.0.2/24", i+1)}})
	}
	w.phone, w.server = w.Host(phone), w.Host(server)
	w.server.Do(func(s *stack.Shard) { s.Listen(80) })
	w.app.single = len(lanes) == 1
	const endless = 1 << 40
	in, out := &Stream{Send: endless, Key: 2, Want: 1, After: true}, &Stream{Send: 1000, Key: 1, Want: 2}
	from := out
	if l.up {
		in, out = &Stream{Send: 1, Key: 2, Want: 1}, &Stream{Send: endless, Key: 1, Want: 2}
		from = in
	}
	w.app.st = out
	w.service.Serve = func() *Stream { return in }
	w.phone.Do(func(s *stack.Shard) { w.app.dial(t, s) })
	w.Run(pairWarmup)
	before := from.Got
	if testing.Verbose() && len(lanes) > 1 {
		defer func() {
			t.Logf("%s: phone %+v; server %+v", mptcp.SchedulerNames()[scheduler-1], *w.phone.Shard.MPTCP(), *w.server.Shard.MPTCP())
		}()
	}
	w.Run(pairWarmup + pairSpan)
	if from.Mismatch != 0 || from.Err != tcp.NoError || w.app.most != len(lanes) {
		t.Errorf("%d paths; phone %+v; server %+v", w.app.most, *out, *in)
	}
	return (from.Got - before) * 8 / int64(pairSpan/tcp.Millisecond)
}

// alone remembers what a path carries by itself.
var alone struct {
	sync.Mutex
	kbps map[lane]func() int64
}

func (l lane) alone(t *testing.T) int64 {
	alone.Lock()
	f := alone.kbps[l]
	if f == nil {
		if alone.kbps == nil {
			alone.kbps = map[lane]func() int64{}
		}
		f = sync.OnceValue(func() int64 { return carry(t, []lane{l}, mptcp.Goodput) })
		alone.kbps[l] = f
	}
	alone.Unlock()
	return f()
}

const aggregationHeader = "# One stream over two paths, in each cell by every scheduler: kbit/s, and what is gained,\n" +
	"# (both - better path) / (sum - better path) in 1/100, of what the paths carry by themselves with the same controller and buffer.\n" +
	"# The near path has 100 Mbit/s and 10 ms; rate and rtt are how much less and more the far one has. Queues are 100 ms of the rate.\n" +
	"# go test ./internal/sim -run TestAggregation -update writes this file anew.\n#\n"

// columns are the schedulers, the default first.
func aggregationColumns() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%5s %5s %5s %5s %6s %5s %7s %7s", "ctl", "rate", "rtt", "loss%", "buffer", "way", "near", "far")
	for _, name := range mptcp.SchedulerNames() {
		fmt.Fprintf(&b, " %10s gain", name)
	}
	return b.String() + "\n"
}

// result is a cell's.
type result struct {
	near, far int64
	both      []int64 // by scheduler
}

func (r result) gain(i int) int64 {
	best := max(r.near, r.far)
	return (r.both[i] - best) * 100 / max(r.near+r.far-best, 1)
}

func (p blend) row(r result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6s %5s %5s %3d.%d %6s %5s %7d %7d", controllerNames[p.controller], fmt.Sprint("1:", p.rate), fmt.Sprint("1:", p.rtt), p.loss/10000, p.loss/1000%10, bufferNames[p.buffer], p.way(), r.near, r.far)
	for i, n := range r.both {
		fmt.Fprintf(&b, " %10d %4d", n, r.gain(i))
	}
	return b.String() + "\n"
}

// judge holds the default scheduler to what it is to be.
func (p blend) judge(t *testing.T, r result) {
	if p.buffer == ample && p.loss == 0 && r.gain(0) < 90 {
		t.Errorf("gains %d %%, at least 90 were meant", r.gain(0))
	}
	if r.gain(0) < -2 { // of one path's few seconds
		t.Errorf("gains %d %%: less than the better path by itself", r.gain(0))
	}
	// Under loss a few seconds of CUBIC are a few losses, and which segments they hit.
	part := int64(98)
	if p.loss > 0 {
		part = 90
	}
	for i, n := range r.both {
		if r.both[0] < n*part/100 {
			t.Errorf("%d kbit/s, %s has %d", r.both[0], mptcp.SchedulerNames()[i], n)
		}
	}
}

var only = flag.String("scheduler", "", "TestAggregation: only this scheduler; with -update the others' columns stay as they are")

var whole = flag.Bool("whole", false, "TestAggregation: all cells, which take half an hour, and not all of them are yet what they shall be")

// TestAggregation compares what two paths bring together, by each scheduler, with
// what is committed: a sample of the cells, with -short one, with -whole all.
func TestAggregation(t *testing.T) {
	all := blends()
	rows := make([]string, len(all))
	every := 23
	switch {
	case *update || *whole:
		every = 1
	case testing.Short():
		every = len(all)
	}
	old := committed(t, "aggregation.golden", aggregationHeader+aggregationColumns(), len(all))
	t.Run("cells", func(t *testing.T) {
		for i, p := range all {
			if i%every != 0 {
				continue
			}
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				r := result{near: p.near().alone(t), far: p.far().alone(t)}
				for k, name := range mptcp.SchedulerNames() {
					if *only != "" && *only != name {
						r.both = append(r.both, column(old[i], k))
						continue
					}
					r.both = append(r.both, carry(t, []lane{p.near(), p.far()}, uint8(k+1)))
				}
				rows[i] = p.row(r)
				t.Log("\n" + aggregationColumns() + rows[i])
				if *only == "" {
					p.judge(t, r)
				}
			})
		}
	})
	if *update {
		text := aggregationHeader + aggregationColumns() + strings.Join(rows, "")
		if err := os.WriteFile(filepath.Join("testdata", "aggregation.golden"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i, row := range rows {
		if row != "" && old[i] != "" && row != old[i] {
			t.Errorf("aggregation.golden has changed (if that is meant: -update)\n- %s+ %s", old[i], row)
		}
	}
}

// committed are n rows of a golden file below a header. To write them anew they
// need not be there.
func committed(t *testing.T, name, header string, n int) []string {
	path := filepath.Join("testdata", name)
	file, err := os.ReadFile(path)
	body, ok := strings.CutPrefix(string(file), header)
	rows := strings.SplitAfter(body, "\n")
	if ok && len(rows) == n+1 {
		return rows
	}
	if !*update && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is of other rows: run with -update (%v)", path, err)
	}
	return make([]string, n)
}

// column is what a scheduler brought, by a committed row.
func column(row string, scheduler int) (kbps int64) {
	if f := strings.Fields(row); len(f) > 8+2*scheduler {
		kbps, _ = strconv.ParseInt(f[8+2*scheduler], 10, 64)
	}
	return kbps
}

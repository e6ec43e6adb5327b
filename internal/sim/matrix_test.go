package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

var update = flag.Bool("update", false, "write testdata/matrix.golden anew")

// cell is one bulk transfer over one kind of path, of which only the direction
// of the data is bad.
type cell struct {
	controller uint8
	loss       int   // ppm of the frames
	rtt        int64 // ms
	reorder    bool  // one frame in a hundred comes a third of a round trip later
	rate       int64 // bit/s
}

// The axes of the matrix.
var (
	matrixControllers = []uint8{tcp.CUBIC, tcp.BBR}
	matrixLoss        = []int{0, 1000, 10000, 50000}
	matrixRTT         = []int64{1, 20, 200}
	matrixRate        = []int64{1e6, 100e6, 10e9}
)

var controllerNames = map[uint8]string{tcp.CUBIC: "cubic", tcp.NewReno: "newreno", tcp.BBR: "bbr"}

func cells() (all []cell) {
	for _, controller := range matrixControllers {
		for _, loss := range matrixLoss {
			for _, rtt := range matrixRTT {
				for _, reorder := range []bool{false, true} {
					for _, rate := range matrixRate {
						all = append(all, cell{controller, loss, rtt, reorder, rate})
					}
				}
			}
		}
	}
	return all
}

const (
	matrixSeed     = 1
	matrixSegments = 200_000                      // at most, so that 10 Gbit/s end
	matrixMSS      = 1448                         // of an Ethernet frame, with timestamps
	matrixWire     = 1514 + link.EthernetOverhead // what it takes of the rate
	matrixHeader   = "# A bulk transfer in each cell: what CUBIC in theory sends in one minute (five with loss), at most 200,000 segments.\n" +
		"# theory: the line's payload rate; for CUBIC under loss its response function (RFC 9438, 5.1 and 5.2).\n" +
		"# lost: data frames the link lost; spurious: segments that came twice. No window but the congestion window limits.\n" +
		"# 200,000 segments are little more than one round trip of 10 Gbit/s and 200 ms: those cells are slow start, as are most of BBR's beside them.\n" +
		"# go test ./internal/sim -run TestMatrix -update writes this file anew; -v tells more about each cell.\n#\n" +
		"#  ctl  loss%  rtt/ms  reorder  Mbit/s  segments    ms/all  kbit/s/goodput  %/theory    lost  retrans  spurious  timeouts\n"
)

func (c cell) String() string {
	order := map[bool]string{false: "ordered", true: "reordered"}[c.reorder]
	return fmt.Sprintf("%s/loss%d.%d/rtt%d/%s/rate%d", controllerNames[c.controller], c.loss/10000, c.loss/1000%10, c.rtt, order, c.rate/1e6)
}

// expected is the goodput in bit/s that theory allows.
func (c cell) expected() int64 {
	if c.controller == tcp.BBR {
		return c.line()
	}
	return c.cubic()
}

// line is the payload's share of the rate.
func (c cell) line() int64 { return c.rate * matrixMSS / matrixWire }

// cubic is what CUBIC reaches.
func (c cell) cubic() int64 {
	if c.loss == 0 {
		return c.line()
	}
	// Windows in 1/1000 segments. Reno's is sqrt(1.5/p), CUBIC's
	// 1.054*(RTT/p)^(3/4) where that is more (RFC 9438, 5.1 and 5.2).
	reno := isqrt(1.5e6 * 1e6 / uint64(c.loss))
	ratio := uint64(c.rtt) * 1e6 / uint64(c.loss) // RTT/p in ms
	cubic := isqrt(isqrt(ratio*ratio*ratio*1000)) * 1054 / 1000
	return min(c.line(), int64(max(reno, cubic))*matrixMSS*8/c.rtt)
}

// isqrt is the integer square root, rounded down.
func isqrt(x uint64) uint64 {
	for r := uint64(1) << 32; ; {
		n := (r + x/r) / 2
		if n >= r {
			return r
		}
		r = n
	}
}

// segments is how many full segments are sent, by all controllers as many.
func (c cell) segments() int64 {
	seconds := int64(60)
	if c.loss > 0 {
		seconds = 300
	}
	return min(c.cubic()/8*seconds/matrixMSS, matrixSegments)
}

// outcome is what came of a cell.
type outcome struct {
	time           tcp.Time // from the dial to the end of the stream
	lost           uint64   // frames with data, by the link
	sent, received tcp.Counters
}

// run carries out a cell's transfer, from a client to a server.
func (c cell) run(t *testing.T, seed uint64) outcome {
	w := NewWorld(seed)
	path := w.Net("path")
	size := c.segments() * matrixMSS
	bdp := c.rate / 8 * c.rtt / 1000
	queue := max(bdp, 64*matrixWire)
	back := link.Config{Delay: c.rtt * ms / 2}
	data := link.Config{Rate: c.rate, Overhead: link.EthernetOverhead, Delay: back.Delay, QueueBytes: int(queue), Loss: c.loss}
	if c.reorder {
		data.Reorder, data.ReorderDelay = 10000, c.rtt*ms/3
	}
	conf := tcp.DefaultConfig()
	conf.Controller = c.controller
	// All that the path holds, and twice as much that waits behind a hole.
	window := max(min(size, 3*(bdp+queue)), 256<<10)
	conf.RcvBuf, conf.SndBuf = uint32(window), uint32(window)
	frames := int(window)/1024 + 4096

	out, in := &Stream{Send: size, Key: 1, Want: 2}, &Stream{Key: 2, Want: 1, After: true}
	client, server := Peer{}, Peer{Serve: func() *Stream { return in }}
	a := w.Host(HostConfig{Name: "client", App: &client, TCP: &conf, Frames: frames,
		NICs: []NIC{{Net: path, Addresses: []string{"10.0.0.1/24"}, Up: data, Down: back}}})
	b := w.Host(HostConfig{Name: "server", App: &server, TCP: &conf, Frames: frames,
		NICs: []NIC{{Net: path, Addresses: []string{"10.0.0.2/24"}}}})
	b.Do(func(s *stack.Shard) { s.Listen(80) })
	a.Do(func(s *stack.Shard) { client.Dial(s, "10.0.0.2:80", out) })
	w.RunUntil(func() bool { return in.EOF || out.Done }, 3600*tcp.Second)
	o := outcome{time: w.Now(), sent: a.Shard.Stats().TCP, received: b.Shard.Stats().TCP}
	up := a.Ports[0].Up.Counters()
	o.lost = up.Lost()
	if w.RunUntil(func() bool { return out.Done && in.Done }, 60*tcp.Second); in.Got != size || in.Mismatch != 0 || out.Err != tcp.NoError || in.Err != tcp.NoError || !out.Done {
		t.Errorf("seed %d: %d bytes\nout %+v\nin %+v", seed, size, *out, *in)
	}
	if err := w.Settle(); err != nil {
		t.Error(err)
	}
	t.Logf("seed %d\nsender   %+v\nreceiver %+v\nports %d %d", seed, o.sent, o.received, a.Ports[0].RxDrops, b.Ports[0].RxDrops)
	return o
}

func (c cell) row(o outcome) string {
	goodput := c.segments() * matrixMSS * 8 * 1000 / int64(o.time/tcp.Microsecond)
	order := map[bool]string{false: "-", true: "1%"}[c.reorder]
	return fmt.Sprintf("%6s %4d.%d %7d %8s %7d %9d %9d %15d %9d %7d %8d %9d %9d\n",
		controllerNames[c.controller], c.loss/10000, c.loss/1000%10, c.rtt, order, c.rate/1e6,
		c.segments(), o.time/tcp.Millisecond, goodput, goodput*100*1000/c.expected(),
		o.lost, o.sent.RetransSegs, o.received.Duplicate, o.sent.Timeouts)
}

// TestMatrix compares what bulk transfers come to over all kinds of paths with
// what is committed: whoever changes it shows the difference.
//
// -short leaves out the long cells, without MPXD_FULL=1 the longest are left
// out; -seed runs with another seed, and compares nothing.
func TestMatrix(t *testing.T) {
	limit := int64(60_000)
	switch {
	case *update || os.Getenv("MPXD_FULL") == "1":
		limit = matrixSegments
	case testing.Short():
		limit = 5_000
	}
	all := cells()
	rows := make([]string, len(all))
	t.Run("cells", func(t *testing.T) {
		for i, c := range all {
			if c.segments() > limit {
				continue
			}
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				seed := uint64(matrixSeed)
				if *replay != 0 {
					seed = *replay
				}
				rows[i] = c.row(c.run(t, seed))
				t.Log("\n" + matrixHeader[strings.LastIndex(matrixHeader, "\n#  ")+1:] + rows[i])
			})
		}
	})
	if *replay == 0 {
		compareMatrix(t, rows)
	}
}

// compareMatrix compares the rows that there are with the golden file.
func compareMatrix(t *testing.T, rows []string) {
	path := filepath.Join("testdata", "matrix.golden")
	if *update {
		if err := os.WriteFile(path, []byte(matrixHeader+strings.Join(rows, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body, ok := strings.CutPrefix(string(file), matrixHeader)
	want := strings.SplitAfter(body, "\n")
	if !ok || len(want) != len(rows)+1 {
		t.Fatalf("%s is of another matrix: run with -update", path)
	}
	for i, row := range rows {
		if row != "" && row != want[i] {
			t.Errorf("%s has changed (if that is meant: -update)\n- %s+ %s", path, want[i], row)
		}
	}
}

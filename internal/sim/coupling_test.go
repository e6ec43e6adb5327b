package sim

import (
	"fmt"
	"os"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// coupling is how the connections of these tests are coupled: not at all with a
// controller of its own for each subflow, or by name.
type coupling struct {
	name   string
	number uint8
	ctl    uint8
}

var coupled = []coupling{{"lia", mptcp.LIA, 0}, {"olia", mptcp.OLIA, 0}, {"balia", mptcp.BALIA, 0}}

// uncoupled are measured, with MPXD_FULL=1, but nothing is asked of them.
var uncoupled = []coupling{{"cubic", 0, tcp.CUBIC}, {"newreno", 0, tcp.NewReno}, {"bbr", 0, tcp.BBR}}

func full() bool { return os.Getenv("MPXD_FULL") == "1" }

// full runs of these tests take ten seeds, others one.
func couplingSeeds() []uint64 {
	if full() {
		return seeds(1, 1)[:10]
	}
	return seeds(1, 1)
}

// together are both, in a full run.
func together() []coupling {
	if full() {
		return append(coupled[:len(coupled):len(coupled)], uncoupled...)
	}
	return coupled
}

// shared is a phone behind one bottleneck, to which a server sends over two
// subflows and another one over TCP.
type shared struct {
	rate     int64
	rtt      [3]tcp.Time // of the subflows, and of the TCP flow
	queue    float64     // in bandwidth-delay products of the longest
	coupling coupling
	tcp      uint8 // the TCP flow's controller
	seed     uint64
}

// run tells which share the connection got of what it and the TCP flow got
// between two times.
func (b *shared) run(t *testing.T, from, until tcp.Time) float64 {
	t.Helper()
	w := NewWorld(b.seed)
	longest := max(b.rtt[0], b.rtt[1], b.rtt[2])
	queue := int(float64(b.rate) / 8 * float64(longest) / float64(tcp.Second) * b.queue)
	lan := w.Net("lan")
	server, other := tcp.DefaultConfig(), tcp.DefaultConfig()
	other.Controller = b.tcp
	if b.coupling.ctl != 0 {
		server.Controller = b.coupling.ctl
	}
	service := func() *Peer {
		return &Peer{Serve: func() *Stream { return &Stream{Send: 1 << 40, Key: 2, Want: 1} }}
	}
	app := &phone{st: &Stream{Send: 1, Key: 1, Want: 2}}
	conf := mptcp.Config{Enabled: true}
	down := link.Config{Rate: b.rate, Overhead: link.EthernetOverhead, QueueBytes: queue}
	h := w.Host(HostConfig{Name: "phone", App: app, MPTCP: conf, Frames: 1 << 14,
		NICs: []NIC{{Net: lan, Addresses: []string{"10.1.0.1/24", "10.2.0.1/24"}, Down: down}}})
	// The jitter is what the seed decides: who loses when the queue is full.
	nic := func(i int, address string) NIC {
		half := int64(b.rtt[i]) / 2
		return NIC{Net: lan, Addresses: []string{address}, Up: link.Config{Delay: half, Jitter: ms}, Down: link.Config{Delay: half}}
	}
	conf.Coupling = b.coupling.number
	w.Host(HostConfig{Name: "server", App: service(), TCP: &server, MPTCP: conf, Frames: 1 << 14,
		NICs: []NIC{nic(0, "10.1.0.2/24"), nic(1, "10.2.0.2/24")}}).Do(func(s *stack.Shard) { s.Listen(80) })
	w.Host(HostConfig{Name: "other", App: service(), TCP: &other, Frames: 1 << 14,
		NICs: []NIC{nic(2, "10.1.0.3/24")}}).Do(func(s *stack.Shard) { s.Listen(80) })
	alone := &Stream{Send: 1, Key: 1, Want: 2}
	h.Do(func(s *stack.Shard) {
		app.dial(t, s)
		if err := app.Dial(s, "10.1.0.3:80", alone); err != nil {
			t.Error(err)
		}
	})
	w.Run(from)
	ours, theirs := app.st.Got, alone.Got
	w.Run(until)
	if app.most < 2 {
		t.Errorf("seed %d: at most %d subflows", b.seed, app.most)
	}
	ours, theirs = app.st.Got-ours, alone.Got-theirs
	return float64(ours) / float64(ours+theirs)
}

// disjoint is a phone with two links of its own.
type disjoint struct {
	rate     [2]int64
	rtt      [2]tcp.Time
	queue    float64 // in bandwidth-delay products
	loss     int     // ppm
	coupling coupling
	seed     uint64
}

// line is the goodput of both links in bytes per second.
func (d *disjoint) line() (sum float64) {
	const frame = 14 + 20 + 32 + 28 + dssMSS + link.EthernetOverhead
	for i := range d.rate {
		sum += float64(d.rate[i]) / 8 * dssMSS / frame * (1 - float64(d.loss)/link.Million)
	}
	return sum
}

// dssMSS is the payload of a full segment with a mapping.
const dssMSS = mss - 28

// world has a download begin.
func (d *disjoint) world(t *testing.T) *twoPaths {
	t.Helper()
	var l [2]link.Config
	for i := range l {
		queue := int(float64(d.rate[i]) / 8 * float64(d.rtt[i]) / float64(tcp.Second) * d.queue)
		l[i] = link.Config{Rate: d.rate[i], Overhead: link.EthernetOverhead, Delay: int64(d.rtt[i]) / 2, QueueBytes: max(queue, 20*1600), Loss: d.loss}
	}
	conf := tcp.DefaultConfig()
	if d.coupling.ctl != 0 {
		conf.Controller = d.coupling.ctl
	}
	p := newTwoPathsWith(t, d.seed, l[0], l[1], &conf, mptcp.Config{Enabled: true, Coupling: d.coupling.number})
	in := &Stream{Send: 1 << 40, Key: 2, Want: 1, After: true}
	p.app.st = &Stream{Send: 1000, Key: 1, Want: 2}
	p.service.Serve = func() *Stream { return in }
	p.phone.Do(func(s *stack.Shard) { p.app.dial(t, s) })
	return p
}

// run tells which part of the lines was used between two times.
func (d *disjoint) run(t *testing.T, from, until tcp.Time) float64 {
	t.Helper()
	p := d.world(t)
	p.Run(from)
	got := p.app.st.Got
	p.Run(until)
	return float64(p.app.st.Got-got) / (float64(until-from) / float64(tcp.Second)) / d.line()
}

// TestSharedBottleneck: a connection with two subflows over one bottleneck takes
// as much of it as the one TCP flow beside it, within 20 % of fair, whatever the
// round trips of its subflows. The TCP flow has the shorter of them.
func TestSharedBottleneck(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of three flows are not short")
	}
	for _, k := range together() {
		for _, rtt := range [][3]tcp.Time{{20, 20, 20}, {60, 60, 60}, {10, 40, 10}, {80, 20, 20}} {
			t.Run(fmt.Sprintf("%s/%d,%d,%dms", k.name, rtt[0], rtt[1], rtt[2]), func(t *testing.T) {
				t.Parallel()
				mean, n := 0.0, 0.0
				least, most := 1.0, 0.0
				for _, seed := range couplingSeeds() {
					b := shared{rate: 20e6, queue: 1, coupling: k, tcp: tcp.NewReno, seed: seed}
					for i := range rtt {
						b.rtt[i] = rtt[i] * tcp.Millisecond
					}
					share := b.run(t, 5*tcp.Second, 45*tcp.Second)
					mean, n, least, most = mean+share, n+1, min(least, share), max(most, share)
					if k.number != 0 && (share < 0.35 || share > 0.65) {
						t.Errorf("seed %d: a share of %.3f", seed, share)
					}
				}
				mean /= n
				t.Logf("a share of %.3f (%.3f to %.3f), %v seeds", mean, least, most, n)
				// One seed says where the losses fell, ten what the share is.
				if k.number != 0 && n >= 10 && (mean < 0.4 || mean > 0.6) {
					t.Errorf("a share of %.3f over %v seeds", mean, n)
				}
			})
		}
	}
}

// TestDisjointPaths: where the paths have no bottleneck in common coupling
// costs at most a tenth of what they carry.
func TestDisjointPaths(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of tens of megabits are not short")
	}
	type cell struct {
		rate  [2]int64
		rtt   [2]tcp.Time
		queue float64
		loss  int
	}
	cells := []cell{
		{[2]int64{40e6, 20e6}, [2]tcp.Time{10, 40}, 1, 0},
		{[2]int64{40e6, 40e6}, [2]tcp.Time{20, 20}, 1, 0},
		{[2]int64{90e6, 10e6}, [2]tcp.Time{20, 20}, 1, 0},
		{[2]int64{20e6, 40e6}, [2]tcp.Time{10, 80}, 1, 0},
	}
	if full() { // of loss without a queue nothing is asked: NewReno takes it for congestion
		cells = append(cells, cell{[2]int64{40e6, 20e6}, [2]tcp.Time{10, 40}, 4, 0},
			cell{[2]int64{40e6, 20e6}, [2]tcp.Time{10, 40}, 1, 100}, cell{[2]int64{40e6, 20e6}, [2]tcp.Time{10, 40}, 1, 1000})
	}
	for _, k := range together() {
		for _, c := range cells {
			t.Run(fmt.Sprintf("%s/%d+%dM,%d+%dms,queue %g,%d ppm", k.name, c.rate[0]/1e6, c.rate[1]/1e6, c.rtt[0], c.rtt[1], c.queue, c.loss), func(t *testing.T) {
				t.Parallel()
				for _, seed := range couplingSeeds()[:1] {
					d := disjoint{rate: c.rate, queue: c.queue, loss: c.loss, coupling: k, seed: seed}
					for i := range c.rtt {
						d.rtt[i] = c.rtt[i] * tcp.Millisecond
					}
					part := d.run(t, 3*tcp.Second, 18*tcp.Second)
					t.Logf("%.3f of the line", part)
					if k.number != 0 && c.loss == 0 && part < 0.9 {
						t.Errorf("seed %d: %.3f of the line", seed, part)
					}
				}
			})
		}
	}
}

// TestResponsiveness: on one of two equal paths a TCP flow begins, and ends. The
// connection leaves it room, keeps the other path full, and takes back what becomes free.
func TestResponsiveness(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of tens of megabits are not short")
	}
	for _, k := range together() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			for _, seed := range couplingSeeds()[:1] {
				d := disjoint{rate: [2]int64{20e6, 20e6}, rtt: [2]tcp.Time{20 * tcp.Millisecond, 20 * tcp.Millisecond}, queue: 1, coupling: k, seed: seed}
				w := d.world(t)
				other := &Peer{Serve: func() *Stream { return &Stream{Send: 1 << 40, Key: 4, Want: 3} }}
				conf := tcp.DefaultConfig()
				conf.Controller = tcp.NewReno
				w.Host(HostConfig{Name: "other", App: other, TCP: &conf, NICs: []NIC{{Net: w.nets[0], Addresses: []string{"10.1.0.3/24"}}}}).
					Do(func(s *stack.Shard) { s.Listen(80) })
				alone := &Stream{Send: 1, Key: 3, Want: 4}
				out := w.app.st
				phase := func(until tcp.Time) (ours, theirs float64) {
					g, a, from := out.Got, alone.Got, w.Now()
					w.Run(until)
					each := d.line() / 2 * float64(until-from) / float64(tcp.Second)
					return float64(out.Got-g) / each, float64(alone.Got-a) / each
				}
				phase(3 * tcp.Second)
				before, _ := phase(8 * tcp.Second)
				w.phone.Do(func(s *stack.Shard) {
					if err := w.app.Dial(s, "10.1.0.3:80", alone); err != nil {
						t.Error(err)
					}
				})
				phase(13 * tcp.Second)
				during, theirs := phase(33 * tcp.Second)
				w.phone.Do(func(s *stack.Shard) { s.Abort(alone.conn) })
				back := 0 // seconds until it has nine tenths of both lines again
				for got := 0.0; got < 1.8 && back < 60; back++ {
					got, _ = phase(w.Now() + tcp.Second)
				}
				t.Logf("lines' worth: before %.2f; beside the flow %.2f, and the flow %.2f; both are used again in the second number %d after it", before, during, theirs, back)
				// OLIA must carry as much without loss on the small window it has
				// left there as between two losses on the other path.
				patience := 10
				if k.number == mptcp.OLIA {
					patience = 40
				}
				if k.number != 0 && (before < 1.8 || during < 0.95 || during+theirs < 1.8 || theirs < 0.45 || back > patience) {
					t.Errorf("seed %d: see above", seed)
				}
			}
		})
	}
}

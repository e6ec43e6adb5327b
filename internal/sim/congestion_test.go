package sim

import (
	"fmt"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// bottleneck is a server that sends to clients over one queue.
type bottleneck struct {
	rate  int64 // bit/s
	rtt   tcp.Time
	queue float64 // in bandwidth-delay products
	loss  int     // ppm
	mark  float64 // products of queue from which on ECN marks; 0: none
	seed  uint64
	ecn   uint8
	probe func(*World, []*Peer)
}

// mss is the payload of a full segment: timestamps take 12 bytes.
const mss = 1448

// line is the goodput of a link in bytes per second.
func (b *bottleneck) line() float64 {
	const frame = 14 + 20 + 32 + mss + link.EthernetOverhead
	return float64(b.rate) / 8 * mss / frame * (1 - float64(b.loss)/link.Million)
}

// run lets one flow for each controller send until the given times and tells what each delivered in every interval.
func (b *bottleneck) run(t testing.TB, ctls []uint8, until ...tcp.Time) (got [][]int64, w *World) {
	t.Helper()
	w = NewWorld(b.seed)
	bdp := float64(b.rate) / 8 * float64(b.rtt) / float64(tcp.Second)
	queue := int(max(bdp*b.queue, 20*1600))
	lan := w.Net("lan")
	conf := tcp.DefaultConfig()
	conf.ECN = b.ecn
	buf := uint32(max(8*bdp, 4<<20))
	conf.RcvBuf, conf.SndBuf = buf, buf
	frames := 16384 + int(4*bdp/1000)*len(ctls)
	out := link.Config{Rate: b.rate, Overhead: link.EthernetOverhead, Delay: int64(b.rtt) / 2, QueueBytes: queue, Loss: b.loss, MarkBytes: int(bdp * b.mark)}
	back := link.Config{Delay: int64(b.rtt) / 2}
	client := &Peer{}
	c := w.Host(HostConfig{Name: "client", App: client, TCP: &conf, Frames: frames, NICs: []NIC{{Net: lan, Addresses: []string{"10.0.0.1/24"}, Up: back, Down: out}}})
	c.Do(func(s *stack.Shard) {
		if err := s.Listen(80); err != nil {
			t.Error(err)
		}
	})
	ins := make([]*Stream, len(ctls))
	accepted := 0
	var servers []*Peer
	client.Serve = func() *Stream {
		ins[accepted] = &Stream{Want: 1, Key: 2, Send: 1 << 10, After: true}
		accepted++
		return ins[accepted-1]
	}
	for i, ctl := range ctls {
		own := conf
		own.Controller = ctl
		server := &Peer{}
		servers = append(servers, server)
		s := w.Host(HostConfig{Name: fmt.Sprint("server", i), App: server, TCP: &own, Frames: frames, NICs: []NIC{{Net: lan, Addresses: []string{fmt.Sprintf("10.0.0.%d/24", 2+i)}}}})
		s.Do(func(s *stack.Shard) {
			if err := server.Dial(s, "10.0.0.1:80", &Stream{Send: 1 << 50, Key: 1, Want: 2}); err != nil {
				t.Error(err)
			}
		})
		w.Run(w.Now() + 2*b.rtt + tcp.Millisecond) // so that ins are in this order
	}
	last := make([]int64, len(ctls))
	for _, at := range until {
		w.Run(at)
		if b.probe != nil {
			b.probe(w, servers)
		}
		now := make([]int64, len(ctls))
		for i, in := range ins {
			if in != nil {
				now[i], last[i] = in.Got-last[i], in.Got
			}
		}
		got = append(got, now)
	}
	return got, w
}

// share is how well the intervals from the one numbered from on were used.
func (b *bottleneck) share(got [][]int64, from int, each tcp.Time) float64 {
	sum := 0.0
	for _, g := range got[from:] {
		for _, n := range g {
			sum += float64(n)
		}
	}
	return sum / (float64(len(got)-from) * float64(each) / float64(tcp.Second)) / b.line()
}

// jain is the index of fairness of what flows got from the interval numbered from on.
func jain(got [][]int64, from int) float64 {
	total := make([]float64, len(got[0]))
	for _, g := range got[from:] {
		for i, n := range g {
			total[i] += float64(n)
		}
	}
	sum, squares := 0.0, 0.0
	for _, x := range total {
		sum, squares = sum+x, squares+x*x
	}
	return sum * sum / (float64(len(total)) * squares)
}

// seconds are n moments, a second apart.
func seconds(n int) (at []tcp.Time) {
	for i := range n {
		at = append(at, tcp.Time(i+1)*tcp.Second)
	}
	return at
}

var algorithms = map[string]uint8{"cubic": tcp.CUBIC, "newreno": tcp.NewReno, "bbr": tcp.BBR}

// TestFullLine: without loss every controller fills the line, with a queue of
// one bandwidth-delay product, from the fifth second on.
func TestFullLine(t *testing.T) {
	rates := []int64{10e6, 100e6, 1e9}
	if testing.Short() {
		rates = rates[:1]
	}
	for name, ctl := range algorithms {
		for _, rate := range rates {
			for _, rtt := range []tcp.Time{1, 20, 100} {
				t.Run(fmt.Sprintf("%s/%dM/%dms", name, rate/1e6, rtt), func(t *testing.T) {
					t.Parallel()
					b := bottleneck{rate: rate, rtt: rtt * tcp.Millisecond, queue: 1, seed: 1}
					got, _ := b.run(t, []uint8{ctl}, seconds(8)...)
					share := b.share(got, 4, tcp.Second)
					t.Logf("%.3f of the line", share)
					if share < 0.95 {
						t.Errorf("seed %d: %.3f of the line; each second: %d", b.seed, share, got)
					}
				})
			}
		}
	}
}

// TestLossyLine: random loss is no congestion to a model of the path. With 5 % each round has losses,
// and behind them the receiver's window, still small, stops the sender: neither may end STARTUP early.
func TestLossyLine(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of hundreds of megabits are not short")
	}
	for _, rtt := range []tcp.Time{10, 40} {
		for _, loss := range []int{0, 1000, 10000, 50000} {
			t.Run(fmt.Sprintf("%dms/%dppm", rtt, loss), func(t *testing.T) {
				t.Parallel()
				b := bottleneck{rate: 300e6, rtt: rtt * tcp.Millisecond, queue: 1, loss: loss, seed: 2}
				got, _ := b.run(t, []uint8{tcp.BBR}, seconds(5)...)
				share := b.share(got, 2, tcp.Second)
				t.Logf("%.3f of what the line lets through", share)
				if share < 0.9 {
					t.Errorf("seed %d: %.3f; each second: %d", b.seed, share, got)
				}
			})
		}
	}
}

// TestFairness: two flows on one bottleneck. Of BBR beside CUBIC no more is
// asked than that both live.
func TestFairness(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of two flows is not short")
	}
	for _, c := range []struct {
		name  string
		ctls  []uint8
		ecn   uint8
		least float64
	}{
		{"cubic-cubic", []uint8{tcp.CUBIC, tcp.CUBIC}, tcp.ECNOff, 0.9},
		{"newreno-newreno", []uint8{tcp.NewReno, tcp.NewReno}, tcp.ECNOff, 0.9},
		{"bbr-bbr", []uint8{tcp.BBR, tcp.BBR}, tcp.ECNOff, 0.9},
		{"cubic-newreno", []uint8{tcp.CUBIC, tcp.NewReno}, tcp.ECNOff, 0.8},
		{"cubic-bbr", []uint8{tcp.CUBIC, tcp.BBR}, tcp.ECNOff, 0.6},
		{"cubic-cubic-ecn", []uint8{tcp.CUBIC, tcp.CUBIC}, tcp.ECNOn, 0.9},
		{"bbr-bbr-ecn", []uint8{tcp.BBR, tcp.BBR}, tcp.ECNOn, 0.8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := bottleneck{rate: 50e6, rtt: 20 * tcp.Millisecond, queue: 1, seed: 3, ecn: c.ecn}
			if c.ecn != tcp.ECNOff {
				b.mark = 0.5
			}
			got, w := b.run(t, c.ctls, seconds(30)...)
			index, share := jain(got, 10), b.share(got, 10, tcp.Second)
			t.Logf("index %.3f, %.3f of the line", index, share)
			if index < c.least || share < 0.95 {
				t.Errorf("seed %d: index %.3f, %.3f of the line; each second: %d", b.seed, index, share, got)
			}
			if c.ecn == tcp.ECNOff {
				return
			}
			for _, h := range w.hosts[1:] {
				if n := h.Shard.Stats().TCP; n.ECNReductions == 0 || n.RetransSegs > 1000 {
					t.Errorf("%s answered %d marks and sent %d segments again", h.Name, n.ECNReductions, n.RetransSegs)
				}
			}
		})
	}
}

// TestPacedMPTCP: subflows that pace themselves carry together what each carries
// alone.
func TestPacedMPTCP(t *testing.T) {
	conf := tcp.DefaultConfig()
	conf.Controller = tcp.BBR
	wifi := link.Config{Rate: 60e6, Overhead: link.EthernetOverhead, Delay: 5 * ms}
	lte := link.Config{Rate: 30e6, Overhead: link.EthernetOverhead, Delay: 20 * ms, Loss: 10000}
	p := newTwoPathsOf(t, 5, wifi, lte, false, &conf)
	in := &Stream{Send: 1 << 40, Key: 2, Want: 1, After: true}
	p.app.st = &Stream{Send: 1000, Key: 1, Want: 2}
	out := p.app.st
	p.service.Serve = func() *Stream { return in }
	p.phone.Do(func(s *stack.Shard) { p.app.dial(t, s) })
	p.Run(2 * tcp.Second)
	from := out.Got
	p.Run(8 * tcp.Second)
	rate := (out.Got - from) * 8 / 6 / 1e6
	t.Logf("%d Mbit/s", rate)
	if rate < 75 { // 60 + 30, less headers of 8 % and 1 % loss, is 82
		t.Errorf("both paths carry %d Mbit/s", rate)
	}
}

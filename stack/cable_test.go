package stack

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// plug is one end of a cable in real time: a Port whose packets lie at once at the other
// end, in another goroutine's shard.
type plug struct {
	pool *frame.Pool
	far  *plug
	wake func()

	mu   sync.Mutex
	wire [][]byte
	cut  bool // loses what arrives
}

// plugRoom bounds what waits at a plug: more is the sender's to keep.
const plugRoom = 512

func (p *plug) Recv(in []frame.Span) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(in) && n < len(p.wire) {
		f, ok := p.pool.Get()
		if !ok {
			break
		}
		in[n] = frame.Span{Frame: f, Off: 256, Len: uint16(len(p.wire[n]))}
		copy(p.pool.Bytes(in[n]), p.wire[n])
		n++
	}
	p.wire = append(p.wire[:0], p.wire[n:]...)
	return n
}

func (p *plug) Send(out []frame.Span) int {
	o := p.far
	o.mu.Lock()
	defer o.mu.Unlock()
	out = out[:min(len(out), plugRoom-len(o.wire))]
	for _, s := range out {
		if !o.cut {
			o.wire = append(o.wire, append([]byte(nil), p.pool.Bytes(s)...))
		}
		p.pool.TxStart(s.Frame)
		p.pool.TxDone(s.Frame)
	}
	if len(out) > 0 {
		o.wake()
	}
	return len(out)
}

func (p *plug) Room() int {
	p.far.mu.Lock()
	defer p.far.mu.Unlock()
	return plugRoom - len(p.far.wire)
}

func (p *plug) Flush() {}

func (p *plug) setCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

// station is a shard on a cable, run by a goroutine, and the Net over it.
type station struct {
	*Net
	*plug
	shard *Shard
	addr  string
	rings chan struct{}
	began time.Time
}

// newStations makes two of them and runs them until the test ends.
func newStations(t testing.TB, edit func(*Config)) (a, b *station) {
	t.Helper()
	a, b = &station{addr: "10.0.0.1"}, &station{addr: "10.0.0.2"}
	a.plug, b.plug = &plug{}, &plug{}
	a.far, b.far = b.plug, a.plug
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i, s := range []*station{a, b} {
		s.rings = make(chan struct{}, 1)
		s.Net, s.plug.wake, s.began = NewNet(), func() { signal(s.rings) }, time.Now()
		s.pool = frame.New(make([]byte, 4096<<12), 12)
		conf := Config{
			Addresses: []Address{
				{Prefix: netip.MustParsePrefix(s.addr + "/24")},
				{Prefix: netip.MustParsePrefix(fmt.Sprintf("fd00::%d/64", i+1))},
			},
			TCP: tcp.DefaultConfig(),
		}
		conf.TCP.RcvBuf, conf.TCP.SndBuf, conf.MPTCP.RcvBuf, conf.MPTCP.SndBuf = 1<<20, 1<<20, 1<<20, 1<<20
		if edit != nil {
			edit(&conf)
		}
		var err error
		s.shard, err = New(conf, s.pool, []Link{{Name: "cable", MAC: [6]byte{2, 0, 0, 0, 0, byte(i + 1)}, MTU: 1500, Ports: []Port{s.plug}}}, s.Net)
		if err != nil {
			t.Fatal(err)
		}
		s.shard.SetWake(s.plug.wake)
		if err := s.Start(s.shard); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*station{a, b} {
		running.Go(func() { s.run(ctx) })
	}
	t.Cleanup(func() { stop(); running.Wait() })
	return a, b
}

// run turns the shard until ctx ends, and then says goodbye.
func (s *station) run(ctx context.Context) {
	for {
		next := s.shard.Turn(s.now())
		var due <-chan time.Time
		if next != tcp.Never {
			due = time.After(time.Duration(next - s.now()))
		}
		select {
		case <-ctx.Done():
			s.Stop(s.shard)
			for range 4 {
				s.shard.Turn(s.now())
			}
			return
		case <-s.rings:
		case <-due:
		}
	}
}

func (s *station) now() tcp.Time { return tcp.Time(time.Since(s.began)) + 1 }

// ask runs f on the shard and waits for it.
func (s *station) ask(f func(*Shard)) {
	done := make(chan struct{})
	for !s.shard.Post(func(s *Shard) { f(s); close(done) }) {
		time.Sleep(time.Millisecond)
	}
	<-done
}

// speaksMPTCP is an edit for newStations.
func speaksMPTCP(c *Config) { c.MPTCP = mptcp.Config{Enabled: true, RcvBuf: 1 << 20, SndBuf: 1 << 20} }

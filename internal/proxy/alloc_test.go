//go:build !race && !framecheck

// The race detector allocates, and so does the record of who held a frame.

package proxy

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// meter counts what the proxy allocates in its visits, with all that it calls.
type meter struct {
	*Proxy
	on     bool
	visits int
	allocs uint64
}

func (m *meter) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	if !m.on {
		m.Proxy.Ready(s, c, ev)
		return
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m.Proxy.Ready(s, c, ev)
	runtime.ReadMemStats(&after)
	m.visits++
	m.allocs += after.Mallocs - before.Mallocs
}

// TestRelayAllocatesNothing, in both directions, once it runs.
func TestRelayAllocatesNothing(t *testing.T) {
	// The counter is the process's: nobody else may run meanwhile, the
	// collector included.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	m := &meter{}
	conf := tcp.DefaultConfig()
	conf.RcvBuf, conf.SndBuf = 512<<10, 512<<10
	l := link.Config{Rate: 1e9, Delay: ms}
	w := newWorld(t, worldConfig{seed: 1, tcp: &conf, access: l, core: l, app: func(p *Proxy) stack.App { m.Proxy = p; return m }})
	const size = 8 << 20
	o := w.serve(size)
	o.After = false
	g := w.visit(t, &guest{say: hello("10.2.0.1:80"), answer: 12, up: size, key: 1, want: 2})
	w.RunUntil(func() bool { return g.got > size/2 && o.Got > size/2 }, 60*tcp.Second)
	m.on = true
	before := w.p.Count().Moved
	w.RunUntil(func() bool { return g.got > size*3/4 && o.Got > size*3/4 }, 60*tcp.Second)
	m.on = false
	moved := w.p.Count().Moved
	spans := (moved[client] - before[client] + moved[upstream] - before[upstream]) / 1460
	if spans < 1000 || m.visits < 100 {
		t.Fatalf("%d spans in %d visits are not a test", spans, m.visits)
	}
	if m.allocs != 0 {
		t.Errorf("%d allocations for %d spans in %d visits", m.allocs, spans, m.visits)
	}
	w.RunUntil(func() bool { return g.done && o.Done }, 60*tcp.Second)
	w.settle(t)
}

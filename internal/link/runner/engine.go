package runner

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/link"
)

// tick is the shortest time between two rounds: a frame leaves up to that late.
const tick = 100_000

// engine is the runner's thread and what it owns. Other goroutines reach it by
// ask.
type engine struct {
	paths []Path
	wires []*wire // 2*path + direction
	ports []*port
	event int // eventfd: something was asked
	fds   []unix.PollFd

	asked atomic.Bool
	mu    sync.Mutex
	asks  []func()

	late     late
	rounds   uint64
	schedule string
	begin    time.Time
}

// newEngine opens the interfaces, which are those of the calling thread's
// namespace, and begins to carry frames. An engine ends with its process.
func newEngine(paths []Path) (*engine, error) {
	e := &engine{paths: paths, event: -1, begin: time.Now()}
	if err := e.open(); err != nil {
		return nil, err
	}
	go e.run()
	return e, nil
}

func (e *engine) open() (err error) {
	if e.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	e.fds = append(e.fds, unix.PollFd{Fd: int32(e.event), Events: unix.POLLIN})
	for _, p := range e.paths {
		a, err := e.openPort(p.A, p.AB)
		if err != nil {
			return err
		}
		b, err := e.openPort(p.B, p.BA)
		if err != nil {
			return err
		}
		e.wires = append(e.wires, newWire(a, b, p.AB, false), newWire(b, a, p.BA, p.GRO))
	}
	return nil
}

func (e *engine) openPort(name string, c link.Config) (*port, error) {
	p, err := openPort(name, slots(c))
	if err == nil {
		e.ports = append(e.ports, p)
		e.fds = append(e.fds, unix.PollFd{Fd: int32(p.fd), Events: unix.POLLIN})
	}
	return p, err
}

// slots is how many frames of half the usual size the link can hold: in its
// queue and in flight.
func slots(c link.Config) int {
	const frame = 750
	if c.Rate == 0 {
		return maxSlots / 2 // 40 ms at 4 Gbit/s
	}
	queue := max(c.QueueBytes, link.DefaultQueue(c.Rate))
	flight := c.Rate / 8 * ((c.Delay+c.Jitter+c.ReorderDelay)/1_000_000 + 1) / 1000
	return int(min(int64(queue)/frame+flight/frame, maxSlots))
}

// run is the runner's thread.
func (e *engine) run() {
	runtime.LockOSThread()
	e.schedule = hurry()
	for {
		e.round()
	}
}

// round moves what has arrived and what is due, then sleeps.
func (e *engine) round() {
	if e.asked.Load() {
		e.answer()
	}
	start := wallClock()
	for _, w := range e.wires {
		w.receive()
	}
	for _, w := range e.wires {
		w.deliver(&e.late)
	}
	e.rounds++
	e.rest(start)
}

// rest sleeps until the next round: not before a tick has passed, not later than
// the next frame is due, nor so long that frames which have arrived meanwhile
// would be due, for nothing says so while others are in flight.
func (e *engine) rest(start int64) {
	next := start + idle
	flying := false
	for _, w := range e.wires {
		if at, ok := w.queue.Next(); ok {
			flying = true
			next = min(next, at)
		}
	}
	if !flying {
		wait(e.fds, idle)
		next = start
	}
	for _, w := range e.wires {
		next = min(next, start+min(w.delay, horizon))
	}
	sleep(max(next, start+tick) - wallClock())
}

const (
	// idle is how long the thread sleeps when there is nothing to do.
	idle = 1_000_000_000
	// horizon bounds how much arrives unseen: at 1 Gbit/s some 100 frames.
	horizon = 1_000_000
)

// ask has the runner's thread call f, and waits for it.
func (e *engine) ask(f func()) {
	done := make(chan struct{})
	e.mu.Lock()
	e.asks = append(e.asks, func() { f(); close(done) })
	e.asked.Store(true)
	unix.Write(e.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	e.mu.Unlock()
	<-done
}

func (e *engine) answer() {
	e.mu.Lock()
	var b [8]byte
	unix.Read(e.event, b[:])
	asks := e.asks
	e.asks = nil
	e.asked.Store(false)
	e.mu.Unlock()
	for _, f := range asks {
		f()
	}
}

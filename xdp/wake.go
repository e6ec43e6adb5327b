//go:build linux

package xdp

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// blockedNap bounds a sleep while the kernel holds packets back: no event
	// says that a full queue below us has room again.
	blockedNap = int64(100 * time.Microsecond)

	// Waking a sleeper costs the sender of a packet, on veth the very core that
	// carries the load, as much as the packet itself. So a group under load
	// naps on a timer, and packets gather meanwhile as with a NIC that
	// moderates its interrupts. A nap is short against any path's round trip
	// and against what the fill ring can take.
	napTime = int64(50 * time.Microsecond)
	// busyGap between packets is load: a nap then gathers a few. A lone
	// request and answer is far from it and pays nothing.
	busyGap = 20 * time.Microsecond
)

// waker ends a sleep from another goroutine, through an eventfd.
type waker struct {
	rung atomic.Bool // the eventfd is or will be readable
	mu   sync.Mutex  // a late Wake must not write to a closed descriptor
	fd   int
	sink [8]byte // what was read from the eventfd
}

// one is not 0 in either byte order.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 1}

func (w *waker) open() (err error) {
	w.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return err
}

// ring makes the eventfd readable. Rings before the next answer are one.
func (w *waker) ring() {
	if w.rung.Swap(true) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		_, _ = unix.Write(w.fd, one)
	}
}

// answer makes the eventfd silent again. Reading before storing: a ring
// between the two is answered by the caller, who looks at its mailboxes next;
// in the other order it would leave rung set and the eventfd silent for ever.
func (w *waker) answer() {
	_, _ = unix.Read(w.fd, w.sink[:])
	w.rung.Store(false)
}

func (w *waker) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	fd := w.fd
	w.fd = -1
	return unix.Close(fd)
}

// Wake ends the present or the next Wait. Any goroutine may call it, also
// after Close.
func (g *Group) Wake() { g.waker.ring() }

// Wait sleeps until a socket has packets, Wake was called or timeout
// nanoseconds are over; a negative timeout is no limit, and 0 does not sleep.
// It flushes first, so nothing waits in a ring while the shard sleeps. It may
// return early. Under load packets end the sleep up to napTime late.
func (g *Group) Wait(timeout int64) {
	busy := g.pace.busy(g.received())
	for _, s := range g.sockets {
		s.Flush()
		nap := blockedNap
		if s.resting() {
			nap = int64(downRest)
		}
		if s.blocked() && (timeout < 0 || timeout > nap) {
			timeout = nap
		}
	}
	g.poll[0].Revents = 0
	if busy && (timeout < 0 || timeout > napTime) && g.idle() {
		g.sleep(g.poll[:1], napTime)
		if timeout > 0 {
			timeout -= napTime
		}
	}
	if timeout != 0 && g.idle() {
		g.sleep(g.poll, timeout)
	}
	// Readable without rung: a ring was answered before it came to write.
	if g.waker.rung.Load() || g.poll[0].Revents != 0 {
		g.waker.answer()
	}
}

// idle reports whether there is nothing to do: no packets, and nobody rang.
func (g *Group) idle() bool {
	for _, s := range g.sockets {
		if s.rx.look() > 0 {
			return false
		}
	}
	return !g.waker.rung.Load() && g.poll[0].Revents == 0
}

// sleep polls the descriptors for a time, without limit if it is negative.
func (g *Group) sleep(fds []unix.PollFd, timeout int64) {
	if !g.precise {
		// Timers of a thread may be 50 us late by default, to save power.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		g.precise = true
	}
	var limit *unix.Timespec
	if timeout > 0 {
		g.limit = unix.NsecToTimespec(timeout)
		limit = &g.limit
	}
	// An error is a signal or nothing at all: both are an early return.
	_, _ = unix.Ppoll(fds, limit, nil)
}

// received is how many packets the group has received so far.
func (g *Group) received() (n uint64) {
	for _, s := range g.sockets {
		n += s.count.RxPackets
	}
	return n
}

// pace tells load from trickle by the packets between two Waits.
type pace struct {
	last     time.Time
	received uint64
}

// busy reports whether packets came less than busyGap apart, on average, since
// it was last asked.
func (p *pace) busy(received uint64) bool {
	now := time.Now()
	busy := now.Sub(p.last) < time.Duration(received-p.received)*busyGap
	p.last, p.received = now, received
	return busy
}

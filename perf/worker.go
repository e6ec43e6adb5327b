//go:build linux

package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The phases of a worker, in order.
const (
	warming int32 = iota
	measuring
	stopped
)

// worker repeats a step on a thread of its own, pinned to a core, and counts
// what the steps did while it was measuring.
type worker struct {
	phase atomic.Int32
	done  chan struct{}
	err   error
	marks [stopped + 1]mark // taken by the worker itself as a phase begins
}

type mark struct {
	count int
	at    time.Time
	cpu   int64 // ns this thread has run, softirqs on its back included
}

// start pins step to a core, modulo the cores there are.
func start(core int, step func() int) *worker {
	w := &worker{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		runtime.LockOSThread() // for good: the pinned thread ends with the goroutine
		var set unix.CPUSet
		set.Set(core % runtime.NumCPU())
		w.err = unix.SchedSetaffinity(0, &set)
		count, phase := 0, warming
		for phase != stopped {
			count += step()
			if p := w.phase.Load(); p != phase {
				phase = p
				w.marks[p] = mark{count, time.Now(), threadTime()}
			}
		}
	}()
	return w
}

func (w *worker) enter(phase int32) { w.phase.Store(phase) }

// stop ends the worker and waits for it. A second stop does nothing.
func (w *worker) stop() {
	w.enter(stopped)
	<-w.done
}

func (w *worker) count() float64 {
	return float64(max(1, w.marks[stopped].count-w.marks[measuring].count))
}

func (w *worker) wall() time.Duration { return w.marks[stopped].at.Sub(w.marks[measuring].at) }
func (w *worker) cpu() float64        { return float64(w.marks[stopped].cpu - w.marks[measuring].cpu) }

// rate is per second, cost is ns of processor time for each, and share is how
// much of its core the worker had, in per cent.
func (w *worker) rate() float64  { return w.count() / w.wall().Seconds() }
func (w *worker) cost() float64  { return w.cpu() / w.count() }
func (w *worker) share() float64 { return 100 * w.cpu() / float64(w.wall()) }

func threadTime() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return t.Nano()
}

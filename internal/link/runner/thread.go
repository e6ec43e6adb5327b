package runner

import (
	"time"

	"golang.org/x/sys/unix"
)

// x/sys has no names for these.
const (
	schedDeadline = 6 // SCHED_DEADLINE
	// fifoPriority is low among real-time priorities: above everything that is
	// not real-time is enough.
	fifoPriority = 1
)

// hurry asks for real-time scheduling and exact timers for the calling thread,
// which must be locked, and returns what it got.
//
// SCHED_DEADLINE is better than SCHED_FIFO on a busy machine. Since Linux 6.12
// ordinary threads have a deadline server that takes the processor from a FIFO
// thread for 50 ms at a time; a deadline of 1 ms comes before the server's of 1 s.
func hurry() string {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it 50 us; only an improvement
	const ms = 1_000_000
	deadline := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedDeadline,
		Runtime: 9 * ms / 10, Deadline: ms, Period: ms} // 90 %: 5 % each are the server's and the kernel's
	if unix.SchedSetAttr(0, &deadline, 0) == nil {
		return "SCHED_DEADLINE"
	}
	fifo := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: fifoPriority}
	if unix.SchedSetAttr(0, &fifo, 0) == nil {
		return "SCHED_FIFO"
	}
	return "not real-time"
}

// sleep sleeps for ns nanoseconds, or less if a signal comes.
func sleep(ns int64) {
	if ns > 0 {
		ts := unix.NsecToTimespec(ns)
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	}
}

// wait sleeps until one of fds is readable, or for ns nanoseconds.
func wait(fds []unix.PollFd, ns int64) {
	ts := unix.NsecToTimespec(ns)
	_, _ = unix.Ppoll(fds, &ts, nil)
}

func wallClock() int64 { return time.Now().UnixNano() }

package stack

import (
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Step is what a shard does when frames run short: one step after the other,
// each with less to fall back on. What was acknowledged is never dropped, and a
// window that was promised never taken back. low is a sixteenth of the pool.
//
//	free frames under
//	4 low    spans are packed: small ones were as they came
//	2 low    what came out of order and was not reported is dropped
//	3/2 low  windows open no wider than a new connection's
//	low      connections are refused, and payload; but who reads goes on
//	low      and until 3/2 low: who holds most for longest is aborted
//
// Nodes of queues are counted as frames as well, nodesPerFrame for one.
type Step uint8

const (
	StepPack    Step = iota // frames freed by packing spans
	StepPrune               // spans dropped
	StepWindows             // times that windows began to be held
	StepRefuse              // connections refused
	StepAbort               // connections aborted
	numSteps    = iota
)

var stepNames = [numSteps]string{"pack", "prune", "windows", "refuse", "abort"}

func (s Step) String() string { return stepNames[s] }

const (
	// nodesPerFrame is how many nodes there are for each frame of the pool. Full
	// segments need one or two; who sends bytes one by one would otherwise need
	// little of the pool and any amount of nodes.
	nodesPerFrame = 8

	// readsWithin is how soon an application reads that keeps up: a few turns.
	readsWithin = 10 * tcp.Millisecond
	// takesWithin is how soon a peer takes what it is sent, or is slow: some round
	// trips, and a timeout.
	takesWithin = tcp.Second
	// slowest is for how long a connection must have been stuck to be aborted:
	// longer than a loss takes to be repaired or a phone to change networks.
	slowest = 5 * tcp.Second

	// walkPerTurn is how many nodes of queues a sweep over the connections looks
	// at in a turn: some 50 us if none is in cache.
	walkPerTurn = 1024
	// walkPerConn is what looking at a connection costs beside its nodes.
	walkPerConn = 4
	// sweepGap is the least distance of two sweeps: what is new since is what
	// came in that time.
	sweepGap = 10 * tcp.Millisecond
	// wakesPerTurn bounds how many writers are told that there are frames again.
	wakesPerTurn = 64
)

// pressure is how far a shard has gone in freeing frames.
type pressure struct {
	low   int
	abort bool // the last step has begun

	// The sweep over the connections.
	conn uint32     // index of the one it is at; 0: none is under way
	at   mptcp.Conn // the one that walk is about
	walk mptcp.Walk
	next tcp.Time // no other begins before
	wake tcp.Time // one is to begin, to abort somebody

	worst mptcp.Conn // who has held most for longest, in this sweep
	cost  uint64     // frames times milliseconds
	ripe  tcp.Time   // when the next one may be aborted

	writers []mptcp.Conn // that found no frames
}

// free is how many frames there are for what is to be kept.
func (s *Shard) free() int {
	return min(s.pool.Free(), (s.nodes.Max-s.nodes.Live())/nodesPerFrame)
}

// short reports whether frames are short: what arrives must not take the last
// ones, since answers and retransmissions need some. (What the NIC fills is held by
// the ports and cannot run out by our doing.)
func (s *Shard) short() bool { return s.free() < s.pressure.low }

// full reports whether there is no memory for one more connection: frames are
// short, or so much was promised to the others that not even a small window
// could be. A SYN is then dropped in silence: it comes again in a second, when
// there may be, and a RST would take a frame to say that there never is.
func (s *Shard) full() bool {
	if !s.short() && !s.env.Windows.Full() {
		return false
	}
	s.stats.Shed[StepRefuse]++
	return true
}

// urgent reports whether a segment is taken though frames are short, down to
// half the mark: the application reads as soon as something comes, so the frame is
// soon free. It must be the next of its stream, or the gap in front of what waits out of
// order could be open for ever, and that hold its frames.
func (s *Shard) urgent(f mptcp.Flow, seg *tcp.Segment) bool {
	return s.free() >= s.pressure.low/2 && s.set.Unread(&s.env, s.set.Owner(f)) < readsWithin && s.set.Next(f, seg)
}

// mayWrite reports whether an application may take fresh frames: down to half
// the mark for a peer that takes what it is sent.
func (s *Shard) mayWrite(c mptcp.Conn) bool {
	free := s.free()
	return free >= s.pressure.low || free >= s.pressure.low/2 && s.set.Untaken(&s.env, c) < takesWithin
}

// await remembers a writer that found no frames: no event of its own will tell
// it.
func (s *Shard) await(c mptcp.Conn) {
	if k := s.conn(c); k.flags&awaits == 0 {
		k.flags |= awaits
		s.pressure.writers = append(s.pressure.writers, c)
	}
}

// relieve ends a turn: it looks how many frames are left and does what is to be
// done about it.
func (s *Shard) relieve() {
	free := s.free()
	if len(s.pressure.writers) > 0 {
		s.wakeWriters()
	}
	if free >= 4*s.pressure.low {
		s.pressure.abort, s.env.Windows.Short = false, false
		return
	}
	held := 2*free < 3*s.pressure.low
	if held && !s.env.Windows.Short {
		s.stats.Shed[StepWindows]++
	}
	s.env.Windows.Short = held
	s.pressure.abort = held && (s.pressure.abort || free < s.pressure.low)
	s.sweep(free)
}

// wakeWriters tells writers that they may go on.
func (s *Shard) wakeWriters() {
	n := min(len(s.pressure.writers), wakesPerTurn)
	for _, c := range s.pressure.writers[:n] {
		switch k := s.conn(c); {
		case k == nil:
		case s.mayWrite(c):
			k.flags &^= awaits
			s.Requeue(c, tcp.Writable)
		default:
			s.pressure.writers = append(s.pressure.writers, c)
		}
	}
	s.pressure.writers = s.pressure.writers[:copy(s.pressure.writers, s.pressure.writers[n:])]
}

// sweep goes on over the connections, a turn's share of them.
func (s *Shard) sweep(free int) {
	if s.pressure.conn == 0 {
		if s.env.Now < s.pressure.next {
			return
		}
		s.beginSweep()
	}
	w := &s.pressure.walk
	for w.Left = walkPerTurn; w.Left > 0; w.Left-- {
		if s.pressure.conn >= s.set.Indices() {
			s.endSweep()
			break
		}
		if c := s.set.At(s.pressure.conn); c != 0 && !s.visitConn(c, free) {
			break
		}
		s.pressure.conn++
	}
	s.stats.Shed[StepPack] += uint64(w.Freed)
	w.Freed = 0
}

// visitConn makes one connection give back what it can. False: it is too much
// for this turn.
func (s *Shard) visitConn(c mptcp.Conn, free int) bool {
	w := &s.pressure.walk
	if c != s.pressure.at {
		s.pressure.at = c
		w.Begin()
	}
	if !s.set.Pack(&s.env, c, w) {
		return false
	}
	if free < 2*s.pressure.low {
		n := s.set.Prune(&s.env, c)
		s.stats.Shed[StepPrune] += uint64(n)
		w.Left -= int(n)
	}
	if s.pressure.abort {
		s.judge(c, max(w.Frames, w.Nodes/nodesPerFrame))
	}
	s.pressure.at = 0
	w.Left -= walkPerConn
	return true
}

// judge looks whether a connection that holds so many frames is the one to be
// aborted.
func (s *Shard) judge(c mptcp.Conn, frames uint32) {
	if frames == 0 {
		return
	}
	stuck := s.set.Stuck(&s.env, c)
	if stuck < slowest {
		s.pressure.ripe = min(s.pressure.ripe, s.env.Now+slowest-stuck)
		return
	}
	if cost := uint64(frames) * uint64(stuck/tcp.Millisecond); cost > s.pressure.cost {
		s.pressure.worst, s.pressure.cost = c, cost
	}
}

func (s *Shard) beginSweep() {
	s.pressure.conn, s.pressure.at = 1, 0
	s.pressure.worst, s.pressure.cost, s.pressure.ripe = 0, 0, tcp.Never
}

// endSweep takes the last step, with one connection: the next sweep shows
// whether that is enough.
func (s *Shard) endSweep() {
	s.pressure.conn = 0
	s.pressure.next = s.env.Now + sweepGap
	s.pressure.wake = max(s.pressure.ripe, s.pressure.next)
	if s.pressure.abort && s.pressure.worst != 0 {
		s.stats.Shed[StepAbort]++
		s.set.Shed(&s.env, s.pressure.worst)
		s.pressure.next, s.pressure.wake = s.env.Now, s.env.Now
	}
}

// relief is when relieve must run again though nothing happens.
func (s *Shard) relief() tcp.Time {
	switch {
	case !s.pressure.abort:
		return tcp.Never
	case s.pressure.conn != 0:
		return s.env.Now
	}
	return s.pressure.wake
}

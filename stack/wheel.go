package stack

import (
	"math/bits"

	"github.com/mpxd/mpxd/tcp"
)

// wheel is a hierarchical timing wheel. Timers are numbers: setting, moving
// and cancelling one is O(1), and no timer holds a pointer.
//
// Level l has 64 slots of 64^l ticks. A timer waits at the level of its
// distance and comes down as its time comes near. Ticks are rounded up: a timer fires
// up to one tick late, never early.
type wheel struct {
	cur    int64 // every slot that begins at or before this tick was emptied
	due    uint32
	heads  [wheelLevels * wheelSlots]uint32
	filled [wheelLevels]uint64 // bitmaps of the slots that are not empty
	nodes  array[timer]
	live   int
	budget int // timers that pop may still touch in this turn
}

type timer struct {
	tick       int64
	next, prev uint32
	slot       uint16 // 0: not set; slotDue, or the slot's number + 1
}

const (
	tickShift   = 14 // 16.4 us: fine enough for pacing
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 7 // 2^42 ticks are two years
	slotDue     = wheelLevels*wheelSlots + 1
	maxTick     = 1<<(wheelBits*wheelLevels) - 1

	// timersPerTurn bounds what a turn spends on timers: as many as frames of
	// a few ports.
	timersPerTurn = 256
)

// Kinds of timers: an id is an index of that kind and the kind.
const (
	timeFlow = iota
	timeConn
	timeApp
	timeNeighbor
	timeKinds
)

func timerID(kind, i uint32) uint32 { return i*timeKinds + kind }

// set arms the timer, or moves it; tcp.Never cancels it.
func (w *wheel) set(id uint32, at tcp.Time) {
	n := w.nodes.at(id)
	if at == tcp.Never {
		if n.slot != 0 {
			w.unlink(id, n)
		}
		return
	}
	tick := (int64(at) + 1<<tickShift - 1) >> tickShift
	if n.slot != 0 {
		if n.tick == tick {
			return
		}
		w.unlink(id, n)
	}
	n.tick = tick
	w.link(id, n)
}

func (w *wheel) link(id uint32, n *timer) {
	d := n.tick - w.cur
	slot, head := uint16(slotDue), &w.due
	if d > 0 {
		tick := w.cur + min(d, maxTick-maxTick/wheelSlots) // what is farther comes by again
		l := (bits.Len64(uint64(tick-w.cur)) - 1) / wheelBits
		i := int(tick>>(wheelBits*l)) & (wheelSlots - 1)
		w.filled[l] |= 1 << i
		slot, head = uint16(l*wheelSlots+i+1), &w.heads[l*wheelSlots+i]
	}
	n.slot, n.prev, n.next = slot, 0, *head
	if *head != 0 {
		w.nodes.at(*head).prev = id
	}
	*head = id
	w.live++
}

func (w *wheel) unlink(id uint32, n *timer) {
	if n.next != 0 {
		w.nodes.at(n.next).prev = n.prev
	}
	switch {
	case n.prev != 0:
		w.nodes.at(n.prev).next = n.next
	case n.slot == slotDue:
		w.due = n.next
	default:
		i := n.slot - 1
		w.heads[i] = n.next
		if n.next == 0 {
			w.filled[i/wheelSlots] &^= 1 << (i % wheelSlots)
		}
	}
	n.slot = 0
	w.live--
}

// pop takes one timer that is due at now. It reports false when there is none,
// or the turn's budget is spent.
func (w *wheel) pop(now tcp.Time) (id uint32, ok bool) {
	tick := int64(now) >> tickShift
	for w.budget > 0 {
		if id = w.due; id != 0 {
			w.budget--
			n := w.nodes.at(id)
			w.unlink(id, n)
			if n.tick <= tick {
				return id, true
			}
			w.link(id, n) // came down a level
			continue
		}
		next := w.nextTick()
		if next > tick {
			w.cur = max(w.cur, tick)
			return 0, false
		}
		w.advance(next)
	}
	return 0, false
}

// advance goes to the tick at which the next slots begin, and makes them due.
func (w *wheel) advance(tick int64) {
	w.cur = tick
	for l := range wheelLevels {
		if tick&(1<<(wheelBits*l)-1) != 0 {
			return
		}
		i := int(tick>>(wheelBits*l)) & (wheelSlots - 1)
		w.splice(l*wheelSlots + i)
		w.filled[l] &^= 1 << i
	}
}

// splice makes all timers of a slot due. Its bound is the slot: each timer in
// it is marked once per level it passes.
func (w *wheel) splice(slot int) {
	for id := w.heads[slot]; id != 0; {
		n := w.nodes.at(id)
		next := n.next
		n.slot, n.prev, n.next = slotDue, 0, w.due
		if w.due != 0 {
			w.nodes.at(w.due).prev = id
		}
		w.due = id
		id = next
	}
	w.heads[slot] = 0
}

// nextTick is when the first non-empty slot begins.
func (w *wheel) nextTick() int64 {
	best := int64(1<<63 - 1)
	for l, m := range w.filled {
		if m == 0 {
			continue
		}
		c := w.cur >> (wheelBits * l)
		ahead := bits.RotateLeft64(m, -int((c+1)&(wheelSlots-1)))
		at := (c + 1 + int64(bits.TrailingZeros64(ahead))) << (wheelBits * l)
		best = min(best, at)
	}
	return best
}

// next is when pop wants to be called again.
func (w *wheel) next() tcp.Time {
	if w.due != 0 {
		return 0
	}
	if t := w.nextTick(); t < 1<<63-1 {
		return tcp.Time(t << tickShift)
	}
	return tcp.Never
}

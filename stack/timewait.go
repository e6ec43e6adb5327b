package stack

import (
	"github.com/mpxd/mpxd/internal/slab"
	"github.com/mpxd/mpxd/tcp"
)

// waits are the flows in TIME-WAIT, in the order in which they end: all wait
// equally long, so who begins (again) goes to the tail.
type waits struct {
	index
	slab       slab.Slab[wait]
	head, tail uint32
}

type wait struct {
	tuple      tcp.Tuple
	tw         tcp.TimeWait
	hash       uint32
	next, prev uint32
}

// waitsPerTurn bounds how many end in a turn.
const waitsPerTurn = 256

func (w *waits) at(id uint32) *wait { return w.slab.At(id) }

func (w *waits) lookup(t *tcp.Tuple, hash uint32) uint32 {
	return w.find(hash, func(id uint32) bool { return w.at(id).tuple == *t })
}

// enter remembers a flow. When the table is full the oldest gives way: its
// peer has most probably stopped repeating itself. It reports whether one had to.
func (w *waits) enter(t *tcp.Tuple, hash uint32, tw tcp.TimeWait) (evicted bool) {
	id, e, ok := w.slab.Alloc()
	if !ok {
		evicted = true
		w.drop(w.head)
		id, e, _ = w.slab.Alloc()
	}
	e.tuple, e.hash, e.tw = *t, hash, tw
	w.add(hash, id)
	w.append(id)
	return evicted
}

func (w *waits) append(id uint32) {
	e := w.at(id)
	e.prev, e.next = w.tail, 0
	if w.tail != 0 {
		w.at(w.tail).next = id
	} else {
		w.head = id
	}
	w.tail = id
}

func (w *waits) unlink(id uint32) {
	e := w.at(id)
	if e.prev != 0 {
		w.at(e.prev).next = e.next
	} else {
		w.head = e.next
	}
	if e.next != 0 {
		w.at(e.next).prev = e.prev
	} else {
		w.tail = e.prev
	}
}

// touch moves an entry whose wait began again.
func (w *waits) touch(id uint32) {
	w.unlink(id)
	w.append(id)
}

func (w *waits) drop(id uint32) {
	w.unlink(id)
	w.remove(w.at(id).hash, id)
	w.slab.Free(id)
}

// expire ends what is due.
func (w *waits) expire(now tcp.Time) {
	for range waitsPerTurn {
		if w.head == 0 || w.at(w.head).tw.Until > now {
			return
		}
		w.drop(w.head)
	}
}

func (w *waits) next() tcp.Time {
	if w.head == 0 {
		return tcp.Never
	}
	return w.at(w.head).tw.Until
}

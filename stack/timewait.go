package stack

import "github.com/mpxd/mpxd/tcp"

// waits are the flows in TIME-WAIT, in the order in which they end: all wait
// equally long, so who begins (again) goes to the tail. There may be more of
// them than of anything else, so an entry is 64 bytes, and nothing is added to
// it: its hash follows from its tuple, and free entries are linked through next.
type waits struct {
	index
	hash       func(*tcp.Tuple) uint32
	entries    array[wait]
	max        int // entries at once
	head, tail uint32
	free       uint32
	top        uint32 // entries up to here have been used
}

type wait struct {
	tuple      tcp.Tuple
	tw         tcp.TimeWait
	next, prev uint32
}

// waitsPerTurn bounds how many end in a turn.
const waitsPerTurn = 256

func (w *waits) at(id uint32) *wait { return w.entries.at(id) }

func (w *waits) lookup(t *tcp.Tuple, hash uint32) uint32 {
	return w.find(hash, func(id uint32) bool { return w.at(id).tuple == *t })
}

// enter remembers a flow. When the table is full the oldest gives way: its
// peer has most probably stopped repeating itself. It reports whether one had to.
func (w *waits) enter(t *tcp.Tuple, hash uint32, tw tcp.TimeWait) (evicted bool) {
	if evicted = w.live >= w.max; evicted {
		w.drop(w.head)
	}
	id := w.free
	if id != 0 {
		w.free = w.at(id).next
	} else {
		w.top++ // 0 is no entry
		id = w.top
	}
	e := w.at(id)
	e.tuple, e.tw = *t, tw
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
	e := w.at(id)
	w.unlink(id)
	w.remove(w.hash(&e.tuple), id)
	*e = wait{next: w.free}
	w.free = id
}

// expire ends what is due.
func (w *waits) expire(now tcp.Time) {
	for range waitsPerTurn {
		if w.head == 0 || w.at(w.head).tw.Left(now) > 0 {
			return
		}
		w.drop(w.head)
	}
}

func (w *waits) next(now tcp.Time) tcp.Time {
	if w.head == 0 {
		return tcp.Never
	}
	return now + w.at(w.head).tw.Left(now)
}

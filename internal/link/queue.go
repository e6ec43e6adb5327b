package link

// Queue holds what will happen, ordered by time, and by the order of Push among
// equal times. It is bounded. It has one owner.
type Queue[T any] struct {
	heap []event[T]
	seq  uint64
	max  int
}

type event[T any] struct {
	at   int64
	seq  uint64
	item T
}

func (a *event[T]) before(b *event[T]) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// NewQueue makes a queue for at most max items.
func NewQueue[T any](max int) *Queue[T] { return &Queue[T]{max: max} }

// Len is the number of items held.
func (q *Queue[T]) Len() int { return len(q.heap) }

// Push adds an item that is due at the time at; false if the queue is full.
func (q *Queue[T]) Push(at int64, item T) bool {
	if len(q.heap) >= q.max {
		return false
	}
	q.heap = append(q.heap, event[T]{at, q.seq, item})
	q.seq++
	q.rise(len(q.heap) - 1)
	return true
}

// Next is when the first item is due; false if there is none.
func (q *Queue[T]) Next() (at int64, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].at, true
}

// Pop takes the first item if it is due at the time now.
func (q *Queue[T]) Pop(now int64) (item T, ok bool) {
	if len(q.heap) == 0 || q.heap[0].at > now {
		return item, false
	}
	item = q.heap[0].item
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = event[T]{} // hold nothing back from the garbage collector
	q.heap = q.heap[:last]
	q.sink(0)
	return item, true
}

func (q *Queue[T]) rise(i int) {
	h := q.heap
	for i > 0 {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *Queue[T]) sink(i int) {
	h := q.heap
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if r := least + 1; r < len(h) && h[r].before(&h[least]) {
			least = r
		}
		if !h[least].before(&h[i]) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// fifo holds the times at which queued frames leave, oldest first.
type fifo struct {
	ring []int64
	head int
	n    int
}

func newFIFO(n int) fifo {
	if n <= 0 {
		return fifo{}
	}
	return fifo{ring: make([]int64, n)}
}

func (f *fifo) push(t int64) {
	f.ring[(f.head+f.n)%len(f.ring)] = t
	f.n++
}

// expire forgets the frames that have left by now and returns how many are
// still there.
func (f *fifo) expire(now int64) int {
	for f.n > 0 && f.ring[f.head] <= now {
		f.head = (f.head + 1) % len(f.ring)
		f.n--
	}
	return f.n
}

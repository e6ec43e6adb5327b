package mptcp

// queue is a FIFO of handles in a ring that doubles when full. Who puts a
// handle in marks its owner, so that none stands in it twice: the population
// bounds it.
type queue struct {
	ring []uint64
	head int
	n    int
}

func (q *queue) push(h uint64) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = h
	q.n++
}

func (q *queue) grow() {
	ring := make([]uint64, max(64, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}

func (q *queue) pop() (uint64, bool) {
	if q.n == 0 {
		return 0, false
	}
	h := q.ring[q.head]
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return h, true
}

//go:build linux

package xdp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ring is our side of a ring that two parties share without a lock: one
// produces entries, the other consumes them. Both indexes run freely over
// 2^32; their difference is the number of entries between them. An index is
// published by an atomic store and read by an atomic load (acquire and
// release), so entries are visible before the index that announces them.
//
// We produce into the fill and TX rings and consume the completion and RX
// rings. An entry in shared memory is read once, into a local.
type ring[T any] struct {
	producer, consumer, flags *atomic.Uint32
	entries                   []T // a power of two long
	mask                      uint32

	own  uint32 // our index: nobody else writes it
	seen uint32 // the producer's index when we last looked (consuming rings only)

	mapping []byte // what to unmap, nil for a ring in plain memory
}

// size is the number of entries.
func (r *ring[T]) size() uint32 { return uint32(len(r.entries)) }

// Consuming side.

// ready is how many entries wait for us. The producer's cache line is touched
// only when all that was seen is used up.
func (r *ring[T]) ready() uint32 {
	if r.seen == r.own {
		r.seen = r.producer.Load()
	}
	// More than the ring holds is nonsense from the other side; the bound
	// keeps us from reading an entry twice.
	return min(r.seen-r.own, r.size())
}

// look is ready with a fresh look at the producer.
func (r *ring[T]) look() uint32 {
	r.seen = r.producer.Load()
	return min(r.seen-r.own, r.size())
}

// at copies the i-th waiting entry.
func (r *ring[T]) at(i uint32) T { return r.entries[(r.own+i)&r.mask] }

// release gives the first n waiting entries back to the producer.
func (r *ring[T]) release(n uint32) {
	r.own += n
	r.consumer.Store(r.own)
}

// Producing side.

// put writes the i-th entry after those submitted. The caller knows that
// there is room: it bounds what it has outstanding by the ring's size.
func (r *ring[T]) put(i uint32, v T) { r.entries[(r.own+i)&r.mask] = v }

// submit publishes the first n entries put.
func (r *ring[T]) submit(n uint32) {
	r.own += n
	r.producer.Store(r.own)
}

// pending is how many submitted entries the consumer has not taken yet.
func (r *ring[T]) pending() uint32 { return min(r.own-r.consumer.Load(), r.size()) }

// needWakeup reports whether the kernel looks at the ring only after a system
// call.
func (r *ring[T]) needWakeup() bool { return r.flags.Load()&unix.XDP_RING_NEED_WAKEUP != 0 }

// unmap ends the ring. A mapping that stays keeps the socket, and so the
// queue, busy until the process ends.
func (r *ring[T]) unmap() error {
	if r.mapping == nil {
		return nil
	}
	m := r.mapping
	*r = ring[T]{}
	return unix.Munmap(m)
}

//go:build linux

package main

import (
	"encoding/binary"
	"sync/atomic"
)

// ring carries records of bytes from one goroutine to another without a lock
// and without waiting: what does not fit is not put. A record is stored in one
// piece behind its length, aligned to 8 bytes; one that would not fit before
// the end of the memory begins at its start again.
type ring struct {
	mem  []byte
	head atomic.Uint64 // written by put's side: bytes ever put
	tail atomic.Uint64 // written by take's side: bytes ever taken
	next uint64        // head after commit
}

// wrapped in place of a length: the record is at the start of the memory.
const wrapped = 1<<32 - 1

// newRing makes a ring of size bytes, a power of two.
func newRing(size int) *ring { return &ring{mem: make([]byte, size)} }

// reserve returns n bytes to write a record into, or nil if there is no room.
// commit hands it over.
func (r *ring) reserve(n int) []byte {
	head, size := r.head.Load(), uint64(len(r.mem))
	need := uint64(8+n+7) &^ 7
	at := head & (size - 1)
	skip := uint64(0)
	if size-at < need {
		skip = size - at
	}
	if head+skip+need-r.tail.Load() > size {
		return nil
	}
	if skip > 0 {
		binary.LittleEndian.PutUint32(r.mem[at:], wrapped)
		at = 0
	}
	binary.LittleEndian.PutUint32(r.mem[at:], uint32(n))
	r.next = head + skip + need
	return r.mem[at+8 : at+8+uint64(n)]
}

func (r *ring) commit() { r.head.Store(r.next) }

// take calls f with every record there is. f must not keep it.
func (r *ring) take(f func([]byte)) {
	head, size := r.head.Load(), uint64(len(r.mem))
	for tail := r.tail.Load(); tail != head; r.tail.Store(tail) {
		at := tail & (size - 1)
		n := uint64(binary.LittleEndian.Uint32(r.mem[at:]))
		if n == wrapped {
			tail += size - at
			continue
		}
		f(r.mem[at+8 : at+8+n])
		tail += (8 + n + 7) &^ 7
	}
}

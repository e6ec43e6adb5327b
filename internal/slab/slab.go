// Package slab keeps large populations of small pointer-free values that are
// called by number. A slab grows in fixed chunks that never move, and never
// shrinks: the garbage collector sees a few large objects without pointers,
// however many values live in them.
package slab

// chunkShift makes a chunk 1,024 values: a small host pays little, a large one
// has few chunks.
const chunkShift = 10

const chunkMask = 1<<chunkShift - 1

// Slab holds values of T, called by index. Index 0 is never given out, so that
// 0 can mean none. Its owner is one shard; it is not safe for concurrent use.
// The zero value is ready, and unbounded unless Max is set.
type Slab[T any] struct {
	// Max bounds the number of live values; 0 means no bound.
	Max int

	chunks []*[1 << chunkShift]cell[T]
	free   uint32 // head of the list of free cells, linked through next
	top    uint32 // indices from here on were never used
	live   int
}

type cell[T any] struct {
	gen  uint32 // odd while live
	next uint32
	val  T
}

// Alloc takes a zeroed value; false when Max are live.
func (s *Slab[T]) Alloc() (uint32, *T, bool) {
	if s.Max > 0 && s.live >= s.Max {
		return 0, nil, false
	}
	i := s.free
	if i == 0 {
		if s.top == 0 {
			s.top = 1
		}
		i = s.top
		if int(i>>chunkShift) == len(s.chunks) {
			s.chunks = append(s.chunks, new([1 << chunkShift]cell[T]))
		}
		s.top++
	}
	c := s.cell(i)
	if i == s.free {
		s.free = c.next
	}
	c.gen++
	var zero T
	c.val = zero
	s.live++
	return i, &c.val, true
}

func (s *Slab[T]) cell(i uint32) *cell[T] {
	return &s.chunks[i>>chunkShift][i&chunkMask]
}

// At is the live value at index i. The pointer must not survive the call that
// looked it up: the value may be freed and given out again.
func (s *Slab[T]) At(i uint32) *T { return &s.cell(i).val }

// Free gives the value back. Freeing twice panics.
func (s *Slab[T]) Free(i uint32) {
	c := s.cell(i)
	if c.gen&1 == 0 {
		panic("slab: value freed twice")
	}
	c.gen++
	c.next = s.free
	s.free = i
	s.live--
}

// Handle is index and generation in one number: it stops being valid when the
// value is freed, also if the index is given out again. 0 is never valid.
func (s *Slab[T]) Handle(i uint32) uint64 { return uint64(s.cell(i).gen)<<32 | uint64(i) }

// Get is the value behind a handle, or nil if it was freed meanwhile.
func (s *Slab[T]) Get(h uint64) *T {
	i := uint32(h)
	if i == 0 || int(i>>chunkShift) >= len(s.chunks) {
		return nil
	}
	c := s.cell(i)
	if c.gen != uint32(h>>32) || c.gen&1 == 0 {
		return nil
	}
	return &c.val
}

// Top is beyond the last index that was ever given out.
func (s *Slab[T]) Top() uint32 { return s.top }

// Live is how many values are live, Cap how many cells exist.
func (s *Slab[T]) Live() int { return s.live }
func (s *Slab[T]) Cap() int  { return len(s.chunks) << chunkShift }

// Each calls f for every live value until it reports false. f may free the
// value it is called with.
func (s *Slab[T]) Each(f func(i uint32, v *T) bool) {
	for i := uint32(1); i < s.top; i++ {
		if c := s.cell(i); c.gen&1 == 1 && !f(i, &c.val) {
			return
		}
	}
}

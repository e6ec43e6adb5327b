package stack

// array is a growing array of pointer-free values beside a slab of another
// layer, called by the same index. Its chunks never move.
type array[T any] struct{ chunks []*[arrayChunk]T }

const arrayChunk = 1024

// at is the value at index i; what was never written is zero.
func (a *array[T]) at(i uint32) *T {
	for int(i/arrayChunk) >= len(a.chunks) {
		a.chunks = append(a.chunks, new([arrayChunk]T))
	}
	return &a.chunks[i/arrayChunk][i%arrayChunk]
}

package lab

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"sync"
)

// A pattern is an endless stream of bytes that a seed determines: one random
// block repeated, from a place that depends on the seed. The block's length is a
// prime, so that bytes lost, doubled or moved are noticed, whatever power of two
// went wrong. Nothing is computed and nothing copied: peers of a test share their
// processors with what is tested.
type pattern struct{ off int }

// patternBlock is the length of the block in bytes.
const patternBlock = 1<<20 + 7

var patternBase = sync.OnceValue(func() []byte {
	b := make([]byte, patternBlock)
	rand.NewChaCha8([32]byte([]byte("the bytes every origin serves..."))).Read(b)
	return b
})

func newPattern(seed uint64) pattern {
	// SplitMix64: neighbouring seeds begin far from each other.
	z := seed + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return pattern{int((z ^ z>>31) % patternBlock)}
}

// next returns the next bytes of the stream, at least one and at most n, and moves
// on. They are not to be changed.
func (p *pattern) next(n int) []byte {
	b := patternBase()[p.off:]
	b = b[:min(n, len(b))]
	p.off = (p.off + len(b)) % patternBlock
	return b
}

// check compares b with the next bytes of the stream and returns the first
// index that differs, or -1.
func (p *pattern) check(b []byte) int {
	for i := 0; i < len(b); {
		want := p.next(len(b) - i)
		got := b[i : i+len(want)]
		if !bytes.Equal(got, want) {
			for j := range want {
				if got[j] != want[j] {
					return i + j
				}
			}
		}
		i += len(want)
	}
	return -1
}

// patternSum is the SHA-256 of the first n bytes of a seed's stream.
func patternSum(seed uint64, n int64) (sum [sha256.Size]byte) {
	h := sha256.New()
	p := newPattern(seed)
	for n > 0 {
		b := p.next(int(min(n, chunk)))
		h.Write(b)
		n -= int64(len(b))
	}
	h.Sum(sum[:0])
	return sum
}

package lab

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

// take returns the next n bytes of the stream as a copy.
func (p *pattern) take(n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		b = append(b, p.next(n-len(b))...)
	}
	return b
}

func TestPatternIsOneStream(t *testing.T) {
	const n = 3*patternBlock + 12345
	p := newPattern(9)
	whole := p.take(n)

	r := rand.New(rand.NewPCG(1, 2))
	p = newPattern(9)
	pieces := make([]byte, 0, n)
	for len(pieces) < n {
		pieces = append(pieces, p.take(min(n-len(pieces), r.IntN(70_000)))...)
	}
	if !bytes.Equal(whole, pieces) {
		t.Error("pieces of the stream are not the stream")
	}
	if patternSum(9, n) != sha256.Sum256(whole) {
		t.Error("patternSum is not the sum of the stream")
	}
	other := newPattern(10)
	if bytes.Equal(whole[:64], other.take(64)) {
		t.Error("two seeds have one stream")
	}
}

func TestPatternCheckFindsTheFirstDifference(t *testing.T) {
	for _, bad := range []int{-1, 0, 7, 8, 99_999, 199_999} {
		p := newPattern(4)
		b := p.take(200_000)
		if bad >= 0 {
			b[bad] ^= 1
		}
		p = newPattern(4)
		if got := p.check(b); got != bad {
			t.Errorf("difference at %d found at %d", bad, got)
		}
	}
	// Blocks of every power of two that are lost as a whole are noticed too.
	for shift := range 33 {
		p := newPattern(4)
		p.off = (p.off + 1<<shift) % patternBlock
		b := p.take(1000)
		p = newPattern(4)
		if got := p.check(b); got < 0 || got > 8 {
			t.Errorf("%d lost bytes are noticed at %d", 1<<shift, got)
		}
	}
}

func BenchmarkSink(b *testing.B) {
	s := newSink(1, true)
	p := newPattern(1)
	const size = 64 << 10
	b.SetBytes(size)
	for b.Loop() {
		for n := 0; n < size; {
			part := p.next(size - n)
			if _, err := s.read(bytes.NewReader(part)); err != nil {
				b.Fatal(err)
			}
			n += len(part)
		}
	}
	if s.diff != -1 {
		b.Error("differs")
	}
}

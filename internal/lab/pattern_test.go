package lab

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

func TestPatternIsOneStream(t *testing.T) {
	const n = 3*patternBlock + 12345
	whole := make([]byte, n)
	(&pattern{seed: 9}).fill(whole)

	r := rand.New(rand.NewPCG(1, 2))
	p := pattern{seed: 9}
	pieces := make([]byte, 0, n)
	for len(pieces) < n {
		b := make([]byte, min(n-len(pieces), r.IntN(70_000)))
		p.fill(b)
		pieces = append(pieces, b...)
	}
	if !bytes.Equal(whole, pieces) {
		t.Error("pieces of the stream are not the stream")
	}
	if patternSum(9, n) != sha256.Sum256(whole) {
		t.Error("patternSum is not the sum of the stream")
	}
	// No block is another's copy, and no seed another's.
	other := make([]byte, patternBlock)
	(&pattern{seed: 10}).fill(other)
	for i := range 3 {
		a := whole[i*patternBlock:][:patternBlock]
		for j := range 8 {
			if bytes.Equal(a[j:j+64], whole[(i+1)*patternBlock%n:][j:j+64]) && i < 2 || bytes.Equal(a[j:j+64], other[j:j+64]) {
				t.Errorf("block %d repeats", i)
			}
		}
	}
}

func TestPatternCheckFindsTheFirstDifference(t *testing.T) {
	b := make([]byte, 200_000)
	for _, bad := range []int{-1, 0, 7, 8, 99_999, 199_999} {
		(&pattern{seed: 4}).fill(b)
		if bad >= 0 {
			b[bad] ^= 1
		}
		if got := (&pattern{seed: 4}).check(b, make([]byte, 1000)); got != bad {
			t.Errorf("difference at %d found at %d", bad, got)
		}
	}
	// A block lost as a whole is noticed too.
	p := pattern{seed: 4, off: patternBlock}
	p.fill(b)
	if got := (&pattern{seed: 4}).check(b, make([]byte, 1000)); got < 0 || got > 8 {
		t.Errorf("a lost block is noticed at %d", got)
	}
}

func BenchmarkPattern(b *testing.B) {
	buf := make([]byte, 64<<10)
	b.Run("fill", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for p := (pattern{}); b.Loop(); {
			p.fill(buf)
		}
	})
	b.Run("sink", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		s := newSink(1, true)
		p := pattern{seed: 1}
		for b.Loop() {
			p.fill(buf)
			if _, err := s.read(bytes.NewReader(buf)); err != nil {
				b.Fatal(err)
			}
		}
		if s.diff != -1 {
			b.Error("differs")
		}
	})
}

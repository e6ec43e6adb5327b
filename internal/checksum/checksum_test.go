package checksum

import (
	"math/rand/v2"
	"testing"
)

// plain is RFC 1071 word by word.
func plain(b []byte) uint16 {
	var s uint32
	for i, v := range b {
		if i&1 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// same: 0 and 0xffff are the same number in ones-complement arithmetic.
func same(a, b uint16) bool { return a == b || a^b == 0xffff && (a == 0 || b == 0) }

func TestSumAgainstPlainLoop(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 400 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
			if n%3 == 0 {
				b[i] = 0xff
			}
		}
		if got, want := Sum(b), plain(b); !same(got, want) {
			t.Fatalf("%d bytes: %#04x, want %#04x", n, got, want)
		}
		cut := 0
		if n > 0 {
			cut = r.IntN(n)
		}
		head, tail := Sum(b[:cut]), Sum(b[cut:])
		if got := Append(head, cut, tail); !same(got, plain(b)) {
			t.Fatalf("%d bytes cut at %d: %#04x, want %#04x", n, cut, got, plain(b))
		}
		if cut&1 == 0 {
			if got := Sub(Sum(b), head); !same(got, tail) {
				t.Fatalf("%d bytes less %d: %#04x, want %#04x", n, cut, got, tail)
			}
		}
		dst := make([]byte, n)
		if got := Copy(dst, b); !same(got, plain(b)) || string(dst) != string(b) {
			t.Fatalf("copy of %d bytes", n)
		}
	}
}

// The figures of RFC 1071, section 3.
func TestRFC1071Example(t *testing.T) {
	if got := Sum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != 0xddf2 {
		t.Fatalf("%#04x, want 0xddf2", got)
	}
}

func TestPseudo(t *testing.T) {
	src, dst := []byte{192, 0, 2, 1}, []byte{198, 51, 100, 2}
	want := plain(append(append([]byte{}, append(src, dst...)...), 0, 6, 0, 20))
	if got := Pseudo(src, dst, 6, 20); got != want {
		t.Fatalf("%#04x, want %#04x", got, want)
	}
}

func BenchmarkSum1448(b *testing.B) {
	buf := make([]byte, 1448)
	b.SetBytes(1448)
	for b.Loop() {
		Sum(buf)
	}
}

func BenchmarkCopy1448(b *testing.B) {
	src, dst := make([]byte, 1448), make([]byte, 1448)
	b.SetBytes(1448)
	for b.Loop() {
		Copy(dst, src)
	}
}

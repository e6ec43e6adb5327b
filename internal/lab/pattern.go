package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// A pattern is an endless stream of bytes that a seed determines: a random
// block repeated, each time XORed with another random word, so that bytes lost,
// doubled or moved anywhere are noticed. It costs a tenth of a nanosecond per
// byte.
type pattern struct {
	seed uint64
	off  int64
}

// patternBlock is the size of the repeated block in bytes; a power of two.
const patternBlock = 1 << 20

// patternBase is shared by all patterns, so that a short one costs nothing to
// begin.
var patternBase = sync.OnceValue(func() []byte {
	b := make([]byte, patternBlock)
	rand.NewChaCha8([32]byte([]byte("the bytes every origin serves..."))).Read(b)
	return b
})

// fill writes the next len(b) bytes of the stream.
func (p *pattern) fill(b []byte) {
	base := patternBase()
	for len(b) > 0 {
		at := int(p.off % patternBlock)
		n := min(len(b), patternBlock-at)
		xorWord(b[:n], base[at:at+n], p.key(), at)
		b = b[n:]
		p.off += int64(n)
	}
}

// key is the word of the current repetition: SplitMix64 of seed and number.
func (p *pattern) key() uint64 {
	z := p.seed + uint64(p.off/patternBlock+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// xorWord sets dst to src XOR the word key repeated; at is the offset of src in
// its block, which says where in key it begins.
func xorWord(dst, src []byte, key uint64, at int) {
	key = key>>(8*(at&7)) | key<<(64-8*(at&7))
	for len(src) >= 8 && len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^key)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key>>(8*i))
	}
}

// check compares b with the next bytes of the stream and returns the first
// index that differs, or -1. scratch must not be empty.
func (p *pattern) check(b, scratch []byte) int {
	for i := 0; i < len(b); {
		n := min(len(b)-i, len(scratch))
		p.fill(scratch[:n])
		if !bytes.Equal(b[i:i+n], scratch[:n]) {
			for j := range n {
				if b[i+j] != scratch[j] {
					return i + j
				}
			}
		}
		i += n
	}
	return -1
}

// patternSum is the SHA-256 of the first n bytes of a seed's stream.
func patternSum(seed uint64, n int64) (sum [sha256.Size]byte) {
	h := sha256.New()
	p := pattern{seed: seed}
	buf := make([]byte, 64<<10)
	for n > 0 {
		b := buf[:min(n, int64(len(buf)))]
		p.fill(b)
		h.Write(b)
		n -= int64(len(b))
	}
	h.Sum(sum[:0])
	return sum
}

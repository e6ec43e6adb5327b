// Package checksum is the only place that adds 16-bit words (RFC 1071).
//
// A sum here is the folded, not complemented, ones-complement sum of bytes
// read as big-endian 16-bit words; an odd last byte is padded with a zero.
// Sums of pieces are added; a piece that starts at an odd offset of the whole
// is swapped first. The field in a header is the complement of a sum.
package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds up b.
func Sum(b []byte) uint16 {
	// The ones-complement sum does not depend on the byte order it is taken
	// in (RFC 1071, section 2 (B)): add 64-bit words as they lie in memory,
	// fold, and swap once at the end.
	var s, c uint64
	for len(b) >= 64 {
		p := b[:64:64]
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[0:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[24:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[32:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[40:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[48:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(p[56:]), c)
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var last uint64
	if len(b) >= 4 {
		last = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	var tail uint64
	for i, v := range b {
		tail |= uint64(v) << (8 * i)
	}
	s, c = bits.Add64(s, last, c)
	s, c = bits.Add64(s, tail, c)
	s, c = bits.Add64(s, 0, c)
	s += c
	return bits.ReverseBytes16(fold(s))
}

func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}

// Copy copies src to dst, which must be as long, and returns its sum: memory
// is read once.
func Copy(dst, src []byte) uint16 {
	// The copied bytes are hot in the cache: a second pass over them is
	// cheaper than a loop in Go that stores and adds word by word.
	copy(dst, src)
	return Sum(dst[:len(src)])
}

// Add adds two sums.
func Add(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s + s>>16)
}

// Sub takes b, the sum of a part, away from a.
func Sub(a, b uint16) uint16 { return Add(a, ^b) }

// Swap turns the sum of a piece into its share of a whole in which the piece
// starts at an odd offset.
func Swap(s uint16) uint16 { return bits.ReverseBytes16(s) }

// Append adds the sum of a piece that follows n bytes.
func Append(s uint16, n int, piece uint16) uint16 {
	if n&1 != 0 {
		piece = Swap(piece)
	}
	return Add(s, piece)
}

// Pseudo is the sum of the pseudo-header of RFC 9293, section 3.1 (IPv4), and
// RFC 8200, section 8.1 (IPv6): src and dst are 4 or 16 bytes each, n is the
// length of the transport header and payload.
func Pseudo(src, dst []byte, proto uint8, n int) uint16 {
	s := Add(Sum(src), Sum(dst))
	s = Add(s, uint16(proto))
	return Add(Add(s, uint16(n>>16)), uint16(n))
}

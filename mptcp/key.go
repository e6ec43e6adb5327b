package mptcp

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"

	"github.com/mpxd/mpxd/tcp"
)

// maxMessage is the longest message that is authenticated: an ADD_ADDR with
// an IPv6 address.
const maxMessage = 1 + 16 + 2

// block is that of both hashes.
const block = 64

// hmac256 is HMAC-SHA256 (RFC 2104) with the two keys as its key, by two sums
// over the stack: crypto/hmac allocates.
func hmac256(first, second uint64, msg []byte) [32]byte {
	var inner [block + maxMessage]byte
	var outer [block + sha256.Size]byte
	pads((*[block]byte)(inner[:]), (*[block]byte)(outer[:]), first, second)
	n := block + copy(inner[block:], msg)
	h := sha256.Sum256(inner[:n])
	copy(outer[block:], h[:])
	return sha256.Sum256(outer[:])
}

// hmac160 is HMAC-SHA1 alike, followed by zeros.
func hmac160(first, second uint64, msg []byte) (out [32]byte) {
	var inner [block + maxMessage]byte
	var outer [block + sha1.Size]byte
	pads((*[block]byte)(inner[:]), (*[block]byte)(outer[:]), first, second)
	n := block + copy(inner[block:], msg)
	h := sha1.Sum(inner[:n])
	copy(outer[block:], h[:])
	h = sha1.Sum(outer[:])
	copy(out[:], h[:])
	return out
}

// pads are the keys, padded, under the masks of RFC 2104, 2.
func pads(inner, outer *[block]byte, first, second uint64) {
	binary.BigEndian.PutUint64(inner[:], first)
	binary.BigEndian.PutUint64(inner[8:], second)
	*outer = *inner
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
}

// joinMAC is what the sender of an MP_JOIN proves itself with: keys and
// nonces, its own first (RFC 8684, 3.2; RFC 6824, 3.2). A SYN-ACK has the
// leftmost 64 bits, a third ACK the leftmost 160: all that SHA-1 has.
func (p profile) joinMAC(sender, receiver uint64, own, peer uint32) [32]byte {
	var msg [8]byte
	binary.BigEndian.PutUint32(msg[:], own)
	binary.BigEndian.PutUint32(msg[4:], peer)
	return p.mac(sender, receiver, msg[:])
}

// addrMAC authenticates an ADD_ADDR of version 1: the rightmost 64 bits, over id, address
// and port, which counts as 0 when it is absent (RFC 8684, 3.4.1).
func (p profile) addrMAC(sender, receiver uint64, a *addrOption) uint64 {
	var msg [maxMessage]byte
	msg[0] = a.id
	n := 1 + copy(msg[1:], a.addr.Bytes())
	binary.BigEndian.PutUint16(msg[n:], a.port)
	h := p.mac(sender, receiver, msg[:n+2])
	return binary.BigEndian.Uint64(h[24:])
}

// keyDraws bounds the search for a key whose token is ours: with n shards it
// takes n draws on average, and 256 shards miss 16 times that with e^-16.
const keyDraws = 4096

// draw takes a random key whose token is not zero, not in use and ours
// (RFC 8684, 3.1: "MUST be ... unique"). False: none was found.
func (s *Set) draw(e *tcp.Env, p profile) (key uint64, token uint32, idsn uint64, ok bool) {
	for range keyDraws {
		key = e.Rand.Uint64()
		token, idsn = p.digest(key)
		if s.available(token) {
			return key, token, idsn, true
		}
	}
	return 0, 0, 0, false
}

// available reports whether a token is free and ours.
func (s *Set) available(token uint32) bool {
	return token != 0 && s.tokens.get(token) == 0 && (s.conf.OwnsToken == nil || s.conf.OwnsToken(token))
}

package mptcp

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/mpxd/mpxd/tcp"
)

// digest256: the token is the first 32 bits of SHA-256 of the key in network
// order, the IDSN the last 64.
func digest256(key uint64) (token uint32, idsn uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], key)
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(h[:]), binary.BigEndian.Uint64(h[24:])
}

// maxMessage is the longest message that is authenticated: an ADD_ADDR with
// an IPv6 address.
const maxMessage = 1 + 16 + 2

// hmac256 is HMAC-SHA256 (RFC 2104) with the two keys as its key, by two sums
// over the stack: crypto/hmac allocates.
func hmac256(first, second uint64, msg []byte) [32]byte {
	var inner [64 + maxMessage]byte
	var outer [64 + 32]byte
	binary.BigEndian.PutUint64(inner[:], first)
	binary.BigEndian.PutUint64(inner[8:], second)
	copy(outer[:16], inner[:16])
	for i := range 64 {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	n := 64 + copy(inner[64:], msg)
	h := sha256.Sum256(inner[:n])
	copy(outer[64:], h[:])
	return sha256.Sum256(outer[:])
}

// joinMAC is what the sender of an MP_JOIN proves itself with: keys and
// nonces, its own first (RFC 8684, 3.2).
func (p profile) joinMAC(sender, receiver uint64, own, peer uint32) [32]byte {
	var msg [8]byte
	binary.BigEndian.PutUint32(msg[:], own)
	binary.BigEndian.PutUint32(msg[4:], peer)
	return p.mac(sender, receiver, msg[:])
}

// addrMAC authenticates an ADD_ADDR: the rightmost 64 bits, over id, address
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
		if token != 0 && s.tokens.get(token) == 0 && (s.conf.OwnsToken == nil || s.conf.OwnsToken(token)) {
			return key, token, idsn, true
		}
	}
	return 0, 0, 0, false
}

package mptcp

import (
	"crypto/sha1" // of RFC 6824; a weakness in collisions breaks no HMAC
	"crypto/sha256"
	"encoding/binary"
)

// profile is the version of MPTCP that a connection speaks, and what differs
// between the two: the hash, where the handshake's keys stand, the forms of
// ADD_ADDR and MP_PRIO, and which options there are at all. It is chosen by version and length of
// the MP_CAPABLE in the SYN; MP_JOIN has no version, its connection has one.
//
//	                 v0 (RFC 6824)              v1 (RFC 8684)
//	SYN              12 bytes, key              4 bytes
//	SYN-ACK          12 bytes, key              12 bytes, key
//	third ACK        20 bytes, sent once        20 bytes, until a DSS comes
//	first data       DSS                        MP_CAPABLE of 22 or 24 bytes
//	hash and HMAC    SHA-1                      SHA-256
//	ADD_ADDR         bare                       HMAC and echo
//	MP_PRIO          of this subflow or an id   of this subflow
//	MP_TCPRST        -                          on RSTs
//	MP_FASTCLOSE     on an ACK                  on RSTs
type profile uint8

const (
	v0 profile = 0 // RFC 6824
	v1 profile = 1 // RFC 8684
)

// chosen is the profile to answer a SYN's MP_CAPABLE with; false: the option
// is ignored and the connection is plain TCP.
//
//	(1, 4)    RFC 8684
//	(>1, 4)   a later version: we answer with ours (RFC 8684, 3.1)
//	(0, 12)   RFC 6824
//	(1, 12)   the unpublished one of mptcp.org 0.9x, which is neither
//
// B is an extension we do not know; without H there is no algorithm
// (RFC 8684, 3.1; RFC 6824, 3.1).
func chosen(o *capableOption) (profile, bool) {
	if o.flags&capExtension != 0 || o.flags&capHMAC == 0 {
		return 0, false
	}
	switch {
	case o.version >= 1 && o.size == 4:
		return v1, true
	case o.version == 0 && o.size == 12:
		return v0, true
	}
	return 0, false
}

// mute reports whether a SYN is to get no answer at all: B in version 0, whose
// sender then tries without ("this SYN MUST be silently ignored", RFC 6824, 3.1).
func mute(o *capableOption) bool {
	return o.version == 0 && o.size == 12 && o.flags&capExtension != 0
}

// digest yields the token and the initial data sequence number of a key, which
// is hashed in network order: the first 32 and the last 64 bits of the hash
// (RFC 8684, 3.1 and 3.2; RFC 6824, 3.1 and 3.2).
func (p profile) digest(key uint64) (token uint32, idsn uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], key)
	if p == v0 {
		h := sha1.Sum(b[:])
		return binary.BigEndian.Uint32(h[:]), binary.BigEndian.Uint64(h[12:])
	}
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(h[:]), binary.BigEndian.Uint64(h[24:])
}

// mac authenticates msg with the keys of its sender and its receiver. Of
// version 0 it has 20 bytes.
func (p profile) mac(sender, receiver uint64, msg []byte) [32]byte {
	if p == v0 {
		return hmac160(sender, receiver, msg)
	}
	return hmac256(sender, receiver, msg)
}

// signs reports whether ADD_ADDR is authenticated and echoed.
func (p profile) signs() bool { return p != v0 }

// explains reports whether RSTs say why in an MP_TCPRST.
func (p profile) explains() bool { return p != v0 }

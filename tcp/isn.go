package tcp

import (
	"crypto/sha256"
	"encoding/binary"
)

// What a keyed hash of a tuple is for: the hashes must not tell of each other.
const (
	forISN = iota
	forTimestamp
	forPort
)

// ISN is the initial sequence number of a flow: a clock that ticks every 4 us
// plus a keyed hash of the tuple (RFC 6528, 3).
func ISN(e *Env, t *Tuple) Seq {
	return Seq(uint32(e.Now/(4*Microsecond)) + keyed(e, t, forISN))
}

// TSOffset is the start of a flow's timestamp clock, so that timestamps tell
// nothing of other flows or of uptime (RFC 7323, 7.1).
func TSOffset(e *Env, t *Tuple) uint32 { return keyed(e, t, forTimestamp) }

// PortOffset is where the search for an ephemeral port begins: a keyed hash of
// the destination (RFC 6056, 3.3.3). t.LocalPort must be 0.
func PortOffset(e *Env, t *Tuple) uint32 { return keyed(e, t, forPort) }

func keyed(e *Env, t *Tuple, use byte) uint32 {
	var b [32 + 16 + 16 + 2 + 2 + 1]byte
	copy(b[:], e.Conf.Secret[:])
	copy(b[32:], t.Local[:])
	copy(b[48:], t.Remote[:])
	binary.BigEndian.PutUint16(b[64:], t.LocalPort)
	binary.BigEndian.PutUint16(b[66:], t.RemotePort)
	b[68] = use
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(h[:])
}

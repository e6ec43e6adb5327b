package mptcp

// before and after compare data sequence numbers less than 2^63 apart.
func before(a, b uint64) bool { return int64(a-b) < 0 }
func after(a, b uint64) bool  { return int64(a-b) > 0 }

// expand turns the low 32 bits of a data sequence number into the number
// nearest to ref (RFC 8684, 3.3.1).
func expand(ref uint64, low uint32) uint64 {
	return ref + uint64(int64(int32(low-uint32(ref))))
}

package tcp

// Seq is a sequence number. Comparison is modulo 2^32 (RFC 9293, 3.4).
type Seq uint32

// Before and After compare numbers less than 2^31 apart.
func (s Seq) Before(t Seq) bool { return int32(s-t) < 0 }
func (s Seq) After(t Seq) bool  { return int32(s-t) > 0 }

// Sub is the distance from t up to s, negative if s lies before t.
func (s Seq) Sub(t Seq) int32 { return int32(s - t) }

// In reports whether s lies in [from, from+n).
func (s Seq) In(from Seq, n uint32) bool { return uint32(s-from) < n }

// Package frame names received and sent bytes instead of pointing to them.
//
// A frame is a fixed-size chunk of one contiguous memory (the UMEM of an
// AF_XDP socket, or plain memory in tests). A [Span] is a byte run inside one
// frame. Connections and queues keep Spans, never pointers, so the garbage
// collector does not see them. A [Pool] counts who holds each frame.
package frame

// Headroom is what every payload that is written into a fresh frame leaves
// free in front of it: Ethernet (14), VLAN (4), IPv6 (40) and the longest TCP
// header (60) need 118 bytes. Received payload has more (AF_XDP leaves 256
// bytes and the packet's own headers).
const Headroom = 128

// Flags of a Span.
const (
	// More: the next span continues the same packet (a super-packet arrives as
	// a chain of up to MaxChain spans).
	More uint8 = 1 << iota
	// SumKnown: Sum is valid.
	SumKnown
	// Partial: the packet came over a virtual link with only its
	// pseudo-header summed; nothing vouches for the payload but the link.
	// Set on the first span of a packet.
	Partial
)

// MaxChain bounds a super-packet: 64 KiB in pieces of 3840 bytes is 18.
const MaxChain = 18

// Span is Len bytes at Off of frame Frame. Sum, if SumKnown is set, is the
// folded ones-complement sum of those bytes read as big-endian 16-bit words,
// the first byte being the high one (see internal/checksum).
// A Span is a value: it holds nothing. Holding is counted in the Pool.
type Span struct {
	Frame         uint32
	Off, Len, Sum uint16
	Flags         uint8
}

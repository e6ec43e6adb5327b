package tcp

import "github.com/mpxd/mpxd/internal/frame"

// Flags are the control bits (RFC 9293, 3.1).
type Flags uint8

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Segment is one segment on its way in or out, without ports and checksum.
// It lives on the shard and is reused: nothing of it is kept.
type Segment struct {
	Seq, Ack Seq
	Wnd      uint16 // the field as on the wire, not scaled
	Urg      uint16
	Flags    Flags
	RawLen   uint8
	ECN      ECN    // of the IP header
	Len      uint32 // bytes of payload
	Opts     Options
	// Raw holds whole options (kind, length, value) that tcp does not know:
	// on input those of kind 30 in the order they came, on output what a
	// wrapper adds. RawLen of the bytes are valid.
	Raw [40]byte

	// Input only.

	// Data is the payload: borrowed, one span or the spans of a chain. Spans
	// may be trimmed in place.
	Data []frame.Span
	// NoDup: do not count this ACK as a duplicate (RFC 8684, 3: an ACK with
	// an MPTCP option is no sign of congestion).
	NoDup bool
	// NoRoom: frames are short; treat the payload as if it were beyond the
	// window but process the acknowledgement (it may free frames).
	NoRoom bool

	// Output only.

	// Run names the payload in the send queue; Mark is the mark of its bytes.
	Run  Run
	Mark uint64
	// Again: some of the payload was sent before.
	Again bool
}

// Run is Len bytes of a send queue, from Off in node Node on. It is valid
// until the next call on the Conn it came from.
type Run struct {
	Node uint32
	Off  uint32
	Len  uint32
}

// End is the sequence number after the segment (SYN and FIN take one each).
func (seg *Segment) End() Seq {
	n := seg.Len
	if seg.Flags&SYN != 0 {
		n++
	}
	if seg.Flags&FIN != 0 {
		n++
	}
	return seg.Seq + Seq(n)
}

// Verdict says what Input thought of a segment.
type Verdict uint8

const (
	// Unacceptable: sequence or acknowledgement number were out of bounds,
	// or PAWS dropped it. Nothing but a challenge ACK came of it, and nobody
	// else may act on it either.
	Unacceptable Verdict = iota
	// Acceptable: it passed the checks of RFC 9293, 3.10.7.4 up to the ACK
	// check, though it may bring nothing new.
	Acceptable
)

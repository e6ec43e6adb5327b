package tcp

// Answer says what to do about a segment that met no flow.
type Answer uint8

const (
	// Ignore the segment.
	Ignore Answer = iota
	// Reply with the segment that was written.
	Reply
	// Open a flow for this SYN.
	Open
	// Withhold the reply: the last one was just now.
	Withhold
)

// Listening answers a segment at a port that is listened on (RFC 9293,
// 3.10.7.2: RST, ACK, SYN, the rest). A SYN with FIN is not taken: no stack
// sends one, scanners do, and the FIN could not be obeyed before the handshake.
func Listening(seg, out *Segment) Answer {
	switch {
	case seg.Flags&RST != 0:
		return Ignore
	case seg.Flags&ACK != 0:
		Reset(seg, out)
		return Reply
	case seg.Flags&(SYN|FIN) == SYN:
		return Open
	}
	return Ignore
}

// Reset writes the RST that answers a segment for which no flow exists (RFC
// 9293, 3.10.7.1) into out. It reports false for a segment that must not be
// answered: a RST.
func Reset(seg, out *Segment) bool {
	if seg.Flags&RST != 0 {
		return false
	}
	*out = Segment{Flags: RST}
	if seg.Flags&ACK != 0 {
		out.Seq = seg.Ack
		return true
	}
	out.Flags |= ACK
	out.Ack = seg.End()
	return true
}

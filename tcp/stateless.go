package tcp

// Reset writes the RST that answers a segment for which no flow exists (RFC 9293, 3.10.7.1) into out. It reports
// false for a segment that must not be answered: a RST.
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

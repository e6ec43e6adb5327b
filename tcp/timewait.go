package tcp

// TimeWait is what remains of a flow in TIME-WAIT: it answers retransmitted FINs and says when a new SYN may reuse
// the tuple. At most 64 bytes.
type TimeWait struct {
	SndNxt, RcvNxt Seq
	Wnd            uint16
	HasTS          bool
	TSRecent       uint32
	TSOffset       uint32
	Until          Time
}

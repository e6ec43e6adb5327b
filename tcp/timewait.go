package tcp

// TimeWait is what remains of a flow in TIME-WAIT: it answers retransmitted
// FINs and says when a new SYN may have the tuple. At most 64 bytes.
type TimeWait struct {
	Until          Time
	SndNxt, RcvNxt Seq
	TSRecent       uint32
	TSOffset       uint32 // our timestamp is the clock in ms plus it
	Wnd            uint16 // as it stood in our last segment
	HasTS          bool
}

// TimeWaitAnswer says what to do about a segment that met a TimeWait.
type TimeWaitAnswer uint8

const (
	// Ignore the segment.
	Ignore TimeWaitAnswer = iota
	// Reply with the segment that Input wrote.
	Reply
	// Reuse the tuple for this SYN; the new flow's ISN must lie beyond
	// NextISN.
	Reuse
)

// Input answers seg (RFC 9293, 3.10.7.4, TIME-WAIT). A retransmitted FIN
// restarts the wait; a RST does not end it (RFC 1337, 3).
func (w *TimeWait) Input(e *Env, seg, out *Segment) TimeWaitAnswer {
	if seg.Flags&RST != 0 {
		return Ignore
	}
	old := w.HasTS && seg.Opts.Has&HasTS != 0 && int32(seg.Opts.TSVal-w.TSRecent) < 0
	if seg.Flags&(SYN|ACK) == SYN && w.newer(seg) {
		return Reuse
	}
	if seg.Flags&(SYN|FIN) == 0 && seg.Len == 0 && !old {
		return Ignore // answering a pure ACK could begin a loop
	}
	if seg.Flags&FIN != 0 && !old {
		w.Until = e.Now + 2*e.Conf.MSL
	}
	*out = Segment{Seq: w.SndNxt, Ack: w.RcvNxt, Wnd: w.Wnd, Flags: ACK}
	if w.HasTS {
		out.Opts = Options{Has: HasTS, TSVal: TSClock(e.Now) + w.TSOffset, TSEcr: w.TSRecent}
	}
	return Reply
}

// newer reports whether a SYN cannot be an old duplicate: by its timestamp
// (RFC 6191, 2) or, without one, by its sequence number (RFC 9293, 3.10.7.4;
// RFC 1122, 4.2.2.13).
func (w *TimeWait) newer(seg *Segment) bool {
	if w.HasTS && seg.Opts.Has&HasTS != 0 {
		d := int32(seg.Opts.TSVal - w.TSRecent)
		return d > 0 || d == 0 && seg.Seq.After(w.RcvNxt)
	}
	return seg.Seq.After(w.RcvNxt)
}

// NextISN is the least ISN of a flow that reuses the tuple: beyond any window
// the old one had.
func (w *TimeWait) NextISN() Seq { return w.SndNxt + 1<<16 + 1 }

// TSClock is the timestamp clock, in ms (RFC 7323, 5.4), before the offset.
func TSClock(now Time) uint32 { return uint32(now / Millisecond) }

package tcp

// TimeWait is what remains of a flow in TIME-WAIT: it answers retransmitted
// FINs and says when a new SYN may have the tuple. There may be many: with its
// tuple and two links it takes 64 bytes. What follows from the tuple, as the
// offset of the timestamps, is not kept.
type TimeWait struct {
	SndNxt, RcvNxt Seq
	TSRecent       uint32
	until          uint32 // by TSClock
	Wnd            uint16 // as it stood in our last segment
	HasTS          bool
	replied        uint8 // the gap in which the last reply fell, as gap counts them
}

// Input answers seg (RFC 9293, 3.10.7.4, TIME-WAIT). listening says whether a
// SYN has anybody to open a flow for. The peer's FIN, when it comes again,
// restarts the wait; a RST does not end it (RFC 1337, 3). Replies are limited as
// challenge ACKs are (RFC 5961, 7): all say the same, so who floods us with segments of
// somebody else's takes no reply from him.
func (w *TimeWait) Input(e *Env, t *Tuple, listening bool, seg, out *Segment) Answer {
	old := w.HasTS && seg.Opts.Has&HasTS != 0 && int32(seg.Opts.TSVal-w.TSRecent) < 0
	switch {
	case seg.Flags&RST != 0:
		return Ignore
	case seg.Flags&(SYN|ACK|FIN) == SYN && listening && w.newer(e, seg):
		return Open
	case seg.Flags&(SYN|ACK) == 0:
		return Ignore // no ACK, no effect
	case seg.Flags&(SYN|FIN) == 0 && seg.Len == 0 && !old:
		return Ignore // answering a pure ACK could begin a loop
	case seg.Flags&(SYN|FIN) == FIN && seg.End() == w.RcvNxt && !old:
		w.Restart(e)
	}
	if now := gap(e); now != 0 {
		if w.replied == now {
			return Withhold
		}
		w.replied = now
	}
	*out = Segment{Seq: w.SndNxt, Ack: w.RcvNxt, Wnd: w.Wnd, Flags: ACK}
	if w.HasTS {
		out.Opts = Options{Has: HasTS, TSVal: TSClock(e.Now) + TSOffset(e, t), TSEcr: w.TSRecent}
	}
	return Reply
}

// gap numbers the stretches of time in which one reply may go, from 1 to 255 and
// again; 0: there is no limit.
func gap(e *Env) uint8 {
	if e.Conf.ChallengeGap <= 0 {
		return 0
	}
	return uint8(e.Now/e.Conf.ChallengeGap%255) + 1
}

// newer reports whether a SYN cannot be an old duplicate: by its timestamp or,
// where the two flows do not both have them, by its sequence number (RFC 6191,
// 2; RFC 9293, 3.6.1, MAY-2). Timestamps that the old flow did not have yet
// are proof enough: its segments had none.
func (w *TimeWait) newer(e *Env, syn *Segment) bool {
	if syn.Opts.Has&HasTS != 0 && !e.Conf.NoTimestamps {
		if !w.HasTS {
			return true
		}
		if d := int32(syn.Opts.TSVal - w.TSRecent); d != 0 {
			return d > 0
		}
	}
	return syn.Seq.After(w.RcvNxt)
}

// NextISN is the least ISN of a flow that reuses the tuple: beyond any window
// the old one had.
func (w *TimeWait) NextISN() Seq { return w.SndNxt + 1<<16 + 1 }

// ReuseISN is the ISN of a flow that takes over the tuple t.
func (w *TimeWait) ReuseISN(e *Env, t *Tuple) Seq { return later(ISN(e, t), w.NextISN()) }

// reuseAge is how long a flow has been over before we dial with its tuple: by
// then our timestamps have moved on, however coarsely the peer's clock ticks
// (RFC 7323, 5.4 allows a second).
const reuseAge = Second

// Dialable reports whether we may dial with the tuple: our timestamps tell the
// peer, and its own tell us, the new flow's segments from the old one's (the
// counterpart of RFC 6191, 2).
func (w *TimeWait) Dialable(e *Env) bool {
	return w.HasTS && !e.Conf.NoTimestamps && 2*e.Conf.MSL-w.Left(e.Now) >= reuseAge
}

// Restart lets the wait begin (again): 2 MSL from now (RFC 9293, 3.6.1,
// MUST-13).
func (w *TimeWait) Restart(e *Env) { w.until = TSClock(e.Now+2*e.Conf.MSL) + 1 }

// Left is how long the wait still lasts, to a millisecond; not positive: it is
// over.
func (w *TimeWait) Left(now Time) Time {
	return Time(int32(w.until-TSClock(now)))*Millisecond - now%Millisecond
}

// TSClock is the timestamp clock, in ms (RFC 7323, 5.4), before the offset.
func TSClock(now Time) uint32 { return uint32(now / Millisecond) }

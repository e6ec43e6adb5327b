package tcp

// The round trip as the receiver of a stream sees it: it sends no data that
// would be acknowledged.

// beginRcvRTT starts with what the handshake told, if it did.
func (c *Conn) beginRcvRTT(e *Env) {
	c.rcvRTT = uint32(min(c.srtt/Microsecond, 1<<31))
	c.rttMark, c.rttAt = uint32(c.rcvAdv), micros(e.Now)
}

// measureRcvRTT takes a sample from a segment that brought the next bytes: the
// echo of a timestamp of ours, or without timestamps the time that passed until
// bytes came which our ACK of then had let go. Such a sample is too long if the
// sender was not waiting for the window, so the least counts.
func (c *Conn) measureRcvRTT(e *Env, seg *Segment) {
	if c.has(useTS) && seg.Opts.Has&HasTS != 0 {
		ecr := seg.Opts.TSEcr
		if ecr == c.rttMark || seg.Len < uint32(c.rcvMSS) {
			return // of an ACK already measured, or a pause before it
		}
		c.rttMark = ecr
		if rtt := c.tsRTT(e, ecr); rtt > 0 {
			us := int32(rtt / Microsecond)
			if c.rcvRTT == 0 {
				c.rcvRTT = uint32(us)
			}
			c.rcvRTT += uint32((us - int32(c.rcvRTT)) / 8)
		}
		return
	}
	if !c.rcvNxt.After(Seq(c.rttMark)) {
		return
	}
	us := max(micros(e.Now)-c.rttAt, 1)
	if c.rcvRTT == 0 || us < c.rcvRTT {
		c.rcvRTT = us
	}
	c.rttMark, c.rttAt = uint32(later(c.rcvAdv, c.rcvNxt)), micros(e.Now)
}

// minFit is the shortest time over which reading is measured: readers take
// what came in a turn at once.
const minFit = Millisecond

// RcvRTT is the round trip as the receiver sees it, no less than a
// millisecond; 0: not known.
func (c *Conn) RcvRTT() Time {
	if c.rcvRTT == 0 {
		return 0
	}
	return max(Time(c.rcvRTT)*Microsecond, minFit)
}

// fit adjusts the receive buffer after n bytes were read.
func (c *Conn) fit(e *Env, n uint32) {
	if c.has(ownWindow) {
		return
	}
	if rtt := c.RcvRTT(); c.rcv.Took(e.Now, n, rtt) {
		c.rcv.Fit(e, rtt, c.rcvBytes+uint32(max(c.rcvAdv.Sub(c.rcvNxt), 0)))
	}
}

package tcp

// pawsAge is how long a timestamp stays comparable: less than half the range of
// a clock that ticks every ms (RFC 7323, 5.5).
const pawsAge = 24 * 24 * 3600 * Second

// checkPAWS drops old duplicates by their timestamp (RFC 7323, 5.3, R1).
// A segment without a timestamp passes, as in Linux: some middleboxes strip
// the option in the middle of a flow, and RFC 7323's SHOULD would hang it.
func (c *Conn) checkPAWS(e *Env, seg *Segment) bool {
	if !c.has(useTS) || seg.Opts.Has&HasTS == 0 || seg.Flags&RST != 0 {
		return true
	}
	if int32(seg.Opts.TSVal-c.tsRecent) >= 0 || e.Now-c.tsRecentAt > pawsAge {
		return true
	}
	e.Count.PAWSDrops++
	switch {
	case seg.Len > 0:
		c.owe |= oweACK
	case seg.Seq != c.rcvNxt || seg.Flags&(SYN|FIN) != 0:
		// A pure ACK at the right place that was only overtaken needs no
		// answer; it would look like a duplicate ACK.
		c.challenge(e)
	}
	return false
}

// noteTS updates TS.Recent (RFC 7323, 4.3).
func (c *Conn) noteTS(e *Env, seg *Segment) {
	if c.has(useTS) && seg.Opts.Has&HasTS != 0 && !seg.Seq.After(c.lastAck) {
		if int32(seg.Opts.TSVal-c.tsRecent) >= 0 || e.Now-c.tsRecentAt > pawsAge {
			c.tsRecent, c.tsRecentAt = seg.Opts.TSVal, e.Now
		}
	}
}

// tsVal is our timestamp now.
func (c *Conn) tsVal(e *Env) uint32 { return TSClock(e.Now) + c.tsOffset }

// tsRTT is the round trip that an echoed timestamp tells, or 0 if it cannot
// be one of ours.
func (c *Conn) tsRTT(e *Env, ecr uint32) Time {
	d := int32(c.tsVal(e) - ecr)
	if d < 0 || Time(d)*Millisecond > e.Conf.MaxRTO {
		return 0
	}
	return max(Time(d)*Millisecond, Millisecond)
}

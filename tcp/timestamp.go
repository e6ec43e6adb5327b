package tcp

// pawsAge is how long a timestamp stays comparable: less than half the range of
// a clock that ticks every ms (RFC 7323, 5.5).
const pawsAge = 24 * 24 * 3600 * Second

// pawsSlack is how many ticks older than TS.Recent a segment may be. When a
// retransmission moves TS.Recent, segments sent just before it may still be on
// the way, overtaken; RFC 7323 would drop them all. At a tick of 1 ms nothing
// slower than 1 Tbit/s can wrap its sequence numbers meanwhile. (Linux allows
// one tick.)
const pawsSlack = 10

// checkPAWS drops old duplicates by their timestamp (RFC 7323, 5.3, R1).
//
// Two more deviations are Linux's, too. A segment without a timestamp passes: some
// middleboxes strip the option in the middle of a flow, and RFC 7323's SHOULD
// would hang it. And so does a pure ACK that was only overtaken: it brings no
// payload, what it acknowledges is checked, and its SACK blocks are news.
func (c *Conn) checkPAWS(e *Env, seg *Segment) bool {
	if !c.has(useTS) || seg.Opts.Has&HasTS == 0 || seg.Flags&RST != 0 {
		return true
	}
	age := int32(c.tsRecent - seg.Opts.TSVal)
	if age <= pawsSlack || e.Now-c.tsRecentAt > pawsAge {
		return true
	}
	if c.synchronized() && seg.Len == 0 && seg.Seq == c.rcvNxt && seg.Flags&(SYN|FIN) == 0 && Time(age)*Millisecond <= c.rto {
		return true
	}
	e.Count.PAWSDrops++
	if seg.Len == 0 {
		c.challenge(e)
		return false
	}
	if !seg.End().After(c.rcvNxt) {
		c.noteDuplicate(seg.Seq, seg.Seq+Seq(seg.Len))
	}
	c.owe |= oweACK
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

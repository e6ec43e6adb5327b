package tcp

// sentAndUnacked reports whether seq is in flight: what an attacker off the
// path would have to guess (RFC 5927, 4.1).
func (c *Conn) sentAndUnacked(seq Seq) bool {
	return seq.In(c.sndUna, uint32(c.sndNxt-c.sndUna))
}

// Unreachable tells of an ICMP error whose quoted sequence number is seq: hard
// or soft (RFC 5927). Only a flow that is still connecting ends by a hard one.
func (c *Conn) Unreachable(e *Env, seq Seq, hard bool) {
	if c.state != SynSent && c.state != SynRcvd || !c.sentAndUnacked(seq) {
		return
	}
	if hard {
		e.Count.AttemptFails++
		c.finish(e, Unreachable)
		return
	}
	c.flags |= softError
}

// SetPathMSS lowers (never below the configured floor) what a segment may
// carry after a validated ICMP packet-too-big that quoted seq; it reports
// whether seq was in flight (RFC 5927, 4).
func (c *Conn) SetPathMSS(e *Env, seq Seq, mss uint16) bool {
	if !c.sentAndUnacked(seq) {
		return false
	}
	mss = max(mss, e.Conf.MinMSS)
	if mss >= c.pathMSS {
		return true
	}
	c.pathMSS = mss
	if !c.synchronized() {
		return true
	}
	c.cc.MSS = c.mss()
	prior := c.inFlight()
	// Bounded by the send queue, and by the few times an MTU can shrink.
	for id := c.flight.head; id != 0; {
		n := e.Nodes.At(id)
		next := n.after
		if n.len() > c.cc.MSS {
			c.lose(e.Nodes, id)
		}
		id = next
	}
	if c.gone.head != 0 && c.phase == open {
		c.beginRecovery(e, prior, 0, false) // no sign of congestion (RFC 1191, 6.5)
	}
	return true
}

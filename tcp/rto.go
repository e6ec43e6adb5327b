package tcp

// minRTTAge is how long the least RTT counts: paths change.
const minRTTAge = 300 * Second

// measure takes the RTT sample of an ACK, if it has one: until then a timeout
// that was backed off stays so (Karn; RFC 6298, 5). It returns the one
// for congestion control: of the node sent last, which delayed ACKs distort
// least.
func (c *Conn) measure(e *Env, a *acked) Time {
	switch {
	case a.firstSent != 0 && !a.again:
		c.sampleRTT(e, e.Now-a.firstSent)
		last := max(e.Now-a.lastSent, 1)
		c.noteMinRTT(e, last)
		return last
	case a.sackSent != 0:
		rtt := max(e.Now-a.sackSent, 1)
		c.sampleRTT(e, rtt)
		return rtt
	case a.hasTS && a.ecr != 0 && c.sndUna != a.una:
		// Only an echo can tell what a retransmission measured (RFC 7323,
		// 4.1). Too coarse for anything but the timeout.
		if c.phase == rtoRecovery && c.has(undoKnown) && int32(a.ecr-c.undoTS) < 0 {
			// It is as old as the silence, and what caused this ACK is not known
			// yet (undoTimeout). But the peer is there: no backoff.
			c.rto = c.timeout(e.Conf)
		} else if rtt := c.tsRTT(e, a.ecr); rtt > 0 {
			c.smooth(rtt)
			c.rto = c.timeout(e.Conf)
		}
	}
	return 0
}

// sampleRTT takes a precise sample.
func (c *Conn) sampleRTT(e *Env, rtt Time) {
	rtt = max(rtt, 1)
	c.smooth(rtt)
	c.noteMinRTT(e, rtt)
	c.rto = c.timeout(e.Conf)
}

// smooth is RFC 6298, 2.2 and 2.3.
func (c *Conn) smooth(rtt Time) {
	if c.srtt == 0 {
		c.srtt, c.rttvar = rtt, rtt/2
		return
	}
	c.rttvar += (max(c.srtt-rtt, rtt-c.srtt) - c.rttvar) / 4
	c.srtt += (rtt - c.srtt) / 8
}

func (c *Conn) noteMinRTT(e *Env, rtt Time) {
	if c.minRTT == 0 || rtt <= c.minRTT || e.Now-c.minRTTAt > minRTTAge {
		c.minRTT, c.minRTTAt = rtt, e.Now
	}
}

// timeout is the RTO that SRTT and RTTVAR give. The floor is under the
// variance, as in Linux, not under the sum: with a sample for each ACK the
// variance of a steady path goes to nothing (RFC 7323, appendix G), and one
// delayed ACK would be a timeout.
func (c *Conn) timeout(conf *Config) Time {
	return min(c.srtt+max(4*c.rttvar, conf.MinRTO), conf.MaxRTO)
}

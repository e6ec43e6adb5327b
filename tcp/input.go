package tcp

// Input takes a segment whose checksum was verified. It borrows the
// segment's spans. The order of the checks is that of RFC 9293, 3.10.7.4, with
// RFC 5961 and RFC 7323.
func (c *Conn) Input(e *Env, seg *Segment) Verdict {
	e.Count.InSegs++
	switch {
	case c.state == Closed:
		return Unacceptable
	case c.state == SynSent:
		return c.inputSynSent(e, seg)
	case c.state == SynRcvd && seg.Seq == c.irs && c.isSYNAgain(seg.Flags):
		return c.inputSYNAgain(e, seg)
	}
	if !c.checkPAWS(e, seg) || !c.checkSeq(e, seg) || !c.checkFlags(e, seg) || !c.checkAck(e, seg) {
		return Unacceptable
	}
	if c.state == Closed { // by a RST
		return Acceptable
	}
	c.noteTS(e, seg)
	c.lastIn = e.Now
	c.probes = 0
	if c.state == SynRcvd {
		c.setWindow(seg, c.sndScale)
		c.establish(e, seg)
	}
	c.inputAck(e, seg)
	if c.state != Closed {
		c.inputPayload(e, seg)
	}
	return Acceptable
}

// isSYNAgain reports whether the flags are those of a SYN that is repeated, or,
// in a simultaneous open, of the SYN-ACK that follows it.
func (c *Conn) isSYNAgain(f Flags) bool {
	return f&(SYN|RST) == SYN && (f&ACK == 0 || !c.has(passive))
}

// inputSYNAgain takes a SYN we already had: the peer lost our SYN-ACK, or in a
// simultaneous open its SYN-ACK repeats its SYN.
func (c *Conn) inputSYNAgain(e *Env, seg *Segment) Verdict {
	if seg.Flags&ACK == 0 {
		c.takeECN(e, seg) // it may have given up asking
		if e.Now < c.challengeAt {
			e.Count.ChallengeSkipped++ // repeated faster than anybody does who means it: no answer to each
			return Acceptable
		}
		c.challengeAt = e.Now + e.Conf.ChallengeGap
		c.owe |= oweSYN
		return Acceptable
	}
	if !c.checkAck(e, seg) {
		return Unacceptable
	}
	c.lastIn = e.Now
	c.setWindow(seg, 0)
	c.establish(e, seg)
	c.owe |= oweACK
	return Acceptable
}

// checkSeq is the first check: does the segment touch the window?
func (c *Conn) checkSeq(e *Env, seg *Segment) bool {
	n := uint32(seg.End() - seg.Seq)
	edge := c.rcvNxt + Seq(c.acceptable())
	switch {
	case n == 0:
		// One beyond the window: a sender that filled it acknowledges from
		// there.
		if !seg.Seq.Before(c.rcvNxt) && !seg.Seq.After(edge) {
			return true
		}
	case seg.Seq == c.rcvNxt:
		// With a closed window too: its acknowledgement is taken, its payload
		// is not ("special allowance", RFC 9293, 3.10.7.4).
		return true
	case seg.Seq.Before(edge) && seg.End().After(c.rcvNxt):
		return true
	}
	if seg.Flags&RST != 0 {
		e.Count.OutOfWindow++
		return false
	}
	if n > 0 && seg.Flags&SYN == 0 && !seg.End().After(c.rcvNxt) {
		e.Count.Duplicate++
		c.noteDuplicate(seg.Seq, seg.End()) // a FIN is told, too
	} else {
		e.Count.OutOfWindow++
	}
	if seg.Len > 0 && seg.Flags&SYN == 0 {
		// Payload is no part of an ACK loop: answer each, the peer may have
		// lost our ACK.
		c.owe |= oweACK
	} else {
		c.challenge(e)
	}
	if seg.Flags&FIN != 0 && c.state == TimeWaitState {
		c.waitAt = e.Now + 2*e.Conf.MSL
	}
	return false
}

// checkFlags handles RST, SYN and a missing ACK. A valid RST closes the flow
// and passes.
func (c *Conn) checkFlags(e *Env, seg *Segment) bool {
	switch {
	case seg.Flags&RST != 0:
		if c.state == TimeWaitState {
			e.Count.ResetIgnored++ // RFC 1337, 3
			return false
		}
		if seg.Seq != c.rcvNxt { // RFC 5961, 3.2
			c.challenge(e)
			return false
		}
		c.reset(e)
	case seg.Flags&SYN != 0 && c.state == SynRcvd && c.has(passive):
		// The peer began anew: back to LISTEN, where its next SYN is taken
		// (RFC 9293, 3.10.7.4, fourth).
		e.Count.AttemptFails++
		c.finish(e, Refused)
		return false
	case seg.Flags&SYN != 0: // RFC 5961, 4.2
		c.challenge(e)
		return false
	case seg.Flags&ACK == 0:
		e.Count.NoACKFlag++
		return false
	}
	return true
}

// reset obeys a RST.
func (c *Conn) reset(e *Env) {
	switch c.state {
	case SynRcvd:
		e.Count.AttemptFails++
		c.finish(e, Refused)
	case Closing, LastAck:
		c.finish(e, NoError) // both sides had closed
	default:
		e.Count.EstabResets++
		c.finish(e, ResetByPeer)
	}
}

// checkAck is the fifth check, without its effects (RFC 5961, 5.2).
func (c *Conn) checkAck(e *Env, seg *Segment) bool {
	switch {
	case c.state == Closed:
	case c.state == SynRcvd:
		if !seg.Ack.After(c.iss) || seg.Ack.After(c.sndNxt) {
			e.Count.AckOfUnsent++
			c.reject(seg.Ack)
			return false
		}
	case seg.Ack.After(c.sndNxt):
		e.Count.AckOfUnsent++
		c.challenge(e)
		return false
	case seg.Ack.Before(c.sndUna - Seq(c.maxWnd)):
		e.Count.OldAckDrops++
		c.challenge(e)
		return false
	}
	return true
}

// challenge owes an ACK that tells the peer where we stand. The limit is per
// flow: a shared one would be a side channel (CVE-2016-5696). It also ends
// loops of ACKs between two sides that find each other's out of window.
func (c *Conn) challenge(e *Env) {
	if e.Now < c.challengeAt {
		e.Count.ChallengeSkipped++
		return
	}
	c.challengeAt = e.Now + e.Conf.ChallengeGap
	e.Count.ChallengeAcks++
	if c.state == SynRcvd && c.sndNxt == c.iss {
		return // the SYN-ACK is still to come
	}
	c.owe |= oweACK
}

// reject owes a RST that says: this is not about our SYN. The flow goes on.
func (c *Conn) reject(ack Seq) {
	c.owe |= oweRST
	c.rstSeq = ack
}

// inputPayload takes payload and FIN.
func (c *Conn) inputPayload(e *Env, seg *Segment) {
	if seg.NoRoom && seg.Len > 0 {
		e.Count.NoRoomDrops++
		c.owe |= oweACK
		return
	}
	if seg.Len == 0 && seg.Flags&FIN == 0 {
		return
	}
	switch c.state {
	case Established, FinWait1, FinWait2:
	default:
		if seg.Len > 0 {
			e.Count.DataAfterClose++
		}
		c.challenge(e)
		return
	}
	if c.has(orphan) && seg.Len > 0 && (seg.Seq + Seq(seg.Len)).After(c.rcvNxt) {
		// Nobody is left to read it (RFC 9293, 3.6.1 on data after close).
		e.Count.DataAfterClose++
		c.Abort(e)
		return
	}
	c.noteCE(e, seg)
	c.recv(e, seg)
	if c.has(finKnown) && c.rcvNxt == c.finSeq {
		c.inputFIN(e)
	}
}

// inputFIN is the eighth step: all that precedes the peer's FIN is here.
func (c *Conn) inputFIN(e *Env) {
	c.rcvNxt++
	c.ofoq.free(e)
	c.early, c.nBlocks, c.untold = 0, 0, 0
	c.owe |= oweACK
	c.events |= PeerClosed
	switch c.state {
	case Established:
		c.state = CloseWait
	case FinWait1:
		c.state = Closing
	case FinWait2:
		c.timeWait(e)
	}
}

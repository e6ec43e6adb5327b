package tcp

// RACK-TLP (RFC 8985). Its unit is the node. Nodes in flight are listed in the
// order of their sending, so that each ACK looks only at those it finds lost
// and at one more.

const (
	dupThresh  = 3
	reoPersist = 16 // recoveries without DSACK until the window is small again
	// maxAckDelay is how long a peer is expected to delay the ACK of a lone
	// segment (RFC 8985, 7.2), minTail the least time before a probe: timers
	// of peers and links are no finer.
	maxAckDelay = 200 * Millisecond
	minTail     = 10 * Millisecond
)

// rackDeliver updates RACK's state with a delivered node (RFC 8985, 6.2, steps
// 2 and 3).
func (c *Conn) rackDeliver(e *Env, n *Node, a *acked) {
	end := n.end()
	if end.After(c.fack) {
		c.fack = end
	} else if end.Before(c.fack) && n.flags&again == 0 {
		c.flags |= reordering
	}
	rtt := e.Now - n.sent
	if n.flags&again != 0 {
		// Was it the retransmission that arrived, or the original?
		if a.hasTS && int32(a.ecr-TSClock(n.sent)-c.tsOffset) < 0 || rtt < c.minRTT {
			return
		}
	}
	if n.sent > c.rackSent || n.sent == c.rackSent && end.After(c.rackEnd) {
		c.rackSent, c.rackEnd, c.rackRTT = n.sent, end, rtt
	}
}

// reoWindow is how much later than its successors a segment may come (RFC
// 8985, 6.2, step 4).
func (c *Conn) reoWindow() Time {
	if !c.has(reordering) && (c.phase != open || c.sackedNodes >= dupThresh) {
		return 0
	}
	return min(Time(c.reoMult)*c.minRTT/4, c.srtt)
}

// adaptWindow widens the window when DSACKs say that we were too quick.
func (c *Conn) adaptWindow(a *acked) {
	if c.has(roundDSACK) && !c.sndUna.Before(c.dsackRound) {
		c.flags &^= roundDSACK
	}
	if a.dsack && !c.has(roundDSACK) {
		c.flags |= roundDSACK
		c.dsackRound = c.sndNxt
		c.reoMult = uint8(min(int(c.reoMult)+1, 1<<8-1))
		c.reoPersist = reoPersist
	}
}

// detectLosses marks nodes lost that were sent long enough before one that
// arrived (step 5), and sets the reordering timer for the next.
func (c *Conn) detectLosses(e *Env) (newly bool) {
	c.reorderAt = 0
	window := c.rackRTT + c.reoWindow()
	for id := c.flight.head; id != 0; id = c.flight.head {
		n := e.Nodes.At(id)
		if n.sent > c.rackSent || n.sent == c.rackSent && !n.end().Before(c.rackEnd) {
			return newly
		}
		if due := n.sent + window; due > e.Now {
			c.reorderAt = due
			return newly
		}
		c.lose(e.Nodes, id)
		newly = true
	}
	return newly
}

// loseLate marks what a timeout finds lost: the head, and what was sent more
// than a round trip ago (RFC 8985, 6.3); without SACK all. It is sent again in
// the order of sequence numbers, whatever was found lost before. Bounded by
// the send queue, once per timeout.
func (c *Conn) loseLate(e *Env) {
	window := c.rackRTT + c.reoWindow()
	c.gone, c.goneBytes = chain{}, 0
	for id := c.sndq.head; id != 0 && id != c.fresh; id = e.Nodes.At(id).Next {
		n := e.Nodes.At(id)
		switch {
		case n.flags&lost != 0:
			n.flags &^= lost // it is in no list now
		case n.flags&sacked != 0, c.has(useSACK) && id != c.sndq.head && n.sent+window > e.Now:
			continue
		}
		c.lose(e.Nodes, id)
	}
}

// tailTime is when a tail loss probe is due, Never if none is (RFC 8985, 7.2).
func (c *Conn) tailTime(e *Env) Time {
	if !c.has(useSACK) || c.has(tlpOut) || c.phase != open || c.srtt == 0 || c.timeouts > 0 ||
		c.sackedNodes > 0 || c.gone.head != 0 || c.flight.head == 0 {
		return Never
	}
	wait := 2 * c.srtt
	if uint32(c.sndNxt-c.sndUna) <= c.cc.MSS {
		wait += maxAckDelay
	}
	return e.Now + max(wait, minTail)
}

// resolveTail finds out what a tail loss probe repaired (RFC 8985, 7.4.2).
func (c *Conn) resolveTail(e *Env, a *acked) {
	if !c.has(tlpOut) || c.sndUna.Before(c.tlpEnd) {
		return
	}
	switch {
	case !c.has(tlpAgain), a.dsack:
		// New data, or both copies arrived: nothing was lost.
	case c.sndUna.After(c.tlpEnd):
		// The probe repaired the only loss: answer it like any other.
		if c.phase == open {
			c.beginRecovery(e, a.prior, true)
			c.endRecovery()
		}
	case a.duplicate && !a.newSACK:
		// The ACK of the second copy.
	default:
		return
	}
	c.flags &^= tlpOut | tlpAgain
}

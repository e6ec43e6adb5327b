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
	tailUnknown = Second // without an RTT
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
	if n.flags&again != 0 && c.earlier(n, rtt, a) {
		return
	}
	if n.sent > c.rackSent || n.sent == c.rackSent && end.After(c.rackEnd) {
		c.rackSent, c.rackEnd, c.rackRTT = n.sent, end, rtt
	}
}

// earlier reports whether it seems to be an earlier transmission of n that
// arrived, not the last one. An echo can tell, but only of the segment that the
// peer waited for: behind a hole it keeps echoing what came before the hole
// (RFC 7323, 4.3), however late. And two transmissions may share a tick of the
// clock if the path is that short.
func (c *Conn) earlier(n *Node, rtt Time, a *acked) bool {
	if n.flags&doubtful != 0 {
		return true
	}
	if a.hasTS && !n.Seq.After(a.una) {
		switch d := int32(a.ecr - TSClock(n.sent) - c.tsOffset); {
		case d < 0:
			return true
		case c.minRTT >= 2*Millisecond:
			return false
		}
	}
	return rtt < c.minRTT
}

// reoWindow is how much later than its successors a segment may come (RFC
// 8985, 6.2, step 4).
func (c *Conn) reoWindow() Time {
	if !c.has(reordering) && (c.phase != open || c.sackedNodes-c.sackedJoined >= dupThresh) {
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
		c.flags |= roundDSACK | reordering
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
		e.Count.NodeVisits++
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
// than a round trip ago (RFC 8985, 6.3); all if there is no SACK to trust. It is sent again in
// the order of sequence numbers, whatever was found lost before. Bounded by
// the send queue, once per timeout.
func (c *Conn) loseLate(e *Env, all bool) {
	window := c.rackRTT + c.reoWindow()
	c.gone, c.goneHint, c.goneBytes = chain{}, 0, 0
	for id := c.sndq.head; id != 0 && id != c.fresh; id = e.Nodes.At(id).Next {
		n := e.Nodes.At(id)
		e.Count.NodeVisits++
		switch {
		case n.flags&lost != 0:
			n.flags &^= lost // it is in no list now
		case n.flags&sacked != 0, !all && c.has(useSACK) && id != c.sndq.head && n.sent+window > e.Now:
			continue
		}
		c.lose(e.Nodes, id)
	}
}

// tailTime is when a tail loss probe is due, Never if none is (RFC 8985, 7.2):
// some time after the last transmission or the last progress. A peer without a
// window has not lost anything yet; the retransmission timeout asks it.
func (c *Conn) tailTime(e *Env) Time {
	if !c.has(useSACK) || c.has(tlpOut) || c.phase != open || c.timeouts > 0 ||
		c.sackedNodes > 0 || c.gone.head != 0 || c.flight.head == 0 || c.sndWnd == 0 && !c.has(ownCredit) {
		return Never
	}
	wait := tailUnknown
	if c.srtt > 0 {
		wait = max(2*c.srtt, minTail)
		if uint32(c.sndNxt-c.sndUna) <= c.cc.MSS {
			wait += maxAckDelay
		}
	}
	return max(c.rtoBase, c.lastOut) + wait
}

// resolveTail finds out what a tail loss probe repaired (RFC 8985, 7.4.2).
func (c *Conn) resolveTail(e *Env, a *acked) {
	if !c.has(tlpOut) || c.sndUna.Before(c.tlpEnd) {
		return
	}
	switch {
	case !c.has(tlpAgain), a.dsack && c.tlpEnd-a.dup.To <= 1:
		// New data, or both copies arrived (a FIN is not always reported):
		// nothing was lost.
	case c.sndUna.After(c.tlpEnd):
		// The probe repaired the only loss: answer it like any other.
		if c.phase == open {
			c.beginRecovery(e, a.prior, a.delivered, true)
			c.endRecovery()
		}
	case a.duplicate && !a.blocks:
		// The ACK of the second copy, of a peer that does not say so.
	default:
		return
	}
	c.flags &^= tlpOut | tlpAgain
}

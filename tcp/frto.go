package tcp

// F-RTO (RFC 5682): a timeout sends only the first segment again. What the next
// ACKs are about then tells whether all that was in flight was lost, or only
// late.

// tryForward begins it with a timeout, unless other losses are being repaired
// already (RFC 5682, 2.1, step 1). Further timeouts of the same segment change
// nothing.
func (c *Conn) tryForward() {
	c.flags &^= forwardNew
	switch {
	case c.phase == open:
		c.flags |= forward
	case c.timeouts == 1:
		c.flags &^= forward
	}
}

// undoTimeout looks at an ACK after a timeout for a sign that it was spurious:
// an echo older than the retransmission (Eifel), or an ACK of what was sent
// once, before the timeout (RFC 5682, 3.1, step 3b).
//
// Both are seen, too, when the path fell silent: part of the flight had
// arrived, its ACKs were lost, and now the retransmission caused another. The
// rest of the flight must then not be taken for being on its way. A peer that
// sends DSACKs tells the two apart (RFC 3522, 3.2, step 5), and so does the time: the
// answer to the retransmission takes a round trip.
func (c *Conn) undoTimeout(e *Env, a *acked) {
	advanced := c.sndUna != a.una
	echo := c.echoes(a)
	early := e.Now-c.lastOut < c.minRTT/2 // half: the path may have become shorter
	sentNew := c.sndNxt.After(c.recover)
	switch {
	case echo > 0, a.dsack && !a.dup.From.After(a.una) && a.dup.To.After(a.una):
		c.endForward()
	case echo < 0 && (early || c.has(useSACK)),
		c.has(forward) && a.orig && (early || sentNew || !advanced):
		c.undo(e, a)
	case !c.has(forward) || !advanced && a.delivered == 0 && (c.has(useSACK) || !a.duplicate):
		// It says nothing.
	case advanced && !sentNew && c.sndUna.Before(c.recover) && c.mayForward():
		c.flags |= forwardNew // step 2b
	default: // step 2a or 3a
		c.endForward()
		if sentNew {
			c.cc.Cwnd = max(c.cc.Cwnd, c.inFlight()+c.cc.MSS) // 3 segments at most
		}
	}
}

func (c *Conn) endForward() { c.flags &^= forward | forwardNew }

// mayForward: there is new data, and the peer's window takes it.
func (c *Conn) mayForward() bool {
	waits := uint32(c.sndEnd - c.sndNxt)
	return c.fresh != 0 && c.usable() >= min(c.cc.MSS, waits)
}

// sendForward lets two new segments out in place of retransmissions (RFC 5682,
// 2.1, step 2b).
func (c *Conn) sendForward() {
	if c.has(forwardNew) && !c.sndNxt.After(c.recover) {
		c.cc.Cwnd = c.inFlight() + 2*c.cc.MSS
	}
}

package tcp

// A recovery that proves spurious is undone: by the timestamp that the first
// ACK to make progress echoes (Eifel, RFC 3522 and RFC 4015), by F-RTO, or when
// DSACKs report every retransmission as a duplicate (RFC 3708).

func (c *Conn) beginUndo() {
	c.flags = c.flags&^(undoKnown|undoPast) | undoDSACK
	c.undoFrom, c.undoLeft = c.sndUna, 0
	if c.flags&(tlpOut|tlpAgain) == tlpOut|tlpAgain {
		c.undoLeft = 1 // the probe may be reported, too
	}
}

// forgoUndo: nothing will show that this recovery was spurious.
func (c *Conn) forgoUndo() {
	c.flags = c.flags&^undoDSACK | undoPast
	c.endForward()
}

// retransmitted notes a retransmission of the run r, for undo.
func (c *Conn) retransmitted(e *Env, r run) {
	if c.phase == open {
		return
	}
	c.undoLeft = min(c.undoLeft+1, 1<<15)
	if c.has(undoKnown) {
		return
	}
	c.flags |= undoKnown
	c.undoTS = c.tsVal(e)
	if r.seq != c.sndUna || e.Nodes.At(r.Node).flags&again != 0 && c.phase == fastRecovery {
		// The next ACK to make progress will be about an earlier
		// retransmission.
		c.flags |= undoPast
	}
}

// undoSpurious undoes a recovery if this ACK shows that it was spurious.
func (c *Conn) undoSpurious(e *Env, a *acked) {
	switch c.phase {
	case rtoRecovery:
		c.undoTimeout(e, a)
	case fastRecovery:
		if c.echoes(a) < 0 && c.mayUndo() {
			c.undo(e, a)
			c.flags |= reordering // the hole was filled by what was late
		}
	}
}

// echoes compares the timestamp that the peer echoes with that of the recovery's
// first retransmission: < 0, the ACK is of the original; > 0, of the
// retransmission; 0, it does not tell. Only the first ACK that advances does.
func (c *Conn) echoes(a *acked) int {
	if !a.hasTS || a.ecr == 0 || c.sndUna == a.una || !c.has(undoKnown) || c.has(undoPast) {
		return 0
	}
	c.flags |= undoPast
	if int32(a.ecr-c.undoTS) < 0 {
		return -1
	}
	return 1
}

// mayUndo: finding losses, and taking that back, costs a look at each node in
// flight, and a peer that lies could ask for both with two ACKs. So what is in
// flight is let off once; then it has to arrive first.
func (c *Conn) mayUndo() bool { return !c.sndUna.Before(c.undone) }

// undoDuplicate counts the retransmissions that arrived twice. After a timeout
// that says nothing of what was taken for lost and not yet sent again.
func (c *Conn) undoDuplicate(e *Env, a *acked) {
	if !c.has(undoDSACK) || c.undoLeft == 0 || a.dup.From.Before(c.undoFrom) || a.dup.To.After(c.recover) {
		return
	}
	if c.undoLeft--; c.undoLeft > 0 || c.phase == rtoRecovery && c.gone.head != 0 {
		return
	}
	if c.phase == open || c.mayUndo() {
		c.undo(e, a)
	}
}

func (c *Conn) undo(e *Env, a *acked) {
	e.Count.SpuriousRTOs++
	c.control().OnUndo(&c.cc)
	c.flags &^= cwrKnown | oweCWR
	if c.phase == rtoRecovery {
		c.timeouts = 0
		c.rtoBase = e.Now
		c.slowTimer(e, a)
		c.doubtRACK(e.Nodes)
	}
	c.forgoUndo()
	c.phase = open
	c.dupAcks = 0
	c.undone = c.sndNxt
	c.lostEnd = c.sndUna
	c.unlose(e)
}

// doubtRACK: what was taken for the arrival of the timeout's retransmission was
// its original's, or will be. It does not show that all sent before is lost.
func (c *Conn) doubtRACK(ns *Nodes) {
	c.rackSent = 0
	if n := ns.At(c.sndq.head); c.sndq.head != 0 && n.flags&inFlight != 0 {
		n.flags |= doubtful
	}
}

// slowTimer takes the round trip that the timeout did not wait for into account
// (RFC 4015, 3.3), so that the next one is not spurious, too.
func (c *Conn) slowTimer(e *Env, a *acked) {
	rtt := Time(0)
	switch {
	case a.firstSent != 0:
		rtt = e.Now - a.firstSent
	case a.sackSent != 0:
		return // was measured
	case a.hasTS && a.ecr != 0:
		rtt = c.tsRTT(e, a.ecr)
	}
	if rtt > 0 {
		c.smooth(rtt)
		c.rto = c.timeout(e.Conf)
	}
}

// unlose puts the lost nodes back among those in flight. Bounded by the send
// queue, once per recovery.
func (c *Conn) unlose(e *Env) {
	walk := maxWalk
	for id := c.gone.tail; id != 0; id = c.gone.tail {
		e.Count.NodeVisits++
		c.leave(e.Nodes, id)
		c.relaunch(e.Nodes, id, &walk)
	}
	e.Count.NodeVisits += uint64(maxWalk - walk)
}

// relaunch puts a node that was sent some time ago among those in flight. Its
// place is looked for from the end of theirs that is nearer in time; should walk not
// suffice it stands too near to that end, and may be found lost a little late.
func (c *Conn) relaunch(ns *Nodes, id uint32, walk *int) {
	n := ns.At(id)
	at := uint32(0) // the node before its place
	if tail := c.flight.tail; tail != 0 && ns.At(tail).sent-n.sent < n.sent-ns.At(c.flight.head).sent {
		for at = tail; at != 0 && ns.At(at).sent > n.sent && *walk > 0; *walk-- {
			at = ns.At(at).prior
		}
	} else {
		for next := c.flight.head; next != 0 && ns.At(next).sent < n.sent && *walk > 0; *walk-- {
			at, next = next, ns.At(next).after
		}
	}
	n.flags |= inFlight
	c.flight.insert(ns, at, id)
	c.pipe += n.len()
}

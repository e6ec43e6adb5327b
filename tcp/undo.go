package tcp

// A recovery that proves spurious is undone: by the timestamp that the first
// ACK to make progress echoes (Eifel, RFC 3522 and RFC 4015), or when DSACKs
// report every retransmission as a duplicate (RFC 3708).

func (c *Conn) beginUndo() {
	c.flags = c.flags&^(undoKnown|undoPast) | undoDSACK
	c.undoFrom, c.undoLeft = c.sndUna, 0
}

// forgoUndo: a second timeout in a row is silence, not delay. That part of the
// flight had arrived before it says nothing of the rest, which must not be
// taken for being on its way.
func (c *Conn) forgoUndo() { c.flags = c.flags&^undoDSACK | undoPast }

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
	if r.seq != c.sndUna || e.Nodes.At(r.Node).flags&again != 0 {
		// The next ACK to make progress will be about an earlier
		// retransmission.
		c.flags |= undoPast
	}
}

// undoSpurious undoes a recovery if the peer echoes a timestamp older than the
// first retransmission: the original had arrived.
func (c *Conn) undoSpurious(e *Env, a *acked) {
	if c.phase == open || !c.has(undoKnown) || c.has(undoPast) {
		return
	}
	c.flags |= undoPast // only the first ACK that advances can tell
	if a.hasTS && a.ecr != 0 && int32(a.ecr-c.undoTS) < 0 {
		c.undo(e)
	}
}

// undoDuplicate counts the retransmissions that arrived twice.
func (c *Conn) undoDuplicate(e *Env, b Block) {
	if !c.has(undoDSACK) || c.undoLeft == 0 || b.From.Before(c.undoFrom) || b.To.After(c.recover) {
		return
	}
	if c.undoLeft--; c.undoLeft == 0 {
		c.undo(e)
	}
}

func (c *Conn) undo(e *Env) {
	e.Count.SpuriousRTOs++
	c.control().OnUndo(&c.cc)
	c.flags &^= undoDSACK
	c.phase = open
	c.dupAcks = 0
	c.lostEnd = c.sndUna
	c.unlose(e.Nodes)
}

// unlose puts the lost nodes back among those in flight. Bounded by the send
// queue, once per recovery.
func (c *Conn) unlose(ns *Nodes) {
	walk := maxWalk
	for id := c.gone.tail; id != 0; id = c.gone.tail {
		c.leave(ns, id)
		c.relaunch(ns, id, &walk)
	}
}

// relaunch puts a node that was sent some time ago among those in flight. Few
// of them, if any, were sent before it; should walk not suffice it stands too
// early and is found lost a little late.
func (c *Conn) relaunch(ns *Nodes, id uint32, walk *int) {
	n := ns.At(id)
	at, next := uint32(0), c.flight.head
	for ; next != 0 && ns.At(next).sent < n.sent && *walk > 0; *walk-- {
		at, next = next, ns.At(next).after
	}
	n.flags |= inFlight
	c.flight.insert(ns, at, id)
	c.pipe += n.len()
}

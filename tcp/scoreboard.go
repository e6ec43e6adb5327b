package tcp

// maxWalk bounds the nodes that the SACK blocks of one ACK may make us look at
// without marking any (CVE-2019-11478). Each node is marked once, so marking
// is paid for by sending. Honest blocks begin where the last ones ended.
const maxWalk = 512

// enterBlocks enters the SACK blocks of an ACK in the send queue.
func (c *Conn) enterBlocks(e *Env, seg *Segment, a *acked) {
	bs := seg.Opts.SACK[:seg.Opts.NSACK]
	a.blocks = len(bs) > 0
	if c.isDSACK(bs, seg.Ack) {
		e.Count.DSACKRecv++
		a.dsack, a.dup = true, bs[0]
		bs = bs[1:]
	}
	var seen [len(c.sackSeen)]Block
	n, walk := 0, maxWalk
	for _, b := range bs {
		if !b.To.After(c.sndUna) || b.To.After(c.sndNxt) || !b.From.Before(b.To) {
			continue
		}
		if b.From.Before(c.sndUna) {
			b.From = c.sndUna
		}
		if c.enterBlock(e, c.unseen(b), a, &walk) {
			seen[n] = b
			n++
		}
	}
	if n > 0 {
		c.sackSeen = seen
	}
}

// isDSACK reports whether the first block reports a duplicate (RFC 2883, 4):
// it lies before the acknowledgement or inside the second block.
func (c *Conn) isDSACK(bs []Block, ack Seq) bool {
	if len(bs) == 0 || !bs[0].From.Before(bs[0].To) || bs[0].To.After(c.sndNxt) {
		return false
	}
	b := bs[0]
	if !b.To.After(ack) {
		return !b.From.Before(c.sndUna - Seq(c.maxWnd)) // not from another age
	}
	return len(bs) > 1 && !b.From.Before(bs[1].From) && !b.To.After(bs[1].To)
}

// unseen cuts off what an earlier ACK's block told.
func (c *Conn) unseen(b Block) Block {
	for _, s := range c.sackSeen {
		if s.From == s.To {
			continue
		}
		if !s.From.After(b.From) && s.To.After(b.From) {
			if !s.To.Before(b.To) {
				return Block{b.To, b.To}
			}
			b.From = s.To
		} else if s.From.Before(b.To) && s.From.After(b.From) && !s.To.Before(b.To) {
			b.To = s.From
		}
	}
	return b
}

// enterBlock marks the nodes that b covers whole. A part of a node is left
// for later: it costs at most its retransmission. It reports whether the walk
// sufficed; if not, the next ACK gets further.
func (c *Conn) enterBlock(e *Env, b Block, a *acked, walk *int) bool {
	if b.From == b.To {
		return true
	}
	id := c.nearest(e.Nodes, b.From)
	for ; id != 0 && *walk > 0; *walk-- { // back to the first node that begins at or after From
		n := e.Nodes.At(id)
		e.Count.NodeVisits++
		if n.Prev == 0 || e.Nodes.At(n.Prev).Seq.Before(b.From) {
			break
		}
		id = n.Prev
	}
	run, hinted := uint32(0), false
	for id != 0 && id != c.fresh && *walk > 0 {
		n := e.Nodes.At(id)
		e.Count.NodeVisits++
		if !n.Seq.Before(b.To) {
			return true
		}
		if !hinted {
			c.hint, hinted = id, !n.Seq.Before(b.From)
		}
		if !n.Seq.Before(b.From) && !n.end().After(b.To) && n.flags&sacked == 0 {
			c.markSACKed(e, id, a)
		} else {
			*walk--
		}
		run = e.Nodes.join(run, id)
		if id = n.Next; n.flags&sacked != 0 && n.after != 0 {
			id = n.after
		}
	}
	return *walk > 0
}

// join notes that the SACKed nodes from run to id have no other between them:
// later walks jump. It returns the run's first node, 0 if id is not SACKed. Only
// later nodes are pointed to, which are not freed before.
func (ns *Nodes) join(run, id uint32) uint32 {
	switch {
	case ns.At(id).flags&sacked == 0:
		return 0
	case run == 0:
		return id
	}
	ns.At(run).after = id
	return run
}

// nearBehind is how far behind a place a node may be for the walk to begin there:
// backwards nothing is jumped over.
const nearBehind = 64

// nearest is the node among head, hint, the one sent first of those in flight, which is what likely
// arrived, and the one sent last, from which the walk to at is likely the shortest.
func (c *Conn) nearest(ns *Nodes, at Seq) uint32 {
	best, behind := c.sndq.head, uint32(0)
	for _, id := range [...]uint32{c.hint, c.flight.head, c.lastSent(ns)} {
		if id == 0 {
			continue
		}
		switch seq := ns.At(id).Seq; {
		case seq.After(at):
			if behind == 0 || seq.Before(ns.At(behind).Seq) {
				behind = id
			}
		case seq.After(ns.At(best).Seq):
			best = id
		}
	}
	if behind != 0 {
		if d := distance(ns.At(behind).Seq, at); d < distance(ns.At(best).Seq, at) && d < nearBehind*c.cc.MSS {
			return behind
		}
	}
	return best
}

// lastSent is the node of the highest sequence number that was sent.
func (c *Conn) lastSent(ns *Nodes) uint32 {
	if c.fresh != 0 {
		return ns.At(c.fresh).Prev
	}
	return c.sndq.tail
}

func (c *Conn) markSACKed(e *Env, id uint32, a *acked) {
	n := e.Nodes.At(id)
	if n.flags&again == 0 && (a.sackSent == 0 || n.sent < a.sackSent) {
		a.sackSent = n.sent
	}
	c.deliver(e, id, a)
	if c.isLarge(n.len()) {
		c.path.vanished = 0
	}
	n.flags |= sacked
	c.countSACKed(n, 1)
}

// countSACKed adds by, 1 or -1, to the number of SACKed nodes.
func (c *Conn) countSACKed(n *Node, by int) {
	c.sackedNodes += uint32(by)
	if n.flags&joined != 0 {
		c.sackedJoined += uint32(by)
	}
}

// renege takes back every SACK mark, if at a timeout the head has one: the peer
// dropped what it had reported (RFC 2018, 8).
func (c *Conn) renege(e *Env) bool {
	if e.Nodes.At(c.sndq.head).flags&sacked == 0 {
		return false
	}
	e.Count.SACKReneging++
	c.forgoUndo()
	walk := maxWalk
	for id := c.lastSent(e.Nodes); id != 0; id = e.Nodes.At(id).Prev {
		e.Count.NodeVisits++
		if n := e.Nodes.At(id); n.flags&sacked != 0 {
			n.flags &^= sacked
			c.relaunch(e.Nodes, id, &walk)
		}
	}
	c.sackedNodes, c.sackedJoined, c.hint = 0, 0, 0
	c.sackSeen = [len(c.sackSeen)]Block{}
	return true
}

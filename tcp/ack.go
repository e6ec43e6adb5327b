package tcp

// acked is what one acknowledgement told.
type acked struct {
	una       Seq    // SND.UNA before it
	prior     uint32 // bytes in flight before it
	delivered uint32 // bytes that arrived, cumulatively or by SACK
	ecr       uint32 // echoed timestamp
	hasTS     bool
	dsack     bool // dup is what came twice (RFC 2883)
	dup       Block
	blocks    bool // the ACK carries SACK blocks
	duplicate bool // a duplicate ACK (RFC 5681, 2), whether or not it counts
	orig      bool // what was sent once, before the timeout, arrived
	again     bool // retransmitted nodes were acknowledged: no RTT from cumulative ones
	firstSent Time // earliest and latest sending of nodes sent once and acknowledged
	lastSent  Time
	rated     rated
	sackSent  Time // earliest sending of nodes sent once and newly SACKed
}

// inputAck is the fifth step of RFC 9293, 3.10.7.4: the effects of an
// acceptable acknowledgement.
func (c *Conn) inputAck(e *Env, seg *Segment) {
	late := seg.Ack.Before(c.sndUna) // overtaken, but its SACK blocks may be news
	moved := !late && c.updateWindow(seg)
	if c.usable() > 0 {
		c.openWindow()
	}
	if c.sndUna == c.sndNxt && (!c.has(useSACK) || seg.Opts.NSACK == 0) {
		return // nothing is outstanding
	}
	a := acked{una: c.sndUna, prior: c.inFlight()}
	if c.has(useTS) && seg.Opts.Has&HasTS != 0 {
		a.hasTS, a.ecr = true, seg.Opts.TSEcr
	}
	if !late {
		c.acknowledge(e, seg.Ack, &a)
	}
	if c.has(useSACK) {
		c.enterBlocks(e, seg, &a)
	}
	if seg.Ack == a.una && seg.Len == 0 && !moved && seg.Flags&FIN == 0 {
		a.duplicate = true
		e.Count.DupAcks++
		if !c.has(useSACK) && !seg.NoDup && c.phase != rtoRecovery {
			// After a timeout everything is sent again, and what arrives
			// twice causes duplicate ACKs that mean nothing.
			c.dupAcks = min(c.dupAcks+1, 1<<15)
			a.delivered += c.cc.MSS
		}
	}
	rtt := c.measure(e, &a)
	switch {
	case c.sndUna != a.una:
		c.progress(e)
	case c.path.vanished > 0 && !late:
		c.answered(e, &a)
	}
	c.afterAck(e, seg, &a, rtt)
	if c.has(finQueued) && c.sndUna == c.sndEnd {
		c.finAcked(e)
	}
	if c.state != Closed && c.state != TimeWaitState {
		c.armRetry(e)
	}
}

// acknowledge frees what lies before ack. The loop is paid for by the bytes
// that were sent.
func (c *Conn) acknowledge(e *Env, ack Seq, a *acked) {
	for id := c.sndq.head; id != 0 && id != c.fresh; id = c.sndq.head {
		n := e.Nodes.At(id)
		e.Count.NodeVisits++
		if n.end().After(ack) {
			break
		}
		if n.flags&sacked != 0 {
			c.countSACKed(n, -1)
		} else {
			c.deliver(e, id, a)
			if n.flags&again != 0 {
				a.again = true
			} else {
				if a.firstSent == 0 {
					a.firstSent = n.sent
				}
				a.lastSent = max(a.lastSent, n.sent)
			}
		}
		if c.hint == id {
			c.hint = n.Next
		}
		c.sndq.pop(e.Nodes)
		e.release(id)
	}
	c.sndUna = ack
}

// deliver notes that a node arrived and takes it out of its list.
func (c *Conn) deliver(e *Env, id uint32, a *acked) {
	n := e.Nodes.At(id)
	a.delivered += n.len()
	a.rated.take(n)
	if n.flags&again == 0 && !n.end().After(c.recover) {
		a.orig = true
	}
	c.rackDeliver(e, n, a)
	if n.flags&probing != 0 {
		c.probeArrived(e, n)
	}
	c.leave(e.Nodes, id)
}

// progress: the peer acknowledged something new.
func (c *Conn) progress(e *Env) {
	c.timeouts = 0
	c.path.vanished = 0
	c.stall.Acked(e.Now, uint32(c.sndUna), uint32(c.sndEnd))
	if c.phase == fastRecovery && !c.has(useSACK) && c.sndUna.Before(c.recover) {
		// Impatient: a burst of losses takes a round trip for each, or one
		// timeout for all (RFC 6582, 4).
		if !c.has(partial) {
			c.flags |= partial
			c.rtoBase = e.Now
		}
	} else {
		c.rtoBase = e.Now
	}
	// Marks that lie behind must not come back as lying ahead when the
	// sequence space wraps.
	c.lostEnd = later(c.lostEnd, c.sndUna)
	if c.phase == open {
		c.recover = later(c.recover, c.sndUna-1)
	}
	c.undone = later(c.undone, c.sndUna)
	if c.sndUna.After(c.cwrEnd) {
		c.flags &^= cwrKnown
	}
	c.events |= Writable
}

func later(a, b Seq) Seq {
	if a.Before(b) {
		return b
	}
	return a
}

// afterAck is what loss recovery and congestion control make of it.
func (c *Conn) afterAck(e *Env, seg *Segment, a *acked, rtt Time) {
	advanced := c.sndUna != a.una
	recovering := c.phase == fastRecovery
	c.resolveTail(e, a)
	c.undoSpurious(e, a)
	if c.phase != open && advanced && !c.sndUna.Before(c.recover) {
		c.endRecovery()
	}
	if a.dsack {
		c.undoDuplicate(e, a)
	}
	lost := c.cc.rate.lost
	newly := c.detect(e, a)
	sample := c.cc.rate.sample(&a.rated, e.Now, c.minRTT, a.delivered)
	if c.phase == open && c.lostEnd.After(c.sndUna) {
		// Also when what was lost after the last recovery began has been
		// sent again in it: that loss is still to be answered.
		c.beginRecovery(e, a.prior, a.delivered, !c.onlyProbe(e.Nodes))
	}
	marked := seg.Flags&ECE != 0 && c.has(useECN)
	if marked {
		c.slowDown(e, a.prior)
	}
	round := advanced && !c.sndUna.Before(c.roundEnd)
	if round {
		c.roundEnd = c.sndNxt
	}
	// Duplicate ACKs let new data out but do not grow the window (RFC 3042),
	// unless it is known that the network reorders.
	if ctl := c.control(); advanced || a.delivered > 0 && (c.phase != open || c.has(reordering) || ctl.Leads()) {
		ctl.OnAck(&c.cc, AckSample{
			Now: e.Now, Acked: a.delivered, InFlight: a.prior, Pipe: c.inFlight(),
			RTT: rtt, SRTT: c.srtt, MinRTT: c.minRTT,
			Rate: sample, Lost: c.cc.rate.lost - lost,
			Limited: a.una.Before(c.limitedEnd) && !marked, Held: c.held(), Round: round,
			Recovery: recovering || c.phase == fastRecovery, Open: c.phase == open,
		})
		c.setPace(e.Conf)
	}
	c.limitedEnd = later(c.limitedEnd, c.sndUna) // after Limited was told
	if c.phase == fastRecovery {
		// Without SACK a partial ACK is how each hole is found, and repaired
		// at once (RFC 6582, 3.2).
		c.reduce(a.delivered, advanced && !newly, newly && !c.has(useSACK))
	}
	c.sendForward()
}

// finAcked: everything of ours, FIN included, has arrived.
func (c *Conn) finAcked(e *Env) {
	switch c.state {
	case FinWait1:
		c.state = FinWait2
		c.armWait(e)
	case Closing:
		c.timeWait(e)
	case LastAck:
		c.finish(e, NoError)
	}
}

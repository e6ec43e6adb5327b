package tcp

// Output names the next segment to send now, and takes it as sent; false:
// nothing (more) to send. Payload is named by seg.Run: the caller sends the
// span if it is Whole, or Gathers it. Call until false.
//
// The order: RST, SYN, retransmissions, new data and FIN, probes, ACK.
func (c *Conn) Output(e *Env, seg *Segment) bool {
	switch {
	case c.owe&oweRST != 0:
		c.outRST(e, seg)
	case c.state == Closed:
		return false
	case c.owe&oweSYN != 0:
		c.outSYN(e, seg)
	case c.synchronized() && (c.outLost(e, seg) || c.outTail(e, seg) || c.outFresh(e, seg) || c.outProbe(e, seg)):
	case c.owe&oweACK != 0 && c.state != SynSent:
		c.outAck(e, seg)
	default:
		return false
	}
	e.Count.OutSegs++
	return true
}

// fill begins a segment.
func (c *Conn) fill(e *Env, seg *Segment, f Flags, at Seq) {
	seg.Seq, seg.Flags = at, f
	seg.Ack, seg.Wnd, seg.Urg = 0, 0, 0
	seg.RawLen, seg.Len, seg.Data = 0, 0, nil
	seg.Run, seg.Mark, seg.Again = Run{}, 0, false
	seg.NoDup, seg.NoRoom, seg.ECN = false, false, NotECT
	seg.Opts.Has, seg.Opts.NSACK = 0, 0
	if f&ACK != 0 {
		seg.Ack = c.rcvNxt
	}
	if c.has(useTS) {
		seg.Opts.Has |= HasTS
		seg.Opts.TSVal = c.tsVal(e)
		seg.Opts.TSEcr = 0
		if f&ACK != 0 {
			seg.Opts.TSEcr = c.tsRecent
		}
	}
	if f&(SYN|RST) == 0 {
		seg.Flags |= c.echo()
		seg.Wnd = c.announce(e, false)
	}
}

func (c *Conn) outRST(e *Env, seg *Segment) {
	c.owe &^= oweRST
	if c.state != Closed {
		c.fill(e, seg, RST, c.rstSeq) // reject: the flow goes on
		return
	}
	c.fill(e, seg, RST|ACK, c.rstSeq)
	c.events |= Finished
}

func (c *Conn) outSYN(e *Env, seg *Segment) {
	f := SYN
	if c.state == SynRcvd {
		f |= ACK
	}
	c.fill(e, seg, f|c.ecnSYN(e, c.sndNxt != c.iss), c.iss)
	o := &seg.Opts
	o.Has |= HasMSS
	o.MSS = c.ourMSS
	if c.has(useSACK) {
		o.Has |= HasSACKOK
	}
	if c.has(useScale) {
		o.Has |= HasWScale
		o.WScale = c.rcvScale
	}
	seg.Wnd = c.announce(e, true)
	if c.sndNxt != c.iss {
		e.Count.RetransSegs++
		seg.Again = true
	} else {
		c.lastOut = e.Now
	}
	c.sndNxt = c.iss + 1
	c.owe &^= oweSYN | oweACK
	if c.retryKind == retryNone {
		c.setRetry(retrySYN, e.Now+c.rto)
	}
}

// outLost retransmits what was found lost, lowest sequence number first, as far
// as the congestion window goes.
func (c *Conn) outLost(e *Env, seg *Segment) bool {
	id := c.gone.head
	if id == 0 || c.has(forwardNew) || c.beyond(e.Nodes.At(id).Seq) {
		return false
	}
	if c.waits(e.Now) {
		return false
	}
	if id == c.sndq.head {
		c.suspect(e)
	}
	mss := c.mss()
	pipe := c.inFlight()
	if pipe > 0 && pipe+min(mss, e.Nodes.At(id).len()) > c.cc.Cwnd {
		return false
	}
	r, ok := c.cut(e, id, mss)
	if !ok {
		return c.noNode(e)
	}
	if c.phase == fastRecovery {
		e.Count.FastRetrans++
	}
	c.retransmitted(e, r)
	if r.seq == c.sndUna && !c.has(partial) {
		c.rtoBase = e.Now
	}
	c.emit(e, seg, r)
	return true
}

// outTail sends a tail loss probe: new data if the peer's window takes it,
// else the last segment again, whatever the congestion window says (RFC 8985,
// 7.3).
func (c *Conn) outTail(e *Env, seg *Segment) bool {
	if c.owe&oweTail == 0 {
		return false
	}
	c.owe &^= oweTail
	if c.phase != open || c.sndUna == c.sndNxt || c.has(tlpOut) {
		return false
	}
	id, again := c.fresh, false
	limit := c.mss()
	if id == 0 || c.usable() < min(limit, uint32(c.sndEnd-c.sndNxt)) {
		id, again = c.lastSegment(e.Nodes), true
		if e.Nodes.At(id).flags&inFlight == 0 {
			return false
		}
	}
	r, ok := c.cut(e, id, limit)
	if !ok {
		return c.noNode(e)
	}
	e.Count.TLPProbes++
	c.emit(e, seg, r)
	c.flags |= tlpOut
	if again {
		c.flags |= tlpAgain
	}
	c.tlpEnd = c.sndNxt
	c.rtoBase = e.Now
	c.armRetry(e)
	return true
}

// lastSegment is where the last segment sent begins: a FIN alone is nothing
// that the peer could report by SACK.
func (c *Conn) lastSegment(ns *Nodes) uint32 {
	id := c.lastSent(ns)
	if n := ns.At(id); n.flags&fin != 0 && n.Prev != 0 && ns.At(n.Prev).flags&inFlight != 0 {
		return n.Prev
	}
	return id
}

// outFresh sends new data, and the FIN.
func (c *Conn) outFresh(e *Env, seg *Segment) bool {
	if c.has(shut) && !c.has(finQueued) {
		c.queueFIN(e)
	}
	id := c.fresh
	if id == 0 {
		c.flags &^= paceLags // silence is not lateness
		if c.gone.head == 0 && c.inFlight() < c.cc.Cwnd {
			c.cc.rate.starve(e.Now)
		}
		return false
	}
	if c.waits(e.Now) {
		return false
	}
	limit, ok := c.allowed(e, id)
	if !ok {
		return false
	}
	limit = c.wouldProbe(e, id, limit)
	r, ok := c.cut(e, id, limit)
	if !ok {
		return c.noNode(e)
	}
	if r.fin && r.Len > 0 && r.Len >= c.usable() && !c.has(ownCredit) {
		r.fin, r.last = false, e.Nodes.At(r.last).Prev // no window for the FIN
	}
	c.owe &^= oweProbe
	c.emit(e, seg, r)
	c.drained(r.Len)
	return true
}

// allowed is how many bytes of new data may go in one segment that begins with
// node id; false: none now.
func (c *Conn) allowed(e *Env, id uint32) (limit uint32, ok bool) {
	mss, usable := c.mss(), c.usable()
	waits := uint32(c.sndEnd - c.sndNxt)
	if c.has(ownCredit) {
		if usable == 0 && e.Nodes.At(id).flags&fin == 0 {
			return 0, false
		}
	} else if usable < min(mss, waits) {
		// Silly window avoidance (RFC 9293, 3.8.6.2.1): wait for a useful
		// window, but not for ever.
		override := c.owe&oweProbe != 0 && usable > 0
		if usable == 0 || usable < c.maxWnd/2 && !override {
			if c.sndUna == c.sndNxt {
				c.closeWindow(e)
			}
			return 0, false
		}
	}
	c.restart(e)
	limit = max(min(mss, usable), 1)
	pipe := c.inFlight()
	if pipe > 0 && pipe+min(limit, waits) > c.cc.Cwnd {
		c.limitedEnd = c.sndNxt
		c.flags &^= paceLags
		return 0, false
	}
	return limit, true
}

// restart tells congestion control that the flow begins again.
func (c *Conn) restart(e *Env) {
	if c.sndUna == c.sndNxt {
		c.control().OnIdle(&c.cc, IdleSample{e.Now, e.Now - c.lastOut, c.rto, initialWindow(e.Conf, c.cc.MSS)})
	}
}

// noNode: the population of nodes is exhausted and a span had to be split. The
// next ACK or the timer tries again.
func (c *Conn) noNode(e *Env) bool {
	if c.retryKind == retryNone {
		c.setRetry(retryPersist, e.Now+c.rto)
	}
	return false
}

// emit writes the segment for a run and takes it as sent.
func (c *Conn) emit(e *Env, seg *Segment, r run) {
	f := ACK
	if r.fin {
		f |= FIN
	}
	end := r.seq + Seq(r.Len)
	if r.Len > 0 && (r.fin || end == c.sndEnd) {
		f |= PSH
	}
	idle := c.sndUna == c.sndNxt
	c.fill(e, seg, f, r.seq)
	seg.Run, seg.Len = r.Run, r.Len
	n := e.Nodes.At(r.Node)
	seg.Mark = n.Mark
	if r.Node != c.fresh {
		seg.Again = true
		e.Count.RetransSegs++
		if r.seq == c.sndUna {
			c.resent(r.Len)
		}
	} else {
		c.markFresh(seg)
		if c.has(ownCredit) {
			c.credit -= r.Len
		}
	}
	c.transmitted(e, r, r.Len > c.cc.MSS)
	c.charge(e.Now, r.Len)
	if c.phase == fastRecovery {
		c.prrOut += r.Len
	}
	if c.inFlight()+c.cc.MSS > c.cc.Cwnd {
		c.limitedEnd = c.sndNxt
	}
	// SACK blocks take what the payload leaves.
	used := c.tsRoom() + int(c.reserveData)
	room := min(MaxOptions, int(min(c.peerMSS, c.pathMSS))-int(r.Len)) - used
	c.acked(c.putBlocks(e.Nodes, &seg.Opts, room))
	if idle {
		c.rtoBase = e.Now
	}
	c.armRetry(e)
}

// acked notes that a segment that acknowledges RCV.NXT leaves. all: it also
// tells everything that is out of order.
func (c *Conn) acked(all bool) {
	c.lastAck = c.rcvNxt
	c.ackAt = 0
	if all && c.dupOwed == 0 {
		c.owe &^= oweACK
	}
}

// outProbe asks a silent peer for an ACK: an old sequence number makes it
// answer (RFC 9293, 3.8.4). Closed windows are probed so as well, without
// giving away a byte.
func (c *Conn) outProbe(e *Env, seg *Segment) bool {
	if c.owe&oweProbe == 0 {
		return false
	}
	c.owe &^= oweProbe
	if c.sndUna != c.sndNxt {
		return false
	}
	c.fill(e, seg, ACK, c.sndNxt-1)
	c.acked(false)
	return true
}

func (c *Conn) outAck(e *Env, seg *Segment) {
	c.fill(e, seg, ACK, c.sndNxt)
	c.putBlocks(e.Nodes, &seg.Opts, MaxOptions-c.tsRoom()-int(c.reserve))
	if c.dupOwed > 0 {
		c.dupOwed--
	}
	c.acked(true)
}

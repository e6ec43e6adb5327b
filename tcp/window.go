package tcp

// setWindow takes the peer's window from a segment.
func (c *Conn) setWindow(seg *Segment, scale uint8) {
	c.sndWnd = uint32(seg.Wnd) << scale
	c.maxWnd = max(c.maxWnd, c.sndWnd)
	c.wl1, c.wl2 = seg.Seq, seg.Ack
}

// updateWindow does so unless the segment is older than the one the window
// came from (RFC 9293, 3.10.7.4). It reports whether the window changed.
func (c *Conn) updateWindow(seg *Segment) bool {
	if c.wl1.After(seg.Seq) || c.wl1 == seg.Seq && c.wl2.After(seg.Ack) {
		return false
	}
	old := c.sndWnd
	c.setWindow(seg, c.sndScale)
	return c.sndWnd != old
}

// usable is how many bytes of new data may leave now.
func (c *Conn) usable() uint32 {
	if c.has(ownCredit) {
		return c.credit
	}
	return uint32(max((c.sndUna + Seq(c.sndWnd)).Sub(c.sndNxt), 0))
}

// held reports whether the peer's window lets less of what waits out than the
// congestion window would.
func (c *Conn) held() bool {
	return min(c.cc.Cwnd-min(c.cc.Cwnd, c.inFlight()), c.unsent()) > c.usable()
}

// beyond reports whether a segment at seq, sent before, lies beyond a window that
// the peer took back: it would be dropped. The first one is sent in any case
// (RFC 9293, 3.8.6).
func (c *Conn) beyond(seq Seq) bool {
	return !c.has(ownCredit) && seq.After(c.sndUna) && !seq.Before(c.sndUna+Seq(c.sndWnd))
}

// Credit lets n more bytes of new data go whatever the peer's window says.
// From the first call on only credit counts, retransmissions are exempt from
// any window, and persist is the wrapper's business.
func (c *Conn) Credit(n uint32) {
	c.flags |= ownCredit
	c.credit += n
	if c.retryKind == retryPersist {
		c.stopRetry()
	}
}

// SetWindow overrides flow control for a wrapper: advertise is the window
// (bytes) told to the peer from now on, accept how many bytes beyond RCV.NXT
// are taken. Before its first call both follow the receive buffer. Calling it
// does not send anything; AckNow does.
func (c *Conn) SetWindow(advertise, accept uint32) {
	c.flags |= ownWindow
	c.advertise, c.accept = advertise, accept
}

// acceptable is how many bytes beyond RCV.NXT are taken: what was promised.
func (c *Conn) acceptable() uint32 {
	if c.has(ownWindow) {
		return c.accept
	}
	return uint32(c.rcvAdv - c.rcvNxt)
}

// space is how much of the receive buffer is free, as far as the window field
// can tell of it. Each waiting node also takes its share of the nodes the flow
// may have.
func (c *Conn) space() uint32 {
	n := c.rcv.size - min(c.rcv.size, c.rcvBytes)
	nodes := c.maxNodes()
	return min(n, (nodes-min(nodes, c.rcvq.nodes))*512, (1<<16-1)<<c.rcvScale)
}

// nextEdge is the right edge we would announce now. It never moves back
// (RFC 9293, 3.8.6), and forward only by a useful step (3.8.6.2.2).
func (c *Conn) nextEdge(e *Env) Seq {
	edge := c.rcvNxt + Seq(e.Windows.Open(c.space()))
	step := edge.Sub(c.rcvAdv)
	if step < int32(min(c.rcv.size/2, uint32(c.ourMSS))) {
		return c.rcvAdv
	}
	return edge
}

// announce is the window field of a segment that leaves now.
func (c *Conn) announce(e *Env, syn bool) uint16 {
	if c.has(ownWindow) {
		n := c.advertise
		if !syn {
			n >>= c.rcvScale
		}
		return uint16(min(n, 1<<16-1))
	}
	if syn { // not scaled (RFC 7323, 2.2)
		wnd := uint16(min(c.space(), 1<<16-1))
		c.rcvAdv = c.rcvNxt + Seq(wnd)
		return wnd
	}
	wnd := uint32(c.nextEdge(e) - c.rcvNxt)
	field := min(RoundWindow(wnd, c.space(), c.rcv.size, c.rcvScale)>>c.rcvScale, 1<<16-1)
	if edge := c.rcvNxt + Seq(field<<c.rcvScale); edge.After(c.rcvAdv) {
		c.rcvAdv = edge
	}
	return uint16(field)
}

// RoundWindow is a window of n bytes as its field can tell it: rounded up, since
// rounding down would take back what was promised. But a peer that sends in
// small pieces would so be given a byte for each that it sends, for ever: what
// rounding adds to the free bytes of a buffer is at most a sixteenth of its
// size. Beyond that the field tells less than is taken (RFC 7323, 2.4).
func RoundWindow(n, free, size uint32, scale uint8) uint32 {
	unit := uint32(1) << scale
	up := (n + unit - 1) &^ (unit - 1)
	if up > free+max(size/16, unit) {
		return n &^ (unit - 1)
	}
	return up
}

// offerWindow owes an ACK when the reader made enough room that the peer
// should hear of it without having sent anything.
func (c *Conn) offerWindow(e *Env) {
	if c.has(ownWindow) || c.has(finKnown) || !c.synchronized() {
		return
	}
	step, open, size := uint32(c.nextEdge(e)-c.rcvAdv), uint32(c.rcvAdv-c.rcvNxt), c.rcv.size
	if step >= size/2 || step >= 2*uint32(c.rcvMSS) && (step >= size/4 || open <= size/8) {
		c.owe |= oweACK
	}
}

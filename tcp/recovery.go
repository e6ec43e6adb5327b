package tcp

// phase is where loss recovery stands.
type phase uint8

const (
	open         phase = iota
	fastRecovery       // a loss was found by ACKs; PRR leads the window
	rtoRecovery        // a timeout fired; slow start leads it
)

// detect marks what this ACK shows to be lost.
func (c *Conn) detect(e *Env, a *acked) bool {
	if c.has(useSACK) {
		c.adaptWindow(a)
		return c.detectLosses(e)
	}
	return c.detectReno(e, a)
}

// detectReno is NewReno (RFC 6582), for peers without SACK: three duplicate
// ACKs, or a partial one in recovery, mean that the head is lost.
func (c *Conn) detectReno(e *Env, a *acked) bool {
	switch advanced := c.sndUna != a.una; {
	case advanced && c.phase == open:
		c.dupAcks = 0
		return false
	case advanced:
		// Each segment below it was counted when its duplicate ACK came.
		got := uint16(min(uint32(c.sndUna-a.una)/c.cc.MSS, 1<<15))
		told := min(c.dupAcks, max(got, 1)-1)
		c.dupAcks -= told
		a.delivered -= min(a.delivered, uint32(told)*c.cc.MSS)
		if c.phase != fastRecovery {
			return false
		}
	// A retransmission that was needless causes duplicate ACKs, too: they are
	// of recover at most (RFC 6582, 3.2, step 2).
	case c.phase != open || c.dupAcks < dupThresh || !c.sndUna.After(c.recover):
		return false
	}
	return c.loseHead(e)
}

// loseHead marks the first segment's nodes.
func (c *Conn) loseHead(e *Env) (newly bool) {
	n := uint32(0)
	for id := c.sndq.head; id != 0 && id != c.fresh && n < c.cc.MSS; id = e.Nodes.At(id).Next {
		n += e.Nodes.At(id).len()
		if e.Nodes.At(id).flags&inFlight != 0 {
			c.lose(e.Nodes, id)
			newly = true
		}
	}
	return newly
}

// beginRecovery answers a loss once per window. prior is what was in flight
// before the ACK that found it, delivered what that ACK told to have arrived.
// Without blame (a smaller path MTU) the window is not reduced.
func (c *Conn) beginRecovery(e *Env, prior, delivered uint32, blame bool) {
	slowed := c.slowed()
	switch {
	case slowed: // once per window
	case blame:
		c.control().OnLoss(&c.cc, LossSample{Now: e.Now, InFlight: prior})
		c.reduced()
	default:
		c.cc.Ssthresh = c.cc.Cwnd
	}
	c.phase = fastRecovery
	c.recover = c.sndNxt
	c.beginReduce(delivered)
	c.beginUndo()
	c.flags &^= tlpOut | tlpAgain | partial
	if slowed {
		c.forgoUndo() // what a mark took is not given back
	}
}

// endRecovery: what was outstanding when it began has arrived.
func (c *Conn) endRecovery() {
	if c.phase == fastRecovery && !c.control().Leads() {
		c.cc.Cwnd = c.cc.Ssthresh // RFC 6937, 3
	}
	c.phase = open
	c.dupAcks = 0
	c.endForward()
	c.flags &^= partial
	if c.reoPersist > 0 {
		if c.reoPersist--; c.reoPersist == 0 {
			c.reoMult = 1
		}
	}
}

// timedOut begins recovery by timeout (RFC 6298, 5.4 to 5.6).
func (c *Conn) timedOut(e *Env) {
	e.Count.Timeouts++
	c.events |= Stalled
	if c.timeouts++; c.outOfPatience(e) || c.timeouts > c.dataRetries(e.Conf) && !c.dastardly(e) {
		c.giveUp(e)
		return
	}
	c.tryForward()
	if c.timeouts == 1 {
		// Once per loss: a repeated timeout says nothing new (RFC 5681, 3.1).
		again := c.phase == fastRecovery && c.sndUna.Before(c.recover)
		c.control().OnRTO(&c.cc, LossSample{Now: e.Now, InFlight: c.inFlight(), Again: again})
		c.reduced()
		c.beginUndo()
	}
	c.dupAcks = 0
	c.phase = rtoRecovery
	c.recover = c.sndNxt
	c.loseLate(e, c.renege(e))
	c.reorderAt = 0
	c.cc.Cwnd = c.pipe + c.cc.MSS // so that one segment goes
	c.rto = min(2*c.rto, max(c.maxRTO(e.Conf), c.timeout(e.Conf)))
	c.rtoBase = e.Now
	c.flags &^= tlpOut | tlpAgain | partial
	c.setRetry(retryRTO, c.soon(e, e.Now+c.rto))
}

// dastardly: the peer took its window back after we filled it. The
// retransmissions are then probes of that window, and as long as they are
// answered the flow lives (RFC 9293, 3.8.6.1), within the budget of a stall.
func (c *Conn) dastardly(e *Env) bool {
	if c.sndWnd != 0 || c.has(ownCredit) || c.lastIn < c.rtoBase {
		return false
	}
	if c.shutAt == 0 {
		c.shutAt = max(millis(e.Now), 1)
	}
	c.flags |= windowShut
	c.timeouts--
	return c.stall.Waited(e.Now) < e.Conf.PersistFor
}

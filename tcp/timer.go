package tcp

// retryKind says what the retry timer is for.
type retryKind uint8

const (
	retryNone    retryKind = iota
	retrySYN               // retransmit SYN or SYN-ACK
	retryRTO               // retransmit (RFC 6298)
	retryTail              // tail loss probe (RFC 8985, 7)
	retryPersist           // probe a closed window (RFC 9293, 3.8.6.1)
)

func (c *Conn) setRetry(k retryKind, at Time) { c.retryKind, c.retryAt = k, at }
func (c *Conn) stopRetry()                    { c.setRetry(retryNone, 0) }

// Deadline is when Expire is to be called next, or Never. A flow that may
// send now says so by Output, not here.
func (c *Conn) Deadline() Time {
	next := Never
	for _, t := range [...]Time{c.retryAt, c.reorderAt, c.ackAt, c.idleAt, c.waitAt} {
		if t != 0 && t < next {
			next = t
		}
	}
	if c.has(paceWait) {
		next = min(next, c.release)
	}
	return next
}

// due reports whether a timer is to run now, and stops it.
func due(t *Time, now Time) bool {
	if *t == 0 || *t > now {
		return false
	}
	*t = 0
	return true
}

// Expire runs what is due at e.Now. Extra calls are no-ops.
func (c *Conn) Expire(e *Env) {
	if c.state == Closed {
		return
	}
	c.waits(e.Now) // if it need not any more, Output goes on
	if due(&c.ackAt, e.Now) {
		c.owe |= oweACK
	}
	if due(&c.waitAt, e.Now) {
		c.expireWait(e)
	}
	if due(&c.reorderAt, e.Now) {
		c.expireReorder(e)
	}
	if due(&c.retryAt, e.Now) {
		c.expireRetry(e)
	}
	if due(&c.idleAt, e.Now) {
		c.expireIdle(e)
	}
}

func (c *Conn) expireRetry(e *Env) {
	k := c.retryKind
	c.retryKind = retryNone
	switch k {
	case retrySYN:
		if c.timeouts++; c.timeouts > c.synRetries(e.Conf) {
			c.giveUp(e)
			return
		}
		e.Count.Timeouts++
		c.rto = min(2*c.rto, e.Conf.MaxRTO)
		c.flags |= synAgain
		c.owe |= oweSYN
	case retryRTO:
		if c.sndUna != c.sndNxt {
			c.timedOut(e)
		}
	case retryTail:
		c.owe |= oweTail
		c.rtoBase = e.Now
		c.setRetry(retryRTO, e.Now+c.rto)
	case retryPersist:
		c.expirePersist(e)
	}
}

func (c *Conn) synRetries(conf *Config) uint8 {
	if c.has(passive) {
		return conf.SynAckRetries
	}
	return conf.SynRetries
}

// expirePersist probes the closed window, at growing intervals: as long as it
// has been closed, but no less than the RTO.
func (c *Conn) expirePersist(e *Env) {
	if !c.has(windowShut) {
		return // only a node was missing: Output tries again
	}
	if c.outOfPatience(e) || c.stall.Waited(e.Now) >= e.Conf.PersistFor {
		c.giveUp(e) // the peer answers but hardly reads: its budget is used up
		return
	}
	e.Count.PersistProbes++
	c.owe |= oweProbe
	closed := Time(millis(e.Now)-c.shutAt) * Millisecond
	c.setRetry(retryPersist, c.soon(e, e.Now+min(max(closed, c.rto), e.Conf.MaxRTO)))
}

// closeWindow: there is something to send, nothing outstanding that would
// bring an ACK, and no window.
func (c *Conn) closeWindow(e *Env) {
	if c.shutAt == 0 {
		c.shutAt = max(millis(e.Now), 1)
	}
	c.flags |= windowShut
	if c.retryKind == retryNone {
		c.setRetry(retryPersist, e.Now+c.rto)
	}
}

func (c *Conn) openWindow() {
	if c.has(windowShut) {
		c.flags &^= windowShut
		c.shutAt = 0
		if c.retryKind == retryPersist {
			c.stopRetry()
		}
	}
}

func (c *Conn) expireReorder(e *Env) {
	prior := c.inFlight()
	if c.detectLosses(e) && c.phase == open {
		c.beginRecovery(e, prior, 0, !c.onlyProbe(e.Nodes))
		c.reduce(0, false, false)
	}
	c.armRetry(e)
}

// armRetry sets the retry timer for what is outstanding.
func (c *Conn) armRetry(e *Env) {
	if c.sndUna == c.sndNxt {
		if c.retryKind != retryPersist {
			c.stopRetry()
		}
		return
	}
	rto := c.rtoBase + c.rto
	if e.Nodes.At(c.sndq.head).flags&sacked != 0 {
		// The peer seems to have dropped what it reported: do not wait long, but
		// for an ACK that was overtaken (RFC 2018, 8).
		c.setRetry(retryRTO, min(rto, c.rtoBase+max(c.srtt/2, minTail)))
		return
	}
	if tail := c.tailTime(e); tail != Never {
		c.setRetry(retryTail, min(tail, rto)) // RFC 8985, 7.2: in place of the RTO
		return
	}
	c.setRetry(retryRTO, c.soon(e, rto))
}

// armIdle starts the keepalive timer (RFC 9293, 3.8.4).
func (c *Conn) armIdle(e *Env) {
	if e.Conf.KeepIdle > 0 && !c.has(noKeep) {
		c.idleAt = c.lastIn + e.Conf.KeepIdle
	}
}

// expireIdle probes a peer that has been silent. The timer is not moved with
// every segment; it looks when it fires. What is outstanding has its own
// timer, and a peer that acknowledges probes of its window is alive.
func (c *Conn) expireIdle(e *Env) {
	switch {
	case c.sndUna != c.sndNxt || c.has(windowShut):
		c.idleAt = e.Now + e.Conf.KeepIdle
	case c.probes == 0 && e.Now < c.lastIn+e.Conf.KeepIdle:
		c.armIdle(e)
	case c.probes >= e.Conf.KeepProbes, c.probes > 0 && c.userTimeout > 0 && e.Now-c.lastIn >= c.patience(e.Conf):
		c.giveUp(e)
	default:
		c.probes++
		e.Count.KeepAlives++
		c.owe |= oweProbe
		c.idleAt = e.Now + e.Conf.KeepInterval
	}
}

// armWait bounds FIN-WAIT-2 when nobody is left to read what the peer may
// still send.
func (c *Conn) armWait(e *Env) {
	if c.has(orphan) && c.state == FinWait2 {
		c.waitAt = e.Now + e.Conf.FinWait2
	}
}

func (c *Conn) expireWait(e *Env) {
	if c.state == TimeWaitState {
		c.drop(e, false)
		c.state = Closed
		return
	}
	c.finish(e, NoError)
}

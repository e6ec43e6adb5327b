package tcp

// Path MTU discovery. What a router says is believed of segments in flight
// (RFC 1191, RFC 8201, RFC 5927). Where nobody says anything, large segments
// that vanish while small ones arrive tell the same (RFC 4821, 7.7; RFC 8899,
// 4.3): the first segment, sent again and again, is tried smaller. Whether the path
// takes more is found out by probes, which carry data.

// Sizes to fall back to when large segments vanish. Like pathMSS they are of a
// segment with its options.
const (
	baseMSS = 1220 // leaves 1280 bytes with IPv6's headers: every path of IPv6 and nearly every tunnel takes it
	minPath = 512  // leaves 552 bytes with IPv4's: the least MTU that is believed of a router
)

const (
	// maxVanished is how often a large first segment is sent again before it is
	// tried smaller; maxVanishedSmall if it would have been small enough for nearly
	// every path, and no other size has failed.
	maxVanished      = 2
	maxVanishedSmall = 6
	// maxProbes is how often a size is tried before it is taken for too large: a
	// probe may be lost like any other segment (RFC 8899, 5.1.2).
	maxProbes = 3
	// probeGap is the least time between probes.
	probeGap = Second
	// raiseAfter is how long the result is good: paths change (RFC 1191, 6.3; RFC
	// 8201, 4: not less than 5 minutes).
	raiseAfter = 600 * Second
	// fineEnough is how near the search comes to the path's MTU.
	fineEnough = 16
	// maxGathered bounds the nodes that make up a probe.
	maxGathered = 32
)

// pathSearch is what a flow knows of its path beyond pathMSS.
type pathSearch struct {
	at       uint32 // when to try a larger segment, in ms; 0: pathMSS is as large as it can be
	failed   uint16 // the least size that is known not to arrive; 0: none
	vanished uint8  // how often a large first segment was sent again since a large one arrived
	probes   uint8  // of the present size, that were lost
}

// sentAndUnacked reports whether seq is in flight: what an attacker off the
// path would have to guess (RFC 5927, 4.1).
func (c *Conn) sentAndUnacked(seq Seq) bool {
	return seq.In(c.sndUna, uint32(c.sndNxt-c.sndUna))
}

// Unreachable tells of an ICMP error whose quoted sequence number is seq: hard
// or soft (RFC 5927). Only a flow that is still connecting ends by a hard one.
func (c *Conn) Unreachable(e *Env, seq Seq, hard bool) {
	if c.state != SynSent && c.state != SynRcvd || !c.sentAndUnacked(seq) {
		return
	}
	if hard {
		e.Count.AttemptFails++
		c.finish(e, Unreachable)
		return
	}
	c.flags |= softError
}

// SetPathMSS lowers (never below the configured floor) what a segment may
// carry after an ICMP packet-too-big that quoted seq. valid: seq was in flight
// (RFC 5927, 4). news: the path was thought to take more.
func (c *Conn) SetPathMSS(e *Env, seq Seq, mss uint16) (valid, news bool) {
	if !c.synchronized() || !c.sentAndUnacked(seq) {
		return false, false // a SYN is never too long
	}
	mss = max(mss, e.Conf.MinMSS)
	if mss >= c.pathMSS {
		if mss < c.candidate() { // about a probe
			c.path.failed, c.path.probes = mss+1, 0
			c.conclude(e.Now)
		}
		return true, false
	}
	c.path = pathSearch{at: soonest(e.Now + raiseAfter)}
	c.lower(e, mss)
	return true, true
}

// lower makes segments smaller. What is in flight and larger is lost, but that is no sign of
// congestion (RFC 1191, 6.5).
func (c *Conn) lower(e *Env, mss uint16) {
	c.pathMSS = mss
	c.cc.MSS = c.mss()
	prior := c.inFlight()
	// Bounded by the send queue, and by the few times an MTU can shrink.
	for id := c.flight.head; id != 0; {
		n := e.Nodes.At(id)
		next := n.after
		n.flags &^= probing // it was of another search
		if n.len() > c.cc.MSS {
			c.lose(e.Nodes, id)
		}
		id = next
	}
	if c.gone.head != 0 && c.phase == open {
		c.beginRecovery(e, prior, 0, false)
	}
}

// options is how much less payload than pathMSS a segment carries.
func (c *Conn) options() uint32 { return uint32(c.tsRoom()) + uint32(c.reserveData) }

// smaller is the size that is tried if what is sent now vanishes.
func (c *Conn) smaller() uint16 {
	if now := min(c.pathMSS, c.peerMSS); now > baseMSS {
		return baseMSS
	}
	return minPath
}

// isLarge: a payload of n bytes takes more than a path takes for sure.
func (c *Conn) isLarge(n uint32) bool { return n+c.options() > uint32(c.smaller()) }

// resent counts that the first segment, of n bytes, was sent again. Into a closed
// window it is but a probe, and will be refused.
func (c *Conn) resent(n uint32) {
	if c.isLarge(n) && c.path.vanished < maxVanishedSmall && !c.refuses() {
		c.path.vanished++
	}
}

// refuses: the peer says that it takes nothing, whatever the path carries.
func (c *Conn) refuses() bool { return c.sndWnd == 0 && !c.has(ownCredit) }

// answered follows an ACK of nothing new after the first segment was sent again. The
// segment may have arrived and been refused for want of memory: a peer tells so by a closed
// window, or echoes the segment's own time, which none behind it could make it do (RFC 7323, 4.3).
func (c *Conn) answered(e *Env, a *acked) {
	n := e.Nodes.At(c.sndq.head)
	echoed := a.hasTS && n.flags&again != 0 && int32(a.ecr-TSClock(n.sent)-c.tsOffset) >= 0
	if echoed || c.refuses() {
		c.path.vanished = 0
	}
}

// suspect is asked before the first segment is sent again. A large one that vanishes
// time after time, while no other large one arrives, has met a black hole, or the path
// is cut: in both cases a small one does no harm. What it was is found out by the next probe.
func (c *Conn) suspect(e *Env) {
	now, mss := min(c.pathMSS, c.peerMSS), max(c.smaller(), e.Conf.MinMSS)
	switch {
	case c.path.vanished < maxVanished, now <= baseMSS && c.path.at == 0 && c.path.vanished < maxVanishedSmall:
		return
	case mss >= now, !c.isLarge(e.Nodes.At(c.sndq.head).len()):
		return
	}
	e.Count.BlackHoles++
	c.path = pathSearch{at: soonest(e.Now)}
	c.lower(e, mss)
	if c.phase == rtoRecovery {
		c.cc.Cwnd = min(c.cc.Cwnd, c.pipe+c.cc.MSS) // still so that one segment goes
	}
}

// candidate is the size to try next: at first all that peer and link take,
// then halfway between what arrives and what does not.
func (c *Conn) candidate() uint16 {
	if c.path.failed == 0 {
		return c.peerMSS
	}
	return c.pathMSS + (c.path.failed-c.pathMSS)/2
}

// wouldProbe is the payload of a probe that may go now, in place of new data of at most limit
// bytes; limit if none is due. It goes only when all is calm and more data follows, so that
// its loss is found out soon (RFC 4821, 7.3), and in one piece: bytes of one mark.
func (c *Conn) wouldProbe(e *Env, id, limit uint32) uint32 {
	if c.path.at == 0 || int32(millis(e.Now)-c.path.at) < 0 {
		return limit
	}
	if c.phase != open || c.timeouts > 0 || c.sackedNodes > 0 || !c.has(useSACK) {
		return limit
	}
	size := uint32(c.candidate()) - c.options()
	if size <= limit || limit < c.cc.MSS || c.usable() < size+limit || c.inFlight()+size > c.cc.Cwnd || !c.reaches(e.Nodes, id, size+1) {
		return limit
	}
	c.path.at = soonest(e.Now + max(probeGap, c.rto)) // so that one is out at a time
	e.Count.MTUProbes++
	return size
}

// reaches reports whether n bytes of one mark wait from node id on, in few nodes.
func (c *Conn) reaches(ns *Nodes, id, n uint32) bool {
	mark, sum := ns.At(id).Mark, uint32(0)
	for range maxGathered {
		if id == 0 || ns.At(id).Mark != mark || ns.At(id).flags&fin != 0 {
			return false
		}
		if sum += ns.At(id).len(); sum >= n {
			return true
		}
		id = ns.At(id).Next
	}
	return false
}

// probeArrived follows a node of a probe that was delivered.
func (c *Conn) probeArrived(e *Env, n *Node) {
	if n.flags&joined != 0 {
		return // its segment began with another
	}
	e.Count.MTUProbesOK++
	c.pathMSS = c.candidate()
	c.cc.MSS = c.mss()
	c.path.probes, c.path.at = 0, soonest(e.Now)
	if c.pathMSS >= c.peerMSS {
		c.path.at = 0
	}
	c.conclude(e.Now)
}

// probeLost follows a node of a probe that was found lost.
func (c *Conn) probeLost(n *Node) {
	if n.flags&joined != 0 {
		return
	}
	if c.path.probes++; c.path.probes >= maxProbes {
		c.path.failed, c.path.probes = c.candidate(), 0
	}
	c.conclude(n.sent)
}

// conclude ends the search when it is fine enough, until its result is too old.
func (c *Conn) conclude(now Time) {
	if c.path.failed != 0 && c.path.failed-c.pathMSS <= fineEnough {
		c.path.failed = 0
		c.path.at = soonest(now + raiseAfter)
	}
}

// onlyProbe reports whether nothing but a probe was found lost: that is no sign
// of congestion (RFC 4821, 7.6.2).
func (c *Conn) onlyProbe(ns *Nodes) bool {
	id := c.gone.head
	for range maxGathered {
		if id == 0 || ns.At(id).flags&probing == 0 {
			break
		}
		id = ns.At(id).after
	}
	return id == 0 && c.gone.head != 0
}

// soonest is a time for pathSearch.at, which is not 0.
func soonest(t Time) uint32 { return max(millis(t), 1) }

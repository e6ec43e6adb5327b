package tcp

// Explicit Congestion Notification (RFC 3168).

// ECN is the field of that name in the IP header (RFC 3168, 5).
type ECN uint8

const (
	NotECT ECN = iota
	ECT1
	ECT0 // what we send
	CE   // a router on the way met congestion
)

// Values of Config.ECN, as Linux numbers them.
const (
	ECNOff    uint8 = iota
	ECNOn           // ask for it, and accept it
	ECNAccept       // accept it when the peer asks
)

// setupSYN are the flags of a SYN that asks for ECN (RFC 3168, 6.1.1).
const setupSYN = ECE | CWR

// askECN: an active open may ask.
func (c *Conn) askECN(conf *Config) {
	if conf.ECN == ECNOn {
		c.flags |= ecnAsked
	}
}

// ecnSYN are the flags that our SYN or SYN-ACK adds. A SYN that was lost may
// have been lost for its asking: it is repeated without (RFC 3168, 6.1.1.1).
func (c *Conn) ecnSYN(e *Env, again bool) (f Flags) {
	if again && c.has(ecnAsked) {
		c.flags &^= ecnAsked
		e.Count.ECNFallbacks++
	}
	switch {
	case c.state == SynRcvd && c.has(useECN):
		return ECE
	case c.state == SynSent && c.has(ecnAsked):
		return setupSYN
	}
	return 0
}

// takeECN learns from the peer's SYN or SYN-ACK. A field that is set on a SYN
// comes from a network that sets it on everything: marks would mean nothing.
func (c *Conn) takeECN(e *Env, syn *Segment) {
	c.flags &^= useECN
	switch asks := syn.Flags & setupSYN; {
	case e.Conf.ECN == ECNOff || syn.ECN != NotECT:
	case syn.Flags&ACK == 0 && asks == setupSYN, // it asks
		syn.Flags&ACK != 0 && asks == ECE && c.has(ecnAsked): // it accepts; both flags are a SYN reflected
		c.flags |= useECN
	}
	c.flags &^= ecnAsked
}

// refusedECN reports whether a RST may be the answer of a middlebox to a SYN
// that asks for ECN: then it is tried once more without (RFC 3168, 6.1.1.1).
func (c *Conn) refusedECN(e *Env) bool {
	if !c.has(ecnAsked) {
		return false
	}
	c.flags &^= ecnAsked
	e.Count.ECNFallbacks++
	c.owe |= oweSYN
	return true
}

// noteCE takes the mark of a segment with payload. Every ACK echoes it until
// the peer says that it has slowed down (RFC 3168, 6.1.3).
func (c *Conn) noteCE(e *Env, seg *Segment) {
	if !c.has(useECN) || seg.Len == 0 {
		return
	}
	if seg.Flags&CWR != 0 {
		c.flags &^= echoCE
		c.owe |= oweACK // it may have no more than this one in flight
	}
	if seg.ECN == CE {
		e.Count.InCE++
		if !c.has(echoCE) {
			c.owe |= oweACK
		}
		c.flags |= echoCE
	}
}

// echo is the flag that an ACK adds.
func (c *Conn) echo() Flags {
	if c.has(echoCE) {
		return ECE
	}
	return 0
}

// markFresh lets new data say that routers may mark it, and that we have slowed
// down. Nothing else may be marked: not a retransmission, a probe or a pure ACK
// (RFC 3168, 6.1.4 to 6.1.6).
func (c *Conn) markFresh(seg *Segment) {
	if !c.has(useECN) || seg.Len == 0 {
		return
	}
	seg.ECN = ECT0
	if c.has(oweCWR) {
		c.flags &^= oweCWR
		seg.Flags |= CWR
	}
}

// slowDown answers an echoed mark as a loss is answered, but nothing has to be
// sent again, and once per window: what was sent before does not count again,
// nor does it if losses in the same window were answered (RFC 3168, 6.1.2).
func (c *Conn) slowDown(e *Env, prior uint32) {
	if c.phase != open || c.has(cwrKnown) && !c.sndUna.After(c.cwrEnd) {
		return
	}
	e.Count.ECNReductions++
	c.control().OnLoss(&c.cc, LossSample{Now: e.Now, InFlight: prior, ECN: true})
	c.reduced()
}

// reduced notes that the window was reduced, for a mark or a loss: with ECN the
// peer is told (RFC 3168, 6.1.2).
func (c *Conn) reduced() {
	c.cwrEnd = c.sndNxt
	if c.has(useECN) {
		c.flags |= oweCWR | cwrKnown
	}
}

// slowed reports whether what is outstanding was sent before a mark was
// answered: a loss among it is not answered again.
func (c *Conn) slowed() bool { return c.has(cwrKnown) && c.sndUna.Before(c.cwrEnd) }

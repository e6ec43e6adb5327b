package tcp

// Knobs for a wrapper that carries one stream over several flows, beside
// SetWindow, Credit, Reserve and AckNow.

// Unwrap gives flow control back to the flow: what SetWindow and Credit
// overrode is again its own buffer's and the peer's window.
func (c *Conn) Unwrap(e *Env) {
	limit := c.rcv.limit
	c.rcv.End(&e.Windows)
	c.rcv.Begin(&e.Windows, e.Conf.RcvStart, limit)
	if c.has(ownWindow) {
		c.rcvAdv = c.rcvNxt + Seq(c.advertise) // promised is promised
	}
	c.flags &^= ownWindow | ownCredit
	c.credit = 0
}

// Probe asks the peer for an ACK, as a keepalive does. It says nothing while
// data is outstanding, which asks already.
func (c *Conn) Probe() {
	if c.synchronized() {
		c.owe |= oweProbe
	}
}

// Persevere overrides the longest RTO and the number of consecutive ones
// before the flow is given up; 0 is the configured. A wrapper that has other
// flows to send on wants to learn soon that this one works again.
func (c *Conn) Persevere(longest Time, retries uint8) { c.longest, c.retries = longest, retries }

func (c *Conn) maxRTO(conf *Config) Time {
	if c.longest != 0 {
		return c.longest
	}
	return conf.MaxRTO
}

func (c *Conn) dataRetries(conf *Config) uint8 {
	if c.retries != 0 {
		return c.retries
	}
	return conf.DataRetries
}

// Couple makes NewReno's growth depend on what is not known here: CC.Gain and
// CC.Keep; 0 and 0 undo it.
func (c *Conn) Couple(gain int16, keep uint16) { c.cc.Gain, c.cc.Keep = gain, keep }

// Control changes the congestion controller, which begins with the window as it
// is; 0 is the configured one. False: not now, the old one leads a recovery.
func (c *Conn) Control(e *Env, ctl uint8) bool {
	old := c.control()
	if ctl == 0 {
		ctl = e.Conf.Controller
	}
	switch {
	case ctl == c.ctl:
		return true
	case c.phase != open || c.state < Established:
		return false
	}
	if old.Leads() {
		c.cc.Ssthresh = c.cc.Cwnd // it has none, but knows the path
		c.cc.Pace = 0
	}
	c.ctl = ctl
	c.control().Init(&c.cc, e.Now, c.minRTT)
	c.setPace(e.Conf)
	return true
}

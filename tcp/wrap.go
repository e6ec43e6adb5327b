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

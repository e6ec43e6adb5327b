package tcp

// Proportional Rate Reduction (RFC 6937, RFC 9937): in fast recovery the window
// goes to Ssthresh in proportion to what arrives, and not by a stop.

// beginReduce begins a reduction with an ACK that delivered some bytes. What had
// been SACKed before it will not be delivered any more (RFC 9937, 6.1).
func (c *Conn) beginReduce(delivered uint32) {
	c.prrDelivered, c.prrOut = 0, 0
	c.prrFlight = max(c.inFlight()+c.goneBytes+delivered, 1)
}

// reduce sets the window after an ACK (RFC 6937, 3.1). safe: the ACK made
// progress and found no further loss, so that one segment more than was
// delivered may go, as in slow start; else no more goes than was delivered
// (RFC 9937, 6.2). force: one segment goes in any case.
func (c *Conn) reduce(delivered uint32, safe, force bool) {
	if c.control().Leads() {
		return
	}
	c.prrDelivered += delivered
	pipe, mss := c.inFlight(), c.cc.MSS
	var n uint32
	if pipe > c.cc.Ssthresh {
		due := uint32(min((uint64(c.prrDelivered)*uint64(c.cc.Ssthresh)+uint64(c.prrFlight)-1)/uint64(c.prrFlight), 1<<31))
		n = due - min(due, c.prrOut)
	} else {
		n = max(c.prrDelivered-min(c.prrDelivered, c.prrOut), delivered)
		if safe {
			n += mss
		}
		n = min(n, c.cc.Ssthresh-pipe)
	}
	if force || c.prrOut == 0 {
		n = max(n, mss) // as does the first retransmission
	}
	c.cc.Cwnd = max(pipe+n, mss)
}

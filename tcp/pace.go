package tcp

// Pacing: segments leave in bursts, small enough not to fill a queue and large
// enough that a flow asks for the shard's wheel once per burst, not once per
// segment.
const (
	// paceShift makes a burst of what the rate carries in a millisecond (2^10
	// bursts a second), as in Linux.
	paceShift = 10
	// paceBurst bounds it: as long as a super-packet can be.
	paceBurst = 64 << 10
	// paceLate is how much of a late wake-up is made up for: a shard that must
	// wait for the processor waits for a time slice of others, 3 to 4 ms.
	paceLate = 4 * Millisecond
)

// Factors, in per cent, of the window per round trip at which a controller that
// does not pace itself is paced with Config.Pace: as in Linux, fast enough for
// slow start to double, and for congestion avoidance to find the next limit.
const (
	paceSlowStart = 200
	paceAvoidance = 120
)

// burst is how many bytes leave at once; 0: as many as the window lets.
func (cc *CC) burst() uint32 {
	if cc.Pace == 0 {
		return 0
	}
	return max(min(cc.Pace>>paceShift, paceBurst), 2*cc.MSS)
}

// waits reports whether the flow has used up its burst, and its next one is not due.
func (c *Conn) waits(now Time) bool {
	if c.flags&paceWait == 0 {
		return false
	}
	if c.cc.Pace != 0 && now < c.release {
		return true
	}
	// What a late wake-up missed is sent now; what a silent flow did not
	// send is not.
	c.flags = c.flags&^paceWait | paceLags
	return false
}

// charge moves the time of the next burst by what n bytes take.
func (c *Conn) charge(now Time, n uint32) {
	if c.cc.Pace == 0 {
		return
	}
	floor := now
	if c.has(paceLags) {
		floor -= paceLate
	}
	rate := uint64(c.cc.Pace)
	c.release = max(c.release, floor) + Time(uint64(n)*uint64(Second)/rate)
	ahead := c.release - now
	if ahead <= 0 {
		return
	}
	c.flags &^= paceLags
	// Half a segment is nobody's burst: it is what a tick of the wheel came late.
	full := uint64(c.cc.burst()-c.cc.MSS/2) * uint64(Second)
	if uint64(min(ahead, Second))*rate >= full || ahead >= Second {
		c.flags |= paceWait
	}
}

// setPace paces a controller that does not do it itself.
func (c *Conn) setPace(conf *Config) {
	if !conf.Pace || c.srtt == 0 || c.control().Leads() {
		return
	}
	percent := uint64(paceAvoidance)
	if c.cc.Cwnd < c.cc.Ssthresh/2 {
		percent = paceSlowStart
	}
	c.cc.Pace = perSecond(uint64(max(c.cc.Cwnd, c.inFlight()))*percent/100, c.srtt)
}

// perSecond is a rate that Pace can hold.
func perSecond(bytes uint64, in Time) uint32 {
	return uint32(min(max(bytes*uint64(Second)/uint64(max(in, 1)), 1), 1<<32-1))
}

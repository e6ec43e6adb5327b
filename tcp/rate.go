package tcp

// Delivery rates (draft-cheng-iccrg-delivery-rate-estimation-02): every node
// remembers how much had been delivered when it was sent, and when. Its
// ACK then tells how much was delivered in the meantime.

// rate is the sampler's state of a connection (3.1.1 of the draft).
type rate struct {
	at        Time   // when something was last delivered
	first     Time   // when the node sent first in the present sampling interval was sent
	delivered uint32 // bytes; it wraps
	lost      uint32 // bytes found lost; it wraps
	starved   uint32 // us; when the application had nothing to send though the window had room; 0: it had not
	limited   uint32 // what is sent before delivered passes it had no demand to fill the path; 0: none
}

// stamp is what a node remembers of when it was sent. Ages are microseconds
// before its sending, and at most 71 minutes.
type stamp struct {
	delivered uint32
	at, first uint32 // ages of rate.at and rate.first
}

// RateSample is what an ACK told of the path's rate.
type RateSample struct {
	Interval Time   // in which Bytes were delivered; 0: no sample
	Bytes    uint32 //
	Prior    uint32 // rate.delivered when the newest node delivered was sent
	Total    uint32 // rate.delivered now
	Limited  bool   // by the application: the path may be faster
}

// send stamps a node that leaves at now, with pipe bytes in flight before it.
// idle: nothing is outstanding.
func (r *rate) send(n *Node, now Time, pipe uint32, idle bool) {
	if idle {
		r.at, r.first = now, now
	}
	if r.starved != 0 {
		if r.starved != nonzero(micros(now)) { // or it had something more at once
			r.limit(pipe)
		}
		r.starved = 0
	}
	n.stamp = stamp{r.delivered, age(now - r.at), age(now - r.first)}
	n.flags &^= limited
	if r.limited != 0 {
		n.flags |= limited
	}
}

// age saturates.
func age(t Time) uint32 { return uint32(min(t/Microsecond, 1<<32-1)) }

// rated is the newest node that an ACK delivered, in the making of a sample.
type rated struct {
	sent    Time
	stamp   stamp
	limited bool
}

// take takes a delivered node into account.
func (s *rated) take(n *Node) {
	if n.sent >= s.sent && n.sent != 0 {
		*s = rated{n.sent, n.stamp, n.flags&limited != 0}
	}
}

// sample ends what an ACK tells: n bytes were delivered. A sample over less
// than the least RTT is of ACKs that came in a bunch, or of a node that was
// sent twice and delivered once (3.3 of the draft).
func (r *rate) sample(s *rated, now, minRTT Time, n uint32) (out RateSample) {
	if n > 0 {
		r.delivered += n
		r.at = now
	}
	if r.limited != 0 && int32(r.delivered-r.limited) > 0 {
		r.limited = 0
	}
	out.Total = r.delivered
	if s.sent == 0 {
		return out
	}
	r.first = s.sent
	sent := Time(s.stamp.first) * Microsecond
	acked := now - s.sent + Time(s.stamp.at)*Microsecond
	out.Prior, out.Bytes, out.Limited = s.stamp.delivered, r.delivered-s.stamp.delivered, s.limited
	if interval := max(sent, acked); interval >= minRTT && n > 0 {
		out.Interval = max(interval, 1)
	}
	return out
}

// starve notes that the application has nothing to send though the window has
// room.
func (r *rate) starve(now Time) { r.starved = nonzero(micros(now)) }

// limit says that what is in flight, pipe bytes, and what is sent until it has
// arrived, does not fill the path.
func (r *rate) limit(pipe uint32) { r.limited = nonzero(r.delivered + pipe) }

// nonzero is for fields in which 0 says that there is no value.
func nonzero(n uint32) uint32 { return max(n, 1) }

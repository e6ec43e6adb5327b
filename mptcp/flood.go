package mptcp

import "github.com/mpxd/mpxd/tcp"

// What floods of MP_JOIN SYNs may cost (RFC 6181, 7; RFC 7430, 2). One with an unknown token leaves nothing behind
// but a RST, of which the stack sends so many a second. One with a token that somebody overheard begins a
// subflow and costs an HMAC, and a second one when it is answered: so there are bounds
// for the handshakes in progress, of a connection and of all, and for how many begin. What is beyond
// them is dropped without a word: the SYN of who means it comes again, while a RST would end his attempt.
const (
	// maxHalfJoins bounds the joins in progress of a shard; of a connection as many may be as it may have subflows, since
	// a peer may open them all in one instant.
	maxHalfJoins = 1024
	// joinBurst joins of a connection may begin at once, then one each joinGap, in ms: more than paths come and go.
	joinBurst = 32
	joinGap   = 100
	// earlyFor is how long an unknown token may be that of a handshake by cookie, which its first join overtook.
	earlyFor = 3 * tcp.Second
)

// flooded reports whether a join that was admitted must wait, and counts it if not.
func (s *Set) flooded(e *tcp.Env, c *conn) bool {
	if _, half := s.census(c); half >= s.conf.MaxSubflows && !s.giveWay(e, c) || s.halfJoins >= maxHalfJoins {
		return true
	}
	now := uint32(e.Now / tcp.Millisecond)
	owed := int32(c.joinAt - now)
	if c.joinAt == 0 || owed < -joinBurst*joinGap || owed > joinGap { // none has begun, or long ago, however the clock has wrapped
		owed = -joinBurst * joinGap
	}
	if owed > 0 {
		return true
	}
	c.joinAt = now + uint32(owed+joinGap)
	return false
}

// giveWay ends the oldest join in progress whose SYN-ACK was not answered in time: an honest one takes a round trip.
func (s *Set) giveWay(e *tcp.Env, c *conn) bool {
	var oldest *subflow // newer ones stand in front
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.stage == joinRcvd && !sf.gone && sf.tcp.Status().Timeouts > 0 {
			oldest = sf
		}
	}
	if oldest == nil {
		return false
	}
	s.kill(e, c, oldest, LackOfResources)
	return true
}

// overtook reports whether a join with an unknown token may have come before the third ACK of a
// handshake by cookie: nothing is known of it yet.
func (s *Set) overtook(now tcp.Time) bool { return s.cookieAt != 0 && now < s.cookieAt+earlyFor }

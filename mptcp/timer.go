package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Expire runs what is due on a flow, as tcp.Conn.Expire.
func (s *Set) Expire(e *tcp.Env, f Flow) {
	sf := s.flow(f)
	if sf == nil {
		return
	}
	c := s.owner(sf)
	sf.tcp.Expire(e)
	if sf.ackAt <= e.Now {
		s.overdue(e, c, sf)
	}
	if sf.suspectAt <= e.Now {
		s.silent(e, c, sf)
	}
	s.settle(e, c, sf)
}

// Deadline is when a flow wants Expire; Never if it is gone.
func (s *Set) Deadline(f Flow) tcp.Time {
	sf := s.flow(f)
	if sf == nil {
		return tcp.Never
	}
	return min(sf.tcp.Deadline(), sf.ackAt, sf.suspectAt)
}

// overdue: what a subflow waits for was not acknowledged.
func (s *Set) overdue(e *tcp.Env, c *conn, sf *subflow) {
	sf.ackAt = tcp.Never
	switch sf.stage {
	case preEstablished:
		s.againThird(e, c, sf)
	case fastclosing:
		s.fastcloseAgain(e, sf)
	default:
		s.stalled(c, sf)
	}
}

// patience begins to wait for an acknowledgement, one RTO from the last one or
// from the first byte after a pause. tcp itself waits longer, since a tail probe
// puts its timeout off: there is no other path for it to go on.
func (sf *subflow) patience(now tcp.Time, st *tcp.Status) {
	sf.ackAt = tcp.Never
	if st.Unacked > 0 && !sf.stale {
		sf.ackAt = now + st.RTO
	}
}

// deadline is when a connection wants ExpireConn.
func (s *Set) deadline(c *conn) tcp.Time { return min(c.retransAt, c.probeAt, c.closeAt, c.pathAt) }

// ConnDeadline is when a connection wants ExpireConn; Never if its handle is dead.
func (s *Set) ConnDeadline(h Conn) tcp.Time {
	c := s.conn(h)
	if c == nil {
		return tcp.Never
	}
	c.reported = s.deadline(c)
	return c.reported
}

// ExpireConn runs the timers of a connection itself: data-level retransmission, zero-window probes, and the ends of a
// life without subflows or without application.
func (s *Set) ExpireConn(e *tcp.Env, h Conn) {
	c := s.conn(h)
	if c == nil {
		return
	}
	if c.closeAt <= e.Now && s.expireClose(e, c) {
		return
	}
	if c.retransAt <= e.Now {
		s.dataTimeout(e, c) // which may fall back: then no timer is left
	}
	if c.probeAt <= e.Now {
		s.probe(e, c)
	}
	if c.pathAt <= e.Now || c.changed {
		s.manage(e, c)
	}
	s.push(e, c)
	s.markConn(c)
}

// maxBackoff bounds the data-level timers at 64 times the longest RTO.
const maxBackoff = 6

// dataTimeout: the data at sndUna was not DATA_ACKed. As long as a subflow
// that works still tries to deliver it there, that is the subflow's business.
// If it was delivered there and dropped, or its subflow has ended, it is sent
// once more.
func (s *Set) dataTimeout(e *tcp.Env, c *conn) {
	s.Count.DataRTO++
	s.record(e, c, nil, Record{Kind: KindDataTimeout, Values: [2]uint64{c.sndNxt - c.sndUna, c.sndUna}})
	c.backoff = min(c.backoff+1, maxBackoff)
	c.retransAt = e.Now + c.rto<<c.backoff
	sf := s.only(c)
	heard := sf != nil && sf.heard
	if heard {
		sf.heard = false
	}
	switch {
	case c.failed:
		s.update(c)
		return
	case c.finSent && c.sndUna == c.sndEnd:
		s.repeatFin(e, c, sf, heard)
		return
	case c.again != 0 || c.sq.head == 0:
		return
	}
	origin, trying := s.holder(c)
	if trying {
		return
	}
	if sf != nil && s.revertible(c, sf) && (sf.bare > 0 || c.backoff == 1) {
		if sf.bare >= unheard {
			s.fallback(e, c, sf, &s.Count.DssFallback)
			return
		}
		sf.tcp.Probe() // before it is too late to fall back
		s.markFlow(sf)
		return
	}
	if origin != 0 {
		if v := s.flows.At(origin); v.bare >= unheard {
			if !c.joined {
				return // a join under way decides: if it fails, we fall back
			}
			s.Count.FallbackFailed++
			s.kill(e, c, v, Middlebox) // and what it carried goes to the others
			return
		}
	}
	n := min(c.sndNxt, c.sndEnd) - c.sndUna
	if open := int64(c.wndEnd - c.sndUna); open > 0 {
		n = min(n, uint64(open))
	} else {
		n = 1
	}
	s.pushRange(c, c.sndUna, uint32(min(n, maxBurst)), c.sq.head, origin, CauseTimeout)
}

// repeatFin sends the DATA_FIN once more. sf is a subflow, and heard whether it
// was since the last time. A peer that is there and does not acknowledge the
// DATA_FIN does not see it: options are stripped on the way.
func (s *Set) repeatFin(e *tcp.Env, c *conn, sf *subflow, heard bool) {
	s.Count.DataFinRetrans++
	if sf != nil && s.revertible(c, sf) {
		early := c.active && !sf.confirmed // nothing of MPTCP came since the SYN-ACK
		if c.backoff > unheard && (heard || early) {
			s.fallback(e, c, sf, &s.Count.DssFinFallback)
			return
		}
		if sf.owesKeys = early; !early { // the keys may have been lost too
			sf.tcp.Probe() // is anybody there?
		}
	}
	if sf != nil && c.nsub == 1 && c.joined {
		if c.backoff > unheard && heard {
			s.Count.FallbackFailed++
			s.kill(e, c, sf, Middlebox) // the peer may come back on another path
			return
		}
		sf.tcp.Probe() // it need not answer a DATA_FIN that it does not see
	}
	s.update(c)
}

// holder is a subflow that was given the byte at sndUna, rather one that delivered
// it, and whether one still works on it.
func (s *Set) holder(c *conn) (origin uint32, trying bool) {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if !sf.usable() {
			continue
		}
		acked := ssnOf(sf.iss, sf.una)
		for mi := sf.tx.head; mi != 0; {
			m := s.maps.At(mi)
			mi = m.next
			if after(m.dsn, c.sndUna) || !after(m.endDSN(), c.sndUna) {
				continue
			}
			at := m.ssn + uint32(c.sndUna-m.dsn)
			delivered := int32(at-acked) < 0
			if !delivered && (!sf.stale || s.usableBut(c, sf) == 0) {
				return sf.self, true
			}
			if delivered || origin == 0 {
				origin = sf.self
			}
		}
	}
	return origin, false
}

// probe asks whether the peer's window, which stopped us with nothing
// outstanding, has opened: an old sequence number makes the peer answer with
// its DATA_ACK and window (RFC 9293, 3.8.6.1), and gives no byte away.
func (s *Set) probe(e *tcp.Env, c *conn) {
	c.probeAt = tcp.Never
	if c.stall.Waited(e.Now) >= e.Conf.PersistFor {
		s.Count.StallTimeout++ // it answers but hardly reads: its budget is used up
		s.abort(e, c, tcp.TimedOut)
		return
	}
	c.backoff = min(c.backoff+1, maxBackoff)
	s.Count.WinProbe++
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.usable() {
			sf.tcp.Probe()
			s.markFlow(sf)
		}
	}
	s.watch(e, c)
}

// expireClose ends a connection that waited too long. One that was released
// and still delivers data may go on. It reports whether c is gone.
func (s *Set) expireClose(e *tcp.Env, c *conn) bool {
	if c.failed {
		s.unanswered(e, c)
		return false
	}
	if c.released && c.nsub > 0 && c.una != c.sndUna && c.stall.Waited(e.Now) < linger {
		c.una, c.closeAt = c.sndUna, e.Now+linger
		return false
	}
	s.Count.CloseTimeout++
	s.abort(e, c, tcp.TimedOut)
	if c.nsub == 0 && c.released {
		s.reap(e, c)
		return true
	}
	return false
}

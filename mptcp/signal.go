package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// signal is an address of ours that the peer is told of, or told to forget.
type signal struct {
	addr tcp.Addr
	at   tcp.Time // when to tell it (again); Never: it was told
	next uint32
	port uint16 // 0: the connection's
	id   uint8
	told uint8 // how often
	due  bool  // it stands in one of the next ACKs
	gone bool  // REMOVE_ADDR, not ADD_ADDR
}

const (
	// maxSignals of a connection: twice as many as Linux takes of a peer.
	maxSignals = 16
	// addTellings is how often an address is announced that nobody echoes:
	// from one RTO on, each wait twice as long (RFC 8684, 3.4.1), over a minute
	// in all for a short RTO.
	addTellings = 9
	// blindTellings is how often that is told which no answer is defined for:
	// a pure ACK may be lost, and nobody would know.
	blindTellings = 3
	// inARow is how many ACKs may say nothing but this (RFC 8684, 4).
	inARow = 2
)

// tellings is how often a signal is told at most.
func (g *signal) tellings(p profile) uint8 {
	if g.gone || !p.signs() {
		return blindTellings
	}
	return addTellings
}

// Announce tells the peer an address of ours, at a port, 0 being the
// connection's. An id of 0 lets one be chosen; announcing what was announced tells
// it again. False: the connection is not, or no longer, one of MPTCP, or has announced too much,
// or the id means something else.
func (s *Set) Announce(e *tcp.Env, h Conn, a tcp.Addr, port uint16, id uint8) (uint8, bool) {
	c := s.conn(h)
	if c == nil || !s.multipath(c) {
		return 0, false
	}
	id, ok := s.announce(e, c, a, port, id)
	s.replan(e, c)
	return id, ok
}

func (s *Set) announce(e *tcp.Env, c *conn, a tcp.Addr, port uint16, id uint8) (uint8, bool) {
	if id == 0 {
		var ok bool
		if id, ok = s.localID(c, &a, port); !ok {
			return 0, false
		}
		if id == 0 { // the first address, which has no need but for a port
			var taken idSet
			s.eachSignal(c, func(g *signal) { taken.add(g.id) })
			for _, v := range s.policy(c).Endpoints {
				taken.add(v.ID)
			}
			if id, ok = taken.free(); !ok {
				return 0, false
			}
		}
	}
	g := s.signalOf(c, id)
	switch {
	case g == nil:
		if g = s.newSignal(c, id); g == nil {
			return 0, false
		}
	case !g.gone && (g.addr != a || g.port != port):
		return 0, false // an id keeps its meaning until it is withdrawn (RFC 8684, 3.4.1)
	}
	g.addr, g.port, g.gone, g.due, g.told, g.at = a, port, false, false, 0, e.Now
	return id, true
}

// Withdraw tells the peer that the address with an id is no longer ours to
// use, and closes its subflows. False: the connection knows no such id.
func (s *Set) Withdraw(e *tcp.Env, h Conn, id uint8) bool {
	c := s.conn(h)
	if c == nil || !s.multipath(c) {
		return false
	}
	g := s.signalOf(c, id)
	known := g != nil && !g.gone
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.localID != id || sf.gone || sf.closing {
			continue
		}
		known = true
		s.disown(c, sf)
		s.closeSubflow(e, c, sf)
	}
	if !known {
		return false
	}
	if g == nil {
		g = s.newSignal(c, id)
	}
	if g != nil { // else the FINs must do
		g.gone, g.due, g.told, g.at = true, false, 0, e.Now
	}
	s.replan(e, c)
	return true
}

func (s *Set) eachSignal(c *conn, f func(*signal)) {
	for i := c.signals; i != 0; {
		g := s.ours.At(i)
		i = g.next
		f(g)
	}
}

func (s *Set) signalOf(c *conn, id uint8) (found *signal) {
	s.eachSignal(c, func(g *signal) {
		if g.id == id {
			found = g
		}
	})
	return found
}

// newSignal adds one; nil: they are too many.
func (s *Set) newSignal(c *conn, id uint8) *signal {
	n := 0
	s.eachSignal(c, func(*signal) { n++ })
	if n >= maxSignals {
		return nil
	}
	i, g, ok := s.ours.Alloc()
	if !ok {
		return nil
	}
	*g = signal{id: id, next: c.signals, at: tcp.Never}
	c.signals = i
	return g
}

func (s *Set) clearSignals(c *conn) {
	for c.signals != 0 {
		i := c.signals
		c.signals = s.ours.At(i).next
		s.ours.Free(i)
	}
}

// echoed: the peer has, or joins, an address of ours.
func (s *Set) echoed(c *conn, id uint8, a *tcp.Addr) {
	if g := s.signalOf(c, id); g != nil && !g.gone && g.addr == *a {
		g.at, g.due = tcp.Never, false
	}
}

// herald tells what is due, in ACKs of one subflow, so that nothing overtakes
// what was told before it, if it is not another one's turn since that did not help.
func (s *Set) herald(e *tcp.Env, c *conn) {
	if c.signals == 0 || !s.mayAnnounce(c) {
		return
	}
	adds, removes, told := 0, false, uint8(0)
	wait := s.slowest(c)
	for p := &c.signals; *p != 0; {
		g := s.ours.At(*p)
		if g.at <= e.Now && g.told >= g.tellings(c.profile) {
			g.at, g.due = tcp.Never, false
			if g.gone {
				i := *p
				*p = g.next
				s.ours.Free(i)
				continue
			}
			if c.profile.signs() {
				s.Count.AddAddrUnechoed++
			}
		}
		switch {
		case g.at > e.Now:
		case !g.gone && adds == inARow:
			g.at = e.Now + wait // the others had their turn
		default:
			g.due, g.at = true, e.Now+wait<<min(g.told, maxBackoff)
			told = max(told, g.told)
			g.told++
			adds += int(bit(!g.gone))
			removes = removes || g.gone
		}
		c.pathAt = min(c.pathAt, g.at)
		p = &g.next
	}
	if adds == 0 && !removes {
		return
	}
	if sf := s.voice(c, int(told)); sf != nil {
		sf.owesSignal = true
		sf.tcp.AckNow()
		s.markFlow(sf)
	}
}

// slowest is the longest RTO of the subflows that work: an answer may come on
// any of them.
func (s *Set) slowest(c *conn) (rto tcp.Time) {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.usable() {
			st := sf.tcp.Status()
			rto = max(rto, st.RTO)
		}
	}
	return max(rto, tcp.Millisecond)
}

// mayAnnounce: both sides know that they speak MPTCP, and there is a subflow
// to say it on.
func (s *Set) mayAnnounce(c *conn) bool {
	return (!c.active || c.confirmed) && s.voice(c, 0) != nil
}

// voice is the n-th of the subflows that work.
func (s *Set) voice(c *conn, n int) *subflow {
	var able [maxViews]*subflow
	k := 0
	for _, fresh := range [...]bool{true, false} {
		for i := c.first; i != 0 && k < len(able); {
			sf := s.flows.At(i)
			i = sf.next
			if sf.usable() && (!sf.stale && !sf.suspect) == fresh {
				able[k] = sf
				k++
			}
		}
		if k > 0 {
			return able[n%k]
		}
	}
	return nil
}

// putSignal writes what is due into an ACK of its own. It reports whether
// there was anything.
func (s *Set) putSignal(c *conn, sf *subflow, seg *tcp.Segment) (done bool) {
	var r removeOption
	for i := c.signals; i != 0; {
		g := s.ours.At(i)
		i = g.next
		if g.due && g.gone {
			r.ids[r.n] = g.id
			r.n++
			g.due = false
		}
	}
	if r.n > 0 {
		s.Count.RmAddrTx += uint64(r.n)
		r.put(seg)
		done = true
	}
	sf.owesSignal = false
	for i := c.signals; i != 0; {
		g := s.ours.At(i)
		i = g.next
		if !g.due {
			continue
		}
		if done { // the next ACK
			sf.owesSignal = true
			sf.tcp.AckNow()
			return true
		}
		g.due = false
		a := c.announcement(g)
		if !fits(seg, a.size()) {
			s.Count.AddAddrTxDrop++
			continue
		}
		s.Count.AddAddrTx++
		a.put(seg, c.profile)
		done = true
	}
	return done
}

// announcement is the ADD_ADDR of a signal.
func (c *conn) announcement(g *signal) addrOption {
	a := addrOption{id: g.id, addr: g.addr, port: g.port, hasPort: g.port != 0}
	if a.signed = c.profile.signs(); a.signed {
		a.mac = c.profile.addrMAC(c.localKey, c.remoteKey, &a)
	}
	return a
}

// fits reports whether n bytes of options fit into a segment's header.
func fits(seg *tcp.Segment, n int) bool {
	if int(seg.RawLen)+n > len(seg.Raw) {
		return false
	}
	seg.RawLen += uint8(n)
	defer func() { seg.RawLen -= uint8(n) }()
	return seg.HeaderLen() <= tcp.MaxHeader
}

// SetBackup makes a subflow one that both sides use only when no other works,
// or takes that back, and tells the peer (RFC 8684, 3.3.8).
func (s *Set) SetBackup(e *tcp.Env, f Flow, backup bool) bool {
	sf := s.flow(f)
	if sf == nil || sf.stage == plain || sf.gone || sf.closing {
		return false
	}
	c := s.owner(sf)
	sf.ownBackup = backup
	if p := s.aimOf(c, sf); p != nil {
		p.backup = backup
	}
	sf.prios = blindTellings
	c.pathAt = e.Now
	s.replan(e, c)
	s.settle(e, c, sf)
	return true
}

// insist repeats the priorities that were changed: nothing acknowledges them.
func (s *Set) insist(e *tcp.Env, c *conn) {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.prios == 0 || !sf.usable() {
			continue
		}
		sf.prios--
		sf.owesPrio = true
		sf.tcp.AckNow()
		s.markFlow(sf)
		if sf.prios > 0 {
			c.pathAt = min(c.pathAt, e.Now+s.slowest(c))
		}
	}
}

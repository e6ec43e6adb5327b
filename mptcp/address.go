package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// address is one that the peer announced. It is stored and echoed; whether it
// is connected to is the policy's business.
type address struct {
	addr     tcp.Addr
	port     uint16
	id       uint8
	echo     bool // it is owed
	accepted bool // the policy lets us connect there
	planned  bool // and it was seen to
	next     uint32
}

// maxAddresses of a peer are remembered.
const maxAddresses = 8

// signalling acts on the options that manage paths.
func (s *Set) signalling(e *tcp.Env, c *conn, sf *subflow, o *options) {
	if o.is(subAddAddr) {
		s.onAddAddr(e, c, sf, &o.add)
	}
	if o.is(subRemoveAddr) {
		s.onRemoveAddr(e, c, sf, &o.rm)
	}
	if o.is(subPrio) {
		s.onPrio(e, c, sf, o.prio)
	}
}

// onPrio takes the wish to use a subflow, or of version 0 all of an address
// (RFC 6824, 3.3.8), last, or no longer so.
func (s *Set) onPrio(e *tcp.Env, c *conn, sf *subflow, p prioOption) {
	s.Count.MPPrioRx++
	for i := c.first; i != 0; {
		v := s.flows.At(i)
		i = v.next
		if (p.hasID && v.remoteID == p.id || !p.hasID && v == sf) && v.backup != p.backup {
			v.backup = p.backup
			s.record(e, c, v, Record{Kind: KindSubPriority, ID: v.remoteID, Values: [2]uint64{uint64(bit(p.backup))}})
		}
	}
}

// onAddAddr verifies an address and owes its echo, or takes the echo of ours
// (RFC 8684, 3.4.1).
func (s *Set) onAddAddr(e *tcp.Env, c *conn, sf *subflow, a *addrOption) {
	if a.echo {
		s.Count.EchoAdd++
		s.echoed(c, a.id, &a.addr)
		s.record(e, c, sf, Record{Kind: KindEchoed, ID: a.id, Addr: a.addr, Port: a.port})
		return
	}
	if c.profile.signs() && a.mac != c.profile.addrMAC(c.remoteKey, c.localKey, a) {
		s.Count.AddAddrHMac++
		return // "SHOULD be silently ignored"
	}
	v := s.remember(e, c, sf, a)
	if v == nil {
		s.Count.AddAddrDrop++
		return
	}
	s.Count.AddAddr++
	if c.profile.signs() {
		v.echo, sf.owesEcho = true, true
		sf.tcp.AckNow()
	}
}

// remember stores an address; nil: it cannot. An id stays with its address until
// it is removed.
func (s *Set) remember(e *tcp.Env, c *conn, sf *subflow, a *addrOption) *address {
	n, accepted := 0, 0
	for i := c.addrs; i != 0; i = s.addrs.At(i).next {
		v := s.addrs.At(i)
		if v.id == a.id {
			if v.addr == a.addr && v.port == a.port {
				return v
			}
			return nil
		}
		n++
		accepted += int(bit(v.accepted))
	}
	if n >= maxAddresses {
		return nil
	}
	i, v, ok := s.addrs.Alloc()
	if !ok {
		return nil
	}
	*v = address{addr: a.addr, port: a.port, id: a.id, next: c.addrs}
	v.accepted = accepted < s.policy(c).AddAddrAccepted && dialable(&a.addr)
	c.addrs = i
	c.changed = c.changed || v.accepted
	s.record(e, c, sf, Record{Kind: KindAnnounced, ID: a.id, Addr: a.addr, Port: a.port})
	return v
}

// dialable reports whether an address may be another host's: a peer must not
// send us to ourselves, nor to many.
func dialable(a *tcp.Addr) bool {
	if a.Is4() {
		return a[12] != 0 && a[12] != 127 && a[12] < 224
	}
	for i := range 15 {
		if a[i] != 0 {
			return a[0] != 0xff
		}
	}
	return a[15] > 1 // neither :: nor ::1
}

func (s *Set) clearAddrs(c *conn) {
	for i := c.addrs; i != 0; {
		next := s.addrs.At(i).next
		s.addrs.Free(i)
		i = next
	}
	c.addrs = 0
}

// putEcho writes an echo that is due into an ACK of its own. It reports
// whether there was one.
func (s *Set) putEcho(c *conn, sf *subflow, seg *tcp.Segment) (done bool) {
	sf.owesEcho = false
	for i := c.addrs; i != 0; {
		v := s.addrs.At(i)
		i = v.next
		if !v.echo {
			continue
		}
		if done { // the next ACK
			sf.owesEcho = true
			sf.tcp.AckNow()
			return true
		}
		a := addrOption{echo: true, hasPort: v.port != 0, id: v.id, port: v.port, addr: v.addr}
		v.echo = false
		if !fits(seg, a.size()) {
			continue // it will be announced again
		}
		s.Count.EchoAddTx++
		a.put(seg, c.profile)
		done = true
	}
	return done
}

// silence is how long a subflow whose address was removed may be silent.
const silence = 3 * tcp.Second

// onRemoveAddr takes a withdrawal, which nothing authenticates but the
// sequence numbers. It forgets the announcement. A subflow of that address
// gets no new data and its data goes to the others; it is ended only if it
// then stays silent while another one lives, so that the option alone can
// neither end a working subflow nor the last one (RFC 8684, 3.4.2).
func (s *Set) onRemoveAddr(e *tcp.Env, c *conn, sf *subflow, r *removeOption) {
	for _, id := range r.ids[:r.n] {
		s.Count.RmAddr++
		s.record(e, c, sf, Record{Kind: KindRemoved, ID: id})
		s.forget(c, id)
		for i := c.first; i != 0; {
			v := s.flows.At(i)
			i = v.next
			if v.remoteID != id || !v.usable() || v.suspect {
				continue
			}
			v.unwanted = true
			if v == sf || s.usableBut(c, v) == 0 {
				s.Count.RmAddrDrop++ // it just spoke here, or it is the last
				continue
			}
			v.suspect, v.suspectAt = true, e.Now+silence
			s.reinject(c, v, CauseRemoved)
			v.tcp.Probe()
			s.markFlow(v)
		}
	}
}

// forget drops an announcement, and the paths that nobody is on yet.
func (s *Set) forget(c *conn, id uint8) {
	s.dropAims(c, func(p *aim) bool { return p.announced && p.remoteID == id && p.flow == 0 })
	for p := &c.addrs; *p != 0; p = &s.addrs.At(*p).next {
		if v := s.addrs.At(*p); v.id == id {
			i := *p
			*p = v.next
			s.addrs.Free(i)
			return
		}
	}
}

// usableBut counts the subflows that work besides one.
func (s *Set) usableBut(c *conn, but *subflow) int {
	n := 0
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf != but && sf.usable() && !sf.stale && !sf.suspect {
			n++
		}
	}
	return n
}

// silent ends a subflow whose address was removed and that did not answer, or
// that we closed and the peer did not.
func (s *Set) silent(e *tcp.Env, c *conn, sf *subflow) {
	sf.suspectAt = tcp.Never
	if sf.closing {
		s.kill(e, c, sf, Unspecified)
		return
	}
	if s.usableBut(c, sf) == 0 {
		sf.suspect = false
		return
	}
	s.Count.RmSubflow++
	s.kill(e, c, sf, Unspecified)
}

package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// address is one that the peer announced. It is stored and echoed; we, the
// side with the public address, never dial it: a peer must not make us open
// flows to whom it likes (RFC 7430, 4).
type address struct {
	addr tcp.Addr
	port uint16
	id   uint8
	next uint32
}

// maxAddresses of a peer are remembered.
const maxAddresses = 8

// signalling acts on the options that manage paths.
func (s *Set) signalling(e *tcp.Env, c *conn, sf *subflow, o *options) {
	if o.is(subAddAddr) {
		s.onAddAddr(c, sf, &o.add)
	}
	if o.is(subRemoveAddr) {
		s.onRemoveAddr(e, c, sf, &o.rm)
	}
	if o.is(subPrio) {
		s.Count.MPPrioRx++
		s.onPrio(c, sf, o.prio)
	}
}

// onPrio takes a wish for one subflow, or of version 0 for all of an address
// (RFC 6824, 3.3.8).
func (s *Set) onPrio(c *conn, sf *subflow, p prioOption) {
	if !p.hasID {
		sf.backup = p.backup
		return
	}
	for i := c.first; i != 0; {
		v := s.flows.At(i)
		i = v.next
		if v.remoteID == p.id {
			v.backup = p.backup
		}
	}
}

// onAddAddr verifies an address and owes its echo (RFC 8684, 3.4.1). Version 0
// has neither (RFC 6824, 3.4.1).
func (s *Set) onAddAddr(c *conn, sf *subflow, a *addrOption) {
	if a.echo {
		return // we announce none
	}
	if c.profile.signs() && a.mac != c.profile.addrMAC(c.remoteKey, c.localKey, a) {
		s.Count.AddAddrHMac++
		return // "SHOULD be silently ignored"
	}
	if !s.remember(c, a) {
		s.Count.AddAddrDrop++
		return
	}
	s.Count.AddAddr++
	if !c.profile.signs() {
		return
	}
	c.echo = addrOption{echo: true, hasPort: a.hasPort, id: a.id, port: a.port, addr: a.addr}
	sf.owesEcho = true
	sf.tcp.AckNow()
}

// remember stores an address. An id stays with its address until it is
// removed.
func (s *Set) remember(c *conn, a *addrOption) bool {
	n := 0
	for i := c.addrs; i != 0; i = s.addrs.At(i).next {
		if v := s.addrs.At(i); v.id == a.id {
			return v.addr == a.addr && v.port == a.port
		}
		n++
	}
	if n >= maxAddresses {
		return false
	}
	i, v, ok := s.addrs.Alloc()
	if !ok {
		return false
	}
	*v = address{addr: a.addr, port: a.port, id: a.id, next: c.addrs}
	c.addrs = i
	return true
}

func (s *Set) clearAddrs(c *conn) {
	for i := c.addrs; i != 0; {
		next := s.addrs.At(i).next
		s.addrs.Free(i)
		i = next
	}
	c.addrs = 0
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
		s.forget(c, id)
		for i := c.first; i != 0; {
			v := s.flows.At(i)
			i = v.next
			if v.remoteID != id || !v.usable() || v.suspect {
				continue
			}
			if v == sf || s.usableBut(c, v) == 0 {
				s.Count.RmAddrDrop++ // it just spoke here, or it is the last
				continue
			}
			v.suspect, v.suspectAt = true, e.Now+silence
			s.reinject(c, v)
			v.tcp.Probe()
			s.markFlow(v)
		}
	}
}

func (s *Set) forget(c *conn, id uint8) {
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

// silent ends a subflow whose address was removed and that did not answer.
func (s *Set) silent(e *tcp.Env, c *conn, sf *subflow) {
	sf.suspectAt = tcp.Never
	if s.usableBut(c, sf) == 0 {
		sf.suspect = false
		return
	}
	s.Count.RmSubflow++
	s.kill(e, c, sf, Unspecified)
}

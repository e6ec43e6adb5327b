package mptcp

import (
	"errors"

	"github.com/mpxd/mpxd/tcp"
)

// EndpointFlags say what the path manager does with an address of ours, in the
// words of Linux's `ip mptcp endpoint`.
type EndpointFlags uint8

const (
	Signal   EndpointFlags = 1 << iota // announce it to the peer
	Subflow                            // open a subflow from it to the peer's first address
	Backup                             // with Subflow: which is a backup
	Fullmesh                           // with Subflow: and others to the addresses that the peer announces
)

// Endpoint is an address of ours that connections may use beside the one they
// began with.
type Endpoint struct {
	Addr  tcp.Addr
	Port  uint16 // with Signal: where joins are to go; 0: the connection's port
	ID    uint8  // 1 to 255, of this policy's only one; 0: the lowest that is free
	Flags EndpointFlags
}

// Policy is what the path manager does for connections of one role.
type Policy struct {
	Endpoints []Endpoint // at most MaxEndpoints
	// AddAddrAccepted is how many addresses that the peer announces may be
	// connected to. 0, the default, is for servers: who connects to wherever a peer
	// says can be made to attack others (RFC 7430, 4).
	AddAddrAccepted int
	// Subflows is how many there are between the first two addresses, each from
	// a port of its own; 0: 1.
	Subflows int
}

// MaxEndpoints of a policy.
const MaxEndpoints = 32

// Check finds what is wrong with a policy.
func (p *Policy) Check() error {
	var ids [256]bool
	if len(p.Endpoints) > MaxEndpoints || p.AddAddrAccepted < 0 || p.Subflows < 0 {
		return errors.New("mptcp: a policy is out of bounds")
	}
	for i := range p.Endpoints {
		v := &p.Endpoints[i]
		switch {
		case v.Flags&(Signal|Subflow) == 0:
			return errors.New("mptcp: an endpoint is neither for signal nor for subflow")
		case v.Flags&(Backup|Fullmesh) != 0 && v.Flags&Subflow == 0:
			return errors.New("mptcp: backup and fullmesh are of endpoints for subflow")
		case v.Port != 0 && v.Flags&Signal == 0:
			return errors.New("mptcp: a port is of endpoints for signal")
		case v.ID != 0 && ids[v.ID]:
			return errors.New("mptcp: two endpoints have one id")
		}
		ids[v.ID] = true
	}
	return nil
}

// numbered is the policy with all ids given.
func (p Policy) numbered() Policy {
	var taken idSet
	for _, v := range p.Endpoints {
		taken.add(v.ID)
	}
	p.Endpoints = append([]Endpoint(nil), p.Endpoints...)
	for i := range p.Endpoints {
		if v := &p.Endpoints[i]; v.ID == 0 {
			v.ID, _ = taken.free()
			taken.add(v.ID)
		}
	}
	return p
}

// policy of a connection's role.
func (s *Set) policy(c *conn) *Policy {
	if c.active {
		return &s.conf.Active
	}
	return &s.conf.Passive
}

// idSet is a set of address ids.
type idSet [4]uint64

func (t *idSet) add(id uint8)      { t[id/64] |= 1 << (id % 64) }
func (t *idSet) has(id uint8) bool { return t[id/64]>>(id%64)&1 != 0 }

// free is the lowest id that is not in the set; 0, the first address's, is
// never free.
func (t *idSet) free() (uint8, bool) {
	for id := 1; id < 256; id++ {
		if !t.has(uint8(id)) {
			return uint8(id), true
		}
	}
	return 0, false
}

// localID is the id by which the peer knows, or shall know, an address of ours:
// what was announced with the port, 0 for the first subflow's address, what is
// configured, what another subflow has (RFC 8684, 3.2: an id names an address).
// False: none is left.
func (s *Set) localID(c *conn, a *tcp.Addr, port uint16) (uint8, bool) {
	var taken idSet
	found, known := uint8(0), false
	note := func(id uint8, same bool) {
		taken.add(id)
		if same && !known {
			found, known = id, true
		}
	}
	for i := c.signals; i != 0; {
		g := s.ours.At(i)
		i = g.next
		note(g.id, g.addr == *a && !g.gone && g.port == port)
	}
	note(0, *a == c.tuple.Local)
	for i := c.signals; i != 0; {
		g := s.ours.At(i)
		i = g.next
		note(g.id, g.addr == *a && !g.gone && g.port == 0)
	}
	for i := range s.policy(c).Endpoints {
		v := &s.policy(c).Endpoints[i]
		note(v.ID, v.Addr == *a && v.Port == 0)
	}
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		note(sf.localID, sf.localID != 0 && sf.tuple.Local == *a)
	}
	if known {
		return found, true
	}
	return taken.free()
}

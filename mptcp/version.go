package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Offer is which version an active open offers.
type Offer uint8

const (
	OfferV1   Offer = iota // RFC 8684
	OfferV0                // RFC 6824
	OfferBoth              // version 1, and version 0 to whom ignored it lately
)

// A listener that speaks only version 0 wants a key in the SYN: it ignores an
// offer of version 1, and plain TCP results. Whether it would take one of version 0
// only the next connection can find out (RFC 8684, 3.1: "An initiator MAY cache
// information for a peer about what version of MPTCP it supports").
const (
	// versionFor is how long an answer counts, as Linux remembers a path that
	// swallows SYNs with MPTCP.
	versionFor = 3600 * tcp.Second
	// maxVersions destinations are remembered, each in one place: a later one
	// takes it.
	maxVersions = 256
)

// versions remembers the destinations that ignored an offer of version 1.
type versions [maxVersions]struct {
	addr  tcp.Addr
	port  uint16
	until tcp.Time
}

// place of a destination.
func (v *versions) place(a *tcp.Addr, port uint16) int {
	h := uint32(port)
	for _, b := range a {
		h = (h ^ uint32(b)) * 16777619 // FNV-1a
	}
	return int(h>>8^h) % maxVersions
}

// ignored notes what became of an offer of version 1.
func (v *versions) ignored(now tcp.Time, a *tcp.Addr, port uint16, yes bool) {
	p := &v[v.place(a, port)]
	if yes {
		p.addr, p.port, p.until = *a, port, now+versionFor
	} else if p.addr == *a && p.port == port {
		p.until = 0
	}
}

// older reports whether a destination is to be offered version 0.
func (v *versions) older(now tcp.Time, a *tcp.Addr, port uint16) bool {
	p := &v[v.place(a, port)]
	return p.until > now && p.addr == *a && p.port == port
}

// offer is the profile to offer to a destination.
func (s *Set) offer(e *tcp.Env, t *tcp.Tuple) profile {
	if s.conf.Offer == OfferV0 || s.conf.Offer == OfferBoth && s.versions.older(e.Now, &t.Remote, t.RemotePort) {
		return v0
	}
	return v1
}

// learn notes whether the peer took our offer.
func (s *Set) learn(e *tcp.Env, c *conn, taken bool) {
	if c.profile == v1 {
		s.versions.ignored(e.Now, &c.tuple.Remote, c.tuple.RemotePort, !taken)
	}
}

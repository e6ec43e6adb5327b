package stack

import (
	"hash/maphash"

	"github.com/mpxd/mpxd/tcp"
)

// CookieMode says when SYNs are answered by cookies: without keeping anything.
type CookieMode uint8

const (
	CookiesAuto   CookieMode = iota // when too many handshakes are in progress
	CookiesNever                    // more are dropped then
	CookiesAlways                   // for tests: handshakes then cost as much as in a flood
)

// halfOpen counts the handshakes in progress: per listening port, and per
// prefix of the sources, so that one network's flood does not cost the others
// what a cookie cannot keep (RFC 4987, 3).
type halfOpen struct {
	mode     CookieMode
	limit    int // per listening port
	seed     maphash.Seed
	ports    map[uint16]int
	prefixes [halfOpenPrefixes]uint16
}

// halfOpenPrefixes is how many counters the prefixes share. Who shares one with a
// flood gets cookies, no worse.
const halfOpenPrefixes = 1024

// halfOpenShare is how much of a port's limit one prefix may have.
const halfOpenShare = 4

type admission uint8

const (
	admit admission = iota
	cookie
	refuse
)

// admit decides about a SYN. One that takes over a tuple from TIME-WAIT must
// not be answered by a cookie, whose number may lie within the old flow's;
// nobody can forge many.
func (h *halfOpen) admit(t *tcp.Tuple, reuse bool) admission {
	full := h.ports[t.LocalPort] >= h.limit || int(*h.prefix(&t.Remote)) >= max(h.limit/halfOpenShare, 1)
	switch {
	case reuse && h.ports[t.LocalPort] < 2*h.limit:
		return admit
	case full && (h.mode == CookiesNever || reuse):
		return refuse
	case full || h.mode == CookiesAlways:
		return cookie
	}
	return admit
}

func (h *halfOpen) begin(t *tcp.Tuple) {
	h.ports[t.LocalPort]++
	*h.prefix(&t.Remote)++
}

func (h *halfOpen) end(t *tcp.Tuple) {
	h.ports[t.LocalPort]--
	*h.prefix(&t.Remote)--
}

// prefix is the counter of a source's network: what one host can forge or has
// been given, a /24 or a /48.
func (h *halfOpen) prefix(a *tcp.Addr) *uint16 {
	p := *a
	if p.Is4() {
		p[15] = 0
	} else {
		clear(p[6:])
	}
	return &h.prefixes[maphash.Comparable(h.seed, p)%halfOpenPrefixes]
}

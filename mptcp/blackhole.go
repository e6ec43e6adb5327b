package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Paths that swallow SYNs with MP_CAPABLE: on them a connection begins only
// when a SYN goes without, seconds late (RFC 8684, 3.9.3). Who met one begins with plain
// TCP for a while, and tries again then; the while doubles each time the path is
// found to be one still.
const (
	// blackholeFor is how long the first time, as Linux does
	// (net.mptcp.blackhole_timeout).
	blackholeFor = 3600 * tcp.Second
	// blackholeMost bounds the doubling: 64 hours.
	blackholeMost = 6
	// maxBlackholes are remembered, each in one place: a later one takes it.
	maxBlackholes = 256
)

// blackholes remembers paths by their addresses.
type blackholes [maxBlackholes]struct {
	local, remote tcp.Addr
	until         tcp.Time // 0: none
	strikes       uint8
}

// place of a path.
func (b *blackholes) place(t *tcp.Tuple) int {
	h := uint32(2166136261)
	for i := range t.Remote {
		h = (h ^ uint32(t.Remote[i])) * 16777619 // FNV-1a
		h = (h ^ uint32(t.Local[i])) * 16777619
	}
	return int(h>>8^h) % maxBlackholes
}

// swallowed notes that a SYN with MP_CAPABLE got no answer where one without
// did.
func (b *blackholes) swallowed(now tcp.Time, t *tcp.Tuple) {
	p := &b[b.place(t)]
	if p.local != t.Local || p.remote != t.Remote {
		p.local, p.remote, p.strikes = t.Local, t.Remote, 0
	}
	p.until = now + blackholeFor<<p.strikes
	p.strikes = min(p.strikes+1, blackholeMost)
}

// carried notes that one got an answer.
func (b *blackholes) carried(t *tcp.Tuple) {
	if p := &b[b.place(t)]; p.local == t.Local && p.remote == t.Remote {
		p.until, p.strikes = 0, 0
	}
}

// has reports whether a path is known to be one now.
func (b *blackholes) has(now tcp.Time, t *tcp.Tuple) bool {
	p := &b[b.place(t)]
	return p.until > now && p.local == t.Local && p.remote == t.Remote
}

package stack

import (
	"hash/maphash"

	"github.com/mpxd/mpxd/tcp"
)

// paths remembers what routers told of narrow paths, for the connections and joins
// to come (RFC 1191, 6.1 and 6.3; RFC 8201, 5.2 and 5.3). A path is a pair of addresses: each
// address of ours may have an uplink of its own. Only what a flow has validated is entered, so
// that nobody off a path can say anything about it.
//
// It is a table of sets, by a keyed hash: bounded, without pointers, and who fills
// one set with addresses of his own makes a few others learn anew.
type paths struct {
	seed    maphash.Seed
	entries []path // none until the first is learnt
}

type path struct {
	pair addrPair
	at   tcp.Time // when it was last told
	mtu  uint16   // 0: free
}

type addrPair struct{ local, remote tcp.Addr }

const (
	pathSets = 1024
	pathWays = 4
	// pathAge is how long an MTU is remembered: then the path may have become wider (RFC 1191,
	// 6.3: about 10 minutes; RFC 8201, 4: not less than 5).
	pathAge = 600 * tcp.Second
)

// mtu of a path, or otherwise if nothing smaller is known.
func (ps *paths) mtu(t *tcp.Tuple, now tcp.Time, otherwise int) int {
	if ps.entries == nil {
		return otherwise
	}
	pair := addrPair{t.Local, t.Remote}
	for _, p := range ps.set(&pair) {
		if p.pair == pair && p.good(now) {
			return min(int(p.mtu), otherwise)
		}
	}
	return otherwise
}

// learn enters the MTU of a path. While an entry is good it only becomes smaller: what is
// behind one address may be several ways. It reports whether one that was good had to give way.
func (ps *paths) learn(t *tcp.Tuple, mtu uint16, now tcp.Time) (evicted bool) {
	if ps.entries == nil {
		ps.entries = make([]path, pathSets*pathWays)
	}
	pair := addrPair{t.Local, t.Remote}
	set := ps.set(&pair)
	oldest := &set[0]
	for i := range set {
		p := &set[i]
		switch {
		case p.pair == pair && p.good(now):
			if mtu <= p.mtu {
				p.mtu, p.at = mtu, now
			}
			return false
		case !p.good(now):
			p.mtu, p.at = 0, 0
		}
		if p.at < oldest.at {
			oldest = p
		}
	}
	evicted = oldest.mtu != 0
	*oldest = path{pair, now, mtu}
	return evicted
}

func (p *path) good(now tcp.Time) bool { return p.mtu != 0 && now < p.at+pathAge }

func (ps *paths) set(pair *addrPair) []path {
	i := maphash.Comparable(ps.seed, *pair) % pathSets * pathWays
	return ps.entries[i : i+pathWays]
}

// plateau is the MTU to assume when a router says only that a packet of n bytes was too
// long: the next of the sizes that links have (RFC 1191, 7.1).
func plateau(n int) int {
	for _, mtu := range [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1280, 1006} {
		if mtu < n {
			return mtu
		}
	}
	return minMTU4
}

package proxy

import (
	"net/netip"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// side is one of a session's two connections, and the direction of the bytes
// that come from it: client's bytes go up, upstream's go down.
type side uint8

const (
	client side = iota
	upstream
)

func (a side) other() side { return a ^ 1 }

// state is how far a session is.
type state uint8

const (
	greeted    state = iota // waiting for the greeting
	asked                   // waiting for the request
	resolving               // waiting for the resolver
	connecting              // waiting for the upstream leg
	relaying
	refusing // told why not; waiting for the client to close
)

// session is one client and what it is joined with. No Go pointers.
type session struct {
	leg   [2]mptcp.Conn
	held  [2]frame.Span // from that side, taken and not yet sent to the other; Len 0: none
	moved [2]uint64     // bytes from that side which the other took
	shut  [2]bool       // that side has ended, and the other was told
	over  [2]bool       // both directions of that leg are over

	state    state
	reply    Code
	mptcp    bool
	subflows uint8 // of the client leg, the most that were seen

	handshake uint32 // index of what only the beginning needs; 0: done with
	began     tcp.Time
	deadline  tcp.Time
	armed     tcp.Time // when the timer runs: not after deadline
	peer      [2]endpoint
}

// handshake is what a session needs until it relays, and what it keeps of a
// destination asked for by name.
type handshake struct {
	buf  [maxMessage]byte // the message being received; then the request
	n    uint16           // how much of it is there
	name uint8            // length of the name, which begins at nameAt; 0: an address was asked for

	to    [maxAddresses]tcp.Addr // to be tried in turn
	until tcp.Time               // when the last of them must have answered
	port  uint16
	next  uint8
	last  uint8 // how many there are
	code  Code  // why the last try failed
}

func (h *handshake) asked() string { return string(h.buf[nameAt : nameAt+int(h.name)]) }

// nameAt is where the name stands in a request.
const nameAt = 5

// maxAddresses bounds the addresses tried for one name: four is two of each
// family, and leaves each a fair share of the time a client waits.
const maxAddresses = 4

// endpoint is a netip.AddrPort without pointers. The zero endpoint is none.
type endpoint struct {
	addr tcp.Addr
	port uint16
}

func endpointOf(a netip.AddrPort) endpoint { return endpoint{a.Addr().As16(), a.Port()} }

func (e endpoint) addrPort() netip.AddrPort {
	if e == (endpoint{}) {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(e.addr).Unmap(), e.port)
}

// cookie is the user cookie of a leg; 0 is no session's.
func cookie(i uint32, a side) uint32 { return i<<1 | uint32(a) }

// maxSessions keeps an index and a side in 32 bits.
const maxSessions = 1<<31 - 1

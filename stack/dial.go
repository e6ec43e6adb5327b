package stack

import (
	"net/netip"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Ephemeral ports: the range of RFC 6335, 6, and what lies below it down to
// where Linux begins.
const (
	firstPort   = 32768
	ephemerals  = 1<<16 - firstPort
	portTries   = 1024 // per address of ours: 50 us
	portBuckets = 256
)

// Dial begins a connection. An error says it could not even begin (no route, no
// free port). The outcome is told by Connected or Finished.
func (s *Shard) Dial(to netip.AddrPort, user uint32) (mptcp.Conn, error) {
	if !to.IsValid() || to.Port() == 0 || to.Addr().IsUnspecified() || to.Addr().IsMulticast() {
		return 0, ErrNoRoute
	}
	t := tcp.Tuple{Remote: fromNetip(to.Addr()), RemotePort: to.Port()}
	h, ok := s.route(&t.Remote)
	if !ok || s.impostor(&t.Remote) { // nothing loops back to us
		return 0, ErrNoRoute
	}
	if s.short() {
		return 0, ErrShort
	}
	hash, err := s.claim(&t, &h)
	if err != nil {
		return 0, err
	}
	via := s.neighborOf(&h)
	if via == 0 {
		return 0, ErrLimit
	}
	c, f, ok := s.set.Dial(&s.env, &t, s.params(&t.Remote, &h, s.conf.reserve()), user)
	if !ok {
		return 0, ErrLimit
	}
	s.addFlow(f, &t, hash, via)
	s.addConn(c, &t, 0)
	return c, nil
}

// claim completes the tuple with an address of ours and a free port: the first
// address, and the next one when its ports to this destination run out.
func (s *Shard) claim(t *tcp.Tuple, h *hop) (hash uint32, err error) {
	for n := range maxAddresses {
		var ok bool
		if t.Local, ok = s.source(&t.Remote, h, n); !ok {
			if n == 0 {
				return 0, ErrNoRoute
			}
			break
		}
		if hash, ok = s.claimPort(t); ok {
			return hash, nil
		}
	}
	return 0, ErrNoPort
}

// claimPort picks the port as RFC 6056, 3.3.4 does: a keyed offset per
// destination, and counters shared by few destinations, so that ports in use are
// stepped over once.
func (s *Shard) claimPort(t *tcp.Tuple) (hash uint32, ok bool) {
	t.LocalPort = 0
	keyed := tcp.PortOffset(&s.env, t)
	counter := &s.counters[keyed>>16%portBuckets]
	for range portTries {
		t.LocalPort = firstPort + uint16((keyed+*counter)%ephemerals)
		*counter++
		hash = s.hash(t)
		if !s.listening(t.LocalPort) && s.lookup(t, hash) == 0 && s.waits.lookup(t, hash) == 0 {
			return hash, true
		}
	}
	return 0, false
}

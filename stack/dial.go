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

// Dial begins a connection over plain TCP. An error says it could not even begin
// (no route, no free port). The outcome is told by Connected or Finished.
func (s *Shard) Dial(to netip.AddrPort, user uint32) (mptcp.Conn, error) {
	return s.dial(to, user, s.conf.reserve(), s.set.Dial)
}

// DialMPTCP begins a connection that offers MPTCP, if it is enabled. It may
// become plain TCP: Info tells.
func (s *Shard) DialMPTCP(to netip.AddrPort, user uint32) (mptcp.Conn, error) {
	return s.dial(to, user, 0, s.set.DialMPTCP)
}

func (s *Shard) dial(to netip.AddrPort, user uint32, reserve int,
	open func(*tcp.Env, *tcp.Tuple, tcp.Params, uint32) (mptcp.Conn, mptcp.Flow, bool)) (mptcp.Conn, error) {
	t, h, err := s.aim(to, nil)
	if err != nil {
		return 0, err
	}
	hash, err := s.claim(&t, &h)
	if err != nil {
		return 0, err
	}
	via := s.neighborOf(&h)
	if via == 0 {
		return 0, ErrLimit
	}
	c, f, ok := open(&s.env, &t, s.params(&t.Remote, &h, reserve), user)
	if !ok {
		return 0, ErrLimit
	}
	s.addFlow(f, &t, hash, via)
	s.addConn(c, &t, 0)
	return c, nil
}

// OpenSubflow adds a subflow to an MPTCP connection, from an address of ours
// with the given address id. ErrLimit: the connection cannot have one (now).
func (s *Shard) OpenSubflow(c mptcp.Conn, from netip.Addr, to netip.AddrPort, id uint8, backup bool) error {
	local := fromNetip(from)
	t, h, err := s.aim(to, &local)
	if err != nil || s.conn(c) == nil || !s.ours(&local) || local.Is4() != t.Remote.Is4() {
		return ErrNoRoute
	}
	t.Local = local
	hash, ok := s.claimPort(&t)
	if !ok {
		return ErrNoPort
	}
	via := s.neighborOf(&h)
	if via == 0 {
		return ErrLimit
	}
	f, ok := s.set.OpenSubflow(&s.env, c, &t, s.params(&t.Remote, &h, 0), id, backup)
	if !ok {
		return ErrLimit
	}
	s.addFlow(f, &t, hash, via)
	return nil
}

// aim checks a destination and finds the way to it.
func (s *Shard) aim(to netip.AddrPort, from *tcp.Addr) (t tcp.Tuple, h hop, err error) {
	if !to.IsValid() || to.Port() == 0 || to.Addr().IsUnspecified() || to.Addr().IsMulticast() {
		return t, h, ErrNoRoute
	}
	t = tcp.Tuple{Remote: fromNetip(to.Addr()), RemotePort: to.Port()}
	h, ok := s.route(&t.Remote, from)
	if !ok || s.impostor(&t.Remote) { // nothing loops back to us
		return t, h, ErrNoRoute
	}
	if s.short() {
		return t, h, ErrShort
	}
	return t, h, nil
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

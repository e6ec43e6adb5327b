package stack

import (
	"net/netip"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Ephemeral ports by default: the range of RFC 6335, 6, and what lies below it
// down to where Linux begins.
const (
	firstPort = 32768
	lastPort  = 1<<16 - 1
)

const (
	portTries   = 4096 // 200 us, when nearly all are taken
	portBuckets = 256
	portStep    = 64 // the most by which a dial goes on from the last one's port
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

// DialMPTCPv0 is DialMPTCP that offers version 0 of MPTCP (RFC 6824).
func (s *Shard) DialMPTCPv0(to netip.AddrPort, user uint32) (mptcp.Conn, error) {
	return s.dial(to, user, 0, s.set.DialMPTCPv0)
}

func (s *Shard) dial(to netip.AddrPort, user uint32, reserve int,
	open func(*tcp.Env, *tcp.Tuple, tcp.Params, uint32) (mptcp.Conn, mptcp.Flow, bool)) (mptcp.Conn, error) {
	t, h, err := s.aim(to, nil)
	if err != nil {
		return 0, err
	}
	var from [maxAddresses]tcp.Addr
	n := s.sources(&t.Remote, &h, &from)
	if n == 0 {
		return 0, ErrNoRoute
	}
	k, ok := s.claim(&t, from[:n])
	if !ok {
		return 0, ErrNoPort
	}
	via := s.neighborOf(&h)
	if via == 0 {
		return 0, ErrLimit
	}
	params := s.params(&t, &h, reserve)
	k.number(s, &t, &params)
	c, f, ok := open(&s.env, &t, params, user)
	if !ok {
		return 0, ErrLimit
	}
	s.take(&k)
	s.addFlow(f, &t, k.hash, via)
	s.addConn(c, &t, 0)
	return c, nil
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
	if s.full() {
		return t, h, ErrShort
	}
	return t, h, nil
}

// claimed is a tuple that may be dialled with.
type claimed struct {
	hash uint32
	wait uint32 // the flow in TIME-WAIT that it takes over; 0: none
}

// claim completes the tuple with one of our addresses and a free port. One
// sequence goes through the addresses times the ports, so that dials spread over
// both: who dials much to one destination and closes first leaves a TIME-WAIT
// behind each time, and has as many tuples as there are of both.
//
// Where the sequence stands is chosen as RFC 6056, 3.3.4 does: a keyed offset per
// destination, and counters shared by few destinations, so that ports in use are
// stepped over once. The counters go on by random steps (3.3.5): a proxy tells its
// clients the ports it dials from, and none should know the next one's.
//
// When no tuple is free, one in TIME-WAIT serves whose timestamps allow it.
func (s *Shard) claim(t *tcp.Tuple, from []tcp.Addr) (k claimed, ok bool) {
	t.Local, t.LocalPort = from[0], 0
	keyed := tcp.PortOffset(&s.env, t)
	counter := &s.counters[keyed>>16%portBuckets]
	*counter += uint32(s.rand.Uint64() % portStep)
	first, ports := s.conf.ports()
	all := ports * uint32(len(from))
	for range min(all, portTries) {
		*counter++
		at := (keyed + *counter) % all
		t.Local, t.LocalPort = from[at%uint32(len(from))], first+uint16(at/uint32(len(from)))
		hash := s.hash(t)
		if s.listening(t.LocalPort) || s.lookup(t, hash) != 0 {
			continue
		}
		wait := s.waits.lookup(t, hash)
		if wait == 0 {
			return claimed{hash: hash}, true
		}
		if !ok && s.waits.at(wait).tw.Dialable(&s.env) {
			k, ok = claimed{hash, wait}, true
		}
	}
	if !ok {
		s.stats.PortsExhausted++
		return k, false
	}
	w := s.waits.at(k.wait)
	t.Local, t.LocalPort = w.tuple.Local, w.tuple.LocalPort
	return k, true
}

// number lets a flow that takes over a tuple begin beyond the old one.
func (k *claimed) number(s *Shard, t *tcp.Tuple, p *tcp.Params) {
	if k.wait != 0 {
		p.HasISN, p.ISN = true, s.waits.at(k.wait).tw.ReuseISN(&s.env, t)
	}
}

// take ends the old flow of a tuple that is taken over.
func (s *Shard) take(k *claimed) {
	if k.wait != 0 {
		s.waits.drop(k.wait)
		s.stats.TimeWaitDialed++
	}
}

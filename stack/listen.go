package stack

import (
	"fmt"
	"net/netip"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// ports is a set of port numbers.
type ports [1 << 16 / 64]uint64

// Listen opens a port on all our addresses.
func (s *Shard) Listen(port uint16) error {
	if port == 0 || s.listening(port) {
		return fmt.Errorf("stack: port %d cannot be listened on, or is already", port)
	}
	s.listens[port/64] |= 1 << (port % 64)
	return nil
}

// ListenOn opens a port on one address of ours; an unspecified address stands
// for all of its family.
func (s *Shard) ListenOn(at netip.AddrPort) error {
	a := fromNetip(at.Addr())
	if !at.Addr().IsUnspecified() && !s.ours(&a) {
		return fmt.Errorf("stack: %v is no address of ours", at.Addr())
	}
	if err := s.Listen(at.Port()); err != nil {
		return err
	}
	s.bound[at.Port()] = at.Addr().Unmap()
	return nil
}

// Unlisten closes a port. Connections that came by it live on.
func (s *Shard) Unlisten(port uint16) {
	s.listens[port/64] &^= 1 << (port % 64)
	delete(s.bound, port)
}

// listensTo reports whether a SYN finds somebody.
func (s *Shard) listensTo(t *tcp.Tuple) bool {
	if !s.listening(t.LocalPort) {
		return false
	}
	at, bound := s.bound[t.LocalPort]
	switch {
	case !bound:
		return true
	case at.IsUnspecified():
		return at.Is4() == t.Local.Is4()
	}
	return fromNetip(at) == t.Local
}

func (s *Shard) listening(port uint16) bool { return s.listens[port/64]>>(port%64)&1 != 0 }

// syn takes a SYN for which there is no flow: an MP_JOIN is addressed by its
// token, whatever its port; any other needs a listener. reuse is the flow in
// TIME-WAIT whose tuple it takes over, or nil.
func (s *Shard) syn(p *packet, seg *tcp.Segment, t *tcp.Tuple, hash uint32, reuse *tcp.TimeWait) Drop {
	join := s.conf.MPTCP.Enabled && mptcp.IsJoin(seg)
	if !join && !s.listensTo(t) {
		return s.refuse(p, seg)
	}
	if s.short() {
		return DropSynPressure
	}
	h, ok := s.route(&t.Remote, &t.Local)
	if !ok {
		return DropSynNoRoute
	}
	via := s.neighborOf(&h)
	if via == 0 {
		return DropSynLimit
	}
	params := s.params(&t.Remote, &h, 0)
	if reuse != nil {
		params.HasISN, params.ISN = true, tcp.ISN(&s.env, t)
		if params.ISN.Before(reuse.NextISN()) {
			params.ISN = reuse.NextISN()
		}
	}
	if join {
		f, ok := s.set.Join(&s.env, t, params, seg, &s.out)
		if !ok {
			return s.reset(p, &s.out)
		}
		s.addFlow(f, t, hash, via)
		return Carried
	}
	f, ok := s.set.Accept(&s.env, t, params, seg)
	if !ok {
		return DropSynLimit
	}
	s.addFlow(f, t, hash, via)
	s.addConn(s.set.Owner(f), t, passive)
	return Carried
}

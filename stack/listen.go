package stack

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// ports is a set of port numbers.
type ports [1 << 16 / 64]uint64

// everywhere is the key of a listener on all addresses.
var everywhere = netip.Addr{}

// Listen opens a port on all our addresses.
func (s *Shard) Listen(port uint16) error { return s.listen(everywhere, port) }

// ListenOn opens a port on one address of ours; an unspecified address stands
// for all of its family. Listeners on different addresses may have one port.
func (s *Shard) ListenOn(at netip.AddrPort) error {
	a := fromNetip(at.Addr())
	if !at.Addr().IsUnspecified() && !s.ours(&a) {
		return fmt.Errorf("stack: %v is no address of ours", at.Addr())
	}
	return s.listen(at.Addr().Unmap(), at.Port())
}

func (s *Shard) listen(at netip.Addr, port uint16) error {
	if port == 0 || s.taken(at, port) {
		return fmt.Errorf("stack: port %d cannot be listened on, or is already", port)
	}
	s.listens[port/64] |= 1 << (port % 64)
	if at != everywhere {
		s.bound[port] = append(s.bound[port], at)
	}
	return nil
}

// taken reports whether a listener at an address and port would meet another one.
func (s *Shard) taken(at netip.Addr, port uint16) bool {
	if !s.listening(port) {
		return false
	}
	others := s.bound[port]
	if at == everywhere || len(others) == 0 {
		return true
	}
	return slices.ContainsFunc(others, func(o netip.Addr) bool {
		return o == at || o.Is4() == at.Is4() && (o.IsUnspecified() || at.IsUnspecified())
	})
}

// Unlisten closes a port, at whatever addresses. Connections that came by it live on.
func (s *Shard) Unlisten(port uint16) {
	s.listens[port/64] &^= 1 << (port % 64)
	delete(s.bound, port)
}

// unlisten closes one listener of a port.
func (s *Shard) unlisten(at netip.Addr, port uint16) {
	left := slices.DeleteFunc(s.bound[port], func(o netip.Addr) bool { return o == at })
	if at == everywhere || len(left) == 0 {
		s.Unlisten(port)
		return
	}
	s.bound[port] = left
}

// listensTo reports whether a SYN finds somebody.
func (s *Shard) listensTo(t *tcp.Tuple) bool {
	if !s.listening(t.LocalPort) {
		return false
	}
	all := true
	for _, at := range s.bound[t.LocalPort] {
		if at.IsUnspecified() && at.Is4() == t.Local.Is4() || fromNetip(at) == t.Local {
			return true
		}
		all = false
	}
	return all
}

func (s *Shard) listening(port uint16) bool { return s.listens[port/64]>>(port%64)&1 != 0 }

// syn takes a SYN for which there is no flow, at a port that is listened on or
// with an MP_JOIN, which is addressed by its token, whatever the port. wait is
// the flow in TIME-WAIT whose tuple it takes over, or 0.
func (s *Shard) syn(p *packet, seg *tcp.Segment, t *tcp.Tuple, hash uint32, wait uint32) Drop {
	if s.full() {
		return DropSynPressure
	}
	h, ok := s.route(&t.Remote, &t.Local)
	if !ok {
		return DropSynNoRoute
	}
	params := s.params(t, &h, 0)
	if wait != 0 {
		params.HasISN, params.ISN = true, s.waits.at(wait).tw.ReuseISN(&s.env, t)
	}
	if s.isJoin(seg) {
		return s.join(p, seg, t, hash, &h, params)
	}
	switch s.halfOpen.admit(t, wait != 0) {
	case refuse:
		return DropSynHalfOpen
	case cookie:
		if !s.set.Answer(&s.env, &s.cookies, t, params, seg, &s.out) {
			return DropSynLimit
		}
		return s.answer(p, &s.out)
	}
	id, d := s.accept(seg, nil, t, hash, &h, params)
	if d != Carried {
		return d
	}
	s.flows.at(id).half = true
	s.halfOpen.begin(t)
	if wait != 0 {
		s.waits.drop(wait)
	}
	return Carried
}

// isJoin: it is for a connection we may have, whatever the port.
func (s *Shard) isJoin(syn *tcp.Segment) bool { return s.conf.MPTCP.Enabled && mptcp.IsJoin(syn) }

func (s *Shard) join(p *packet, syn *tcp.Segment, t *tcp.Tuple, hash uint32, h *hop, params tcp.Params) Drop {
	f, ok := s.set.Join(&s.env, t, params, syn, &s.out)
	if !ok && s.out.Flags&tcp.RST == 0 {
		return DropJoinEarly
	}
	if !ok {
		return s.reset(p, &s.out, &s.joinResets)
	}
	via := s.neighborOf(h)
	if via == 0 {
		s.set.FreeFlow(&s.env, f)
		return DropSynLimit
	}
	s.addFlow(f, t, hash, via)
	return Carried
}

// accept makes a connection for a SYN, or for the ACK that answered its cookie.
func (s *Shard) accept(syn, ack *tcp.Segment, t *tcp.Tuple, hash uint32, h *hop, params tcp.Params) (id uint32, d Drop) {
	via := s.neighborOf(h)
	if via == 0 {
		return 0, DropSynLimit
	}
	var f mptcp.Flow
	var ok bool
	if ack == nil {
		f, ok = s.set.Accept(&s.env, t, params, syn)
	} else {
		f, ok = s.set.Redeem(&s.env, &s.cookies, t, params, syn, ack)
	}
	if !ok {
		return 0, DropSynLimit
	}
	s.addConn(s.set.Owner(f), t, passive)
	return s.addFlow(f, t, hash, via), Carried
}

// redeem takes an ACK for which there is no flow. If it answers a SYN cookie,
// the connection begins with it, and with the payload it may have.
func (s *Shard) redeem(ack *tcp.Segment, t *tcp.Tuple, hash uint32) (d Drop, ok bool) {
	syn := &s.out
	if !s.cookies.Check(&s.env, t, ack, syn) {
		return 0, false
	}
	if s.full() {
		return DropSynPressure, true
	}
	h, ok := s.route(&t.Remote, &t.Local)
	if !ok {
		return DropSynNoRoute, true
	}
	params := s.params(t, &h, 0)
	params.HasISN, params.ISN, params.Answered = true, ack.Ack-1, true
	id, d := s.accept(syn, ack, t, hash, &h, params)
	if d == Carried {
		s.deliver(id, ack)
	}
	return d, true
}

// ripen looks whether a handshake is over.
func (s *Shard) ripen(fl *flow) {
	if c := s.set.Tcp(fl.f); c == nil || c.State() != tcp.SynRcvd {
		fl.half = false
		s.halfOpen.end(&fl.tuple)
	}
}

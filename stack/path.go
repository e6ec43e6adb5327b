package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// The control of a connection's paths. What the policy (mptcp.Policy) says is
// done without it; it adds to that, for one connection.

// ErrNotMultipath: the connection is gone, is plain TCP, or has what it may have.
var ErrNotMultipath = errors.New("not a connection that can have another path")

// Announce tells the peer of c an address of ours with a port, 0 being the
// connection's, and returns the id it was given: the wanted one, or any for 0. It is repeated
// until the peer has heard.
func (s *Shard) Announce(c mptcp.Conn, at netip.AddrPort, id uint8) (uint8, error) {
	a := fromNetip(at.Addr())
	if !s.ours(&a) {
		return 0, fmt.Errorf("stack: %v is no address of ours", at.Addr())
	}
	if s.conn(c) == nil {
		return 0, ErrNotMultipath
	}
	id, ok := s.set.Announce(&s.env, c, a, at.Port(), id)
	if !ok {
		return 0, ErrNotMultipath
	}
	return id, nil
}

// Withdraw tells the peer of c that our address with that id, 0 being the first
// subflow's, is no longer to be used, and closes its subflows.
func (s *Shard) Withdraw(c mptcp.Conn, id uint8) error {
	if s.conn(c) == nil || !s.set.Withdraw(&s.env, c, id) {
		return ErrNotMultipath
	}
	return nil
}

// OpenSubflow adds a subflow to c from an address of ours, the zero Addr being
// any that fits, with an address id (0: the one it has, or any), as soon as the peer has confirmed that it speaks MPTCP. What becomes of it
// is told by records; one that worked and failed is opened again.
func (s *Shard) OpenSubflow(c mptcp.Conn, from netip.Addr, to netip.AddrPort, id uint8, backup bool) error {
	var local tcp.Addr
	if from.IsValid() {
		local = fromNetip(from)
	}
	if from.IsValid() && (!s.ours(&local) || local.Is4() != to.Addr().Unmap().Is4()) {
		return ErrNoRoute
	}
	t, _, err := s.aim(to, &local)
	if err != nil {
		return err
	}
	if s.conn(c) == nil || !s.set.Want(&s.env, c, local, t.Remote, t.RemotePort, id, backup) {
		return ErrNotMultipath
	}
	return nil
}

// CloseSubflow ends a subflow by FIN; the connection lives on.
func (s *Shard) CloseSubflow(f mptcp.Flow) error {
	if !s.set.CloseSubflow(&s.env, f) {
		return ErrNotMultipath
	}
	return nil
}

// SetBackup makes a subflow one that carries data only while no other works, in
// both directions, or takes that back.
func (s *Shard) SetBackup(f mptcp.Flow, backup bool) error {
	if !s.set.SetBackup(&s.env, f, backup) {
		return ErrNotMultipath
	}
	return nil
}

// EachSubflow calls f for every subflow of c.
func (s *Shard) EachSubflow(c mptcp.Conn, f func(mptcp.Flow, mptcp.SubflowInfo)) {
	if s.conn(c) == nil {
		return
	}
	s.set.EachFlow(c, func(id mptcp.Flow) {
		if i, ok := s.set.SubflowInfo(id); ok {
			f(id, i)
		}
	})
}

// Watch hears of what happens to connections, in the turn.
type Watch func(*Shard, *mptcp.Record)

// SetWatch sets who hears of records of these kinds, all if none is named.
func (s *Shard) SetWatch(w Watch, which ...mptcp.Kind) {
	s.watch = w
	s.set.Watch(which...)
}

// records hands out what was recorded since the last turn.
func (s *Shard) records() {
	if s.watch == nil {
		return
	}
	for s.set.NextRecord(&s.record) {
		s.watch(s, &s.record)
	}
}

// checkPolicy refuses endpoints that are not ours.
func (s *Shard) checkPolicy(p *mptcp.Policy, own []Address) error {
	if err := p.Check(); err != nil {
		return err
	}
	for i := range p.Endpoints {
		found := false
		for _, a := range own {
			found = found || fromNetip(a.Prefix.Addr().Unmap()) == p.Endpoints[i].Addr
		}
		if !found {
			return fmt.Errorf("stack: endpoint %v is no address of ours", toNetip(&p.Endpoints[i].Addr))
		}
	}
	return nil
}

// act opens the subflows that the path manager asks for.
func (s *Shard) act() {
	for a, ok := s.set.NextAction(); ok; a, ok = s.set.NextAction() {
		if !s.openSubflow(&a) {
			s.set.Unable(&s.env, &a)
		}
	}
}

// openSubflow reports false if it is to be told that nothing came of it.
func (s *Shard) openSubflow(a *mptcp.Action) bool {
	var from *tcp.Addr
	if a.Local != (tcp.Addr{}) {
		from = &a.Local
	}
	t, h, err := s.aim(netip.AddrPortFrom(toNetip(&a.Remote), a.Port), from)
	if err != nil {
		return false
	}
	var own [maxAddresses]tcp.Addr
	n := 1
	if own[0] = a.Local; from == nil {
		n = s.sources(&t.Remote, &h, &own)
		if k := s.conn(a.Conn); k != nil && slices.Contains(own[:n], k.tuple.Local) {
			own[0], n = k.tuple.Local, 1 // the address that the connection has already
		}
	}
	if n == 0 {
		return false
	}
	k, ok := s.claim(&t, own[:n])
	if !ok {
		return false
	}
	via := s.neighborOf(&h)
	if via == 0 {
		return false
	}
	params := s.params(&t, &h, 0)
	k.number(s, &t, &params)
	f, ok := s.set.Open(&s.env, a, &t, params)
	if !ok {
		return true // Open has noted it
	}
	s.take(&k)
	s.addFlow(f, &t, k.hash, via)
	return true
}

// Explain tells what a connection did with its time; ok false if the handle is dead.
func (s *Shard) Explain(c mptcp.Conn) (mptcp.Explained, bool) { return s.set.Explain(&s.env, c) }

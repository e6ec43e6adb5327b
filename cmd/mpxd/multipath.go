//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// Multipath is what every command that speaks MPTCP can be told of it.
type Multipath struct {
	Announce     []Announcement `placeholder:"ADDR[:PORT]" help:"Announce one of --address to the peer (ADD_ADDR), who may join it, at PORT or at the connection's port: --announce 10.0.2.2 or --announce [fd00::2]:8443."`
	DenyInitial  bool           `help:"Ask peers not to join the address and port that they connected to, but those of --announce (the C flag)."`
	MaxSubflows  int            `default:"8" placeholder:"N" help:"Subflows of one connection at most; further joins are refused (${default})."`
	Checksum     bool           `help:"Ask for DSS checksums. Whoever asks for them gets them."`
	KeepPathless time.Duration  `default:"60s" placeholder:"DURATION" help:"How long a connection that has lost all its subflows waits for a new one (${default})."`
}

// Announcement is an address and perhaps a port.
type Announcement struct {
	Addr netip.Addr
	Port uint16 // 0: the connection's
}

// UnmarshalText reads ADDR[:PORT], with an IPv6 address in brackets if a port follows.
func (a *Announcement) UnmarshalText(b []byte) (err error) {
	if a.Addr, err = netip.ParseAddr(strings.Trim(string(b), "[]")); err == nil {
		return nil
	}
	at, err := netip.ParseAddrPort(string(b))
	if err != nil || at.Port() == 0 {
		return fmt.Errorf("%q: not an address, nor an address with a port, as in 10.0.0.2:8443 or [fd00::2]:8443", b)
	}
	a.Addr, a.Port = at.Addr(), at.Port()
	return nil
}

// Pair is where a subflow goes from and to.
type Pair struct {
	From netip.Addr
	To   netip.AddrPort // not valid: the connection's address; port 0: the connection's
}

// UnmarshalText reads LOCAL or LOCAL=REMOTE[:PORT].
func (p *Pair) UnmarshalText(b []byte) (err error) {
	from, to, found := strings.Cut(string(b), "=")
	if p.From, err = netip.ParseAddr(from); err != nil {
		return fmt.Errorf("%q: %q is not an address; write LOCAL or LOCAL=REMOTE, as in 10.0.2.2=10.0.2.1", b, from)
	}
	if !found {
		return nil
	}
	var a Announcement
	if err := a.UnmarshalText([]byte(to)); err != nil {
		return err
	}
	p.To = netip.AddrPortFrom(a.Addr, a.Port)
	if p.To.Addr().Is4() != p.From.Is4() {
		return fmt.Errorf("%q: IPv4 at one end, IPv6 at the other", b)
	}
	return nil
}

// config is what the flags mean; own are the addresses that may be named.
func (m *Multipath) config(own []netip.Prefix) (conf mptcp.Config, signals []mptcp.Endpoint, err error) {
	var errs []error
	for i, a := range m.Announce {
		switch {
		case !ours(own, a.Addr):
			errs = append(errs, fmt.Errorf("--announce %v: is not one of --address", a.Addr))
		case slices.Contains(m.Announce[:i], a):
			errs = append(errs, fmt.Errorf("--announce %v: given twice", a.Addr))
		}
		signals = append(signals, mptcp.Endpoint{Addr: a.Addr.As16(), Port: a.Port, Flags: mptcp.Signal})
	}
	if len(m.Announce) > mptcp.MaxEndpoints {
		errs = append(errs, fmt.Errorf("--announce: at most %d", mptcp.MaxEndpoints))
	}
	if m.MaxSubflows < 0 || m.MaxSubflows > mptcp.MaxSubflows {
		errs = append(errs, fmt.Errorf("--max-subflows %d: from 1 to %d", m.MaxSubflows, mptcp.MaxSubflows))
	}
	if m.KeepPathless < 0 {
		errs = append(errs, errors.New("--keep-pathless: a negative time"))
	}
	conf = mptcp.Config{MaxSubflows: m.MaxSubflows, Checksum: m.Checksum, NoJoinInitial: m.DenyInitial, CloseTimeout: tcp.Time(m.KeepPathless)}
	return conf, signals, errors.Join(errs...)
}

func ours(own []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Addr() == a })
}

// Paths is what a client can be told beside that.
type Paths struct {
	Subflow         []Pair `placeholder:"LOCAL[=REMOTE[:PORT]]" help:"Open a subflow from one of --address, to the address that was connected to or to REMOTE: --subflow 10.0.2.2 or --subflow 10.0.2.2=10.0.3.1."`
	Subflows        int    `placeholder:"N" help:"Open N subflows in all between the first two addresses, each from a port of its own."`
	Fullmesh        bool   `help:"From each --subflow LOCAL connect to the addresses that the peer announces, too (see --accept-announced)."`
	Backup          bool   `help:"What --subflow opens is used only when nothing else works."`
	AcceptAnnounced int    `placeholder:"N" help:"Connect to N addresses that the peer announces; 0, the default, to none, with --fullmesh to 8."`
}

// meshed is how many announced addresses a full mesh connects to.
const meshed = 8

// any reports whether anything of it was given.
func (p *Paths) any() bool {
	return len(p.Subflow) > 0 || p.Subflows != 0 || p.Fullmesh || p.Backup || p.AcceptAnnounced != 0
}

// policy is what the flags mean for connections that we open, and which subflows
// are to be opened in so many words.
func (p *Paths) policy(own []netip.Prefix) (pol mptcp.Policy, explicit []Pair, err error) {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	flags := mptcp.Subflow
	if p.Fullmesh {
		flags |= mptcp.Fullmesh
	}
	if p.Backup {
		flags |= mptcp.Backup
	}
	for i, v := range p.Subflow {
		switch {
		case !ours(own, v.From):
			bad("--subflow %v: is not one of --address", v.From)
		case slices.Contains(p.Subflow[:i], v):
			bad("--subflow %v: given twice", v.From)
		case v.To.IsValid():
			explicit = append(explicit, v)
		default:
			pol.Endpoints = append(pol.Endpoints, mptcp.Endpoint{Addr: v.From.As16(), Flags: flags})
		}
	}
	if len(p.Subflow) == 0 && (p.Fullmesh || p.Backup) {
		bad("--fullmesh and --backup are about --subflow, of which there is none")
	}
	if p.Subflows < 0 || p.Subflows > mptcp.MaxSubflows {
		bad("--subflows %d: from 1 to %d", p.Subflows, mptcp.MaxSubflows)
	}
	if p.AcceptAnnounced < 0 || p.AcceptAnnounced > meshed {
		bad("--accept-announced %d: from 0 to %d", p.AcceptAnnounced, meshed)
	}
	pol.Subflows, pol.AddAddrAccepted = p.Subflows, p.AcceptAnnounced
	if p.Fullmesh && p.AcceptAnnounced == 0 {
		pol.AddAddrAccepted = meshed
	}
	return pol, explicit, errors.Join(errs...)
}

// openPairs asks for the subflows that were named in so many words.
func openPairs(s *stack.Shard, c mptcp.Conn, pairs []Pair, backup bool) error {
	_, peer := s.Peer(c)
	for _, p := range pairs {
		to := p.To
		if to.Port() == 0 {
			to = netip.AddrPortFrom(to.Addr(), peer.Port())
		}
		if err := s.OpenSubflow(c, p.From, to, 0, backup); err != nil {
			return fmt.Errorf("--subflow %v=%v: %w", p.From, to, err)
		}
	}
	return nil
}

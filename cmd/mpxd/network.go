//go:build linux

package main

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
	"github.com/mpxd/mpxd/xdp"
)

// Network is the host that a shard is: the flags of every command that runs the
// stack.
type Network struct {
	Interface  []string     `required:"" placeholder:"IF" help:"Interfaces to receive and send on, all queues of each."`
	Address    []Address    `required:"" placeholder:"[IF=]CIDR" help:"Our own addresses with the length of their subnets, which the kernel must not have. IF= says on which interface the subnet is; without, neighbours are asked for on all."`
	Gateway    []netip.Addr `placeholder:"IP" help:"Default gateways, at most one for IPv4 and one for IPv6. Without, only the subnets are reached."`
	XDPMode    xdp.Mode     `name:"xdp-mode" default:"auto" placeholder:"MODE" help:"auto, zero-copy, native or generic. Anything but auto is refused if it cannot be had."`
	Frames     int          `default:"65536" help:"Frames of 4 KiB for all that is received, queued or sent (${default}: 256 MiB)."`
	Congestion Congestion   `default:"cubic" placeholder:"NAME" help:"Congestion control of what we send: cubic, newreno or bbr, which also paces (${default}). lia, olia or balia couple the subflows of an MPTCP connection, so that on a bottleneck they share they take no more than one TCP flow; plain TCP, and a connection with one subflow, is then cubic."`
	Scheduler  Scheduler    `default:"goodput" placeholder:"NAME" help:"Which path of an MPTCP connection carries what we send next: goodput, minrtt, roundrobin, blest or ecf (${default})."`
	Realtime   bool         `help:"Reserve nine tenths of a processor for the shard (SCHED_DEADLINE): on a machine that it shares with others."`
	Pcap       string       `placeholder:"FILE" help:"Write what is received and sent to a pcapng file: tcpdump cannot see it."`
}

// minFrames lets one queue work at all.
const minFrames = 1024

// Address is one of our own, and where its subnet is.
type Address struct {
	Interface string // "": on any
	Prefix    netip.Prefix
}

var _ encoding.TextUnmarshaler = (*Address)(nil)

// UnmarshalText reads [IF=]CIDR.
func (a *Address) UnmarshalText(b []byte) (err error) {
	s := string(b)
	if i := strings.IndexByte(s, '='); i >= 0 {
		if a.Interface, s = s[:i], s[i+1:]; a.Interface == "" {
			return fmt.Errorf("%q: no interface in front of the =", b)
		}
	}
	if a.Prefix, err = netip.ParsePrefix(s); err != nil {
		if ip, e := netip.ParseAddr(s); e == nil {
			return fmt.Errorf("%q: the length of the subnet is missing, as in %v/%d", s, ip, map[bool]int{true: 24, false: 64}[ip.Is4()])
		}
		return fmt.Errorf("%q: not an address with the length of its subnet, as in 10.0.0.2/24", s)
	}
	return nil
}

func (a Address) String() string {
	if a.Interface == "" {
		return a.Prefix.String()
	}
	return a.Interface + "=" + a.Prefix.String()
}

// ListenPort is a TCP port, written :PORT or PORT.
type ListenPort uint16

func (p *ListenPort) UnmarshalText(b []byte) error {
	s := string(b)
	if host, port, found := strings.Cut(s, ":"); found {
		if host != "" {
			return fmt.Errorf("%q: listens on all addresses of ours: write :PORT", s)
		}
		s = port
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%q: not a port from 1 to 65535", s)
	}
	*p = ListenPort(n)
	return nil
}

// Congestion is a congestion controller, for each flow by itself, or a coupling
// of the subflows of a connection; then what is not coupled has the default
// controller. It is written as its name.
type Congestion struct{ Controller, Coupling uint8 }

func (c *Congestion) UnmarshalText(b []byte) error {
	if n, ok := tcp.ControllerByName(string(b)); ok {
		*c = Congestion{Controller: n}
	} else if n, ok := mptcp.CouplingByName(string(b)); ok {
		*c = Congestion{Coupling: n}
	} else {
		names := append(tcp.ControllerNames(), mptcp.CouplingNames()...)
		return fmt.Errorf("%q: not a congestion control: there are %s", b, strings.Join(names, ", "))
	}
	return nil
}

// Scheduler is the number of an MPTCP scheduler, written as its name.
type Scheduler uint8

func (c *Scheduler) UnmarshalText(b []byte) error {
	n, ok := mptcp.SchedulerByName(string(b))
	if !ok {
		return fmt.Errorf("%q: not a scheduler: there are %s", b, strings.Join(mptcp.SchedulerNames(), ", "))
	}
	*c = Scheduler(n)
	return nil
}

// check finds what is wrong without asking the kernel, all of it.
func (n *Network) check() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for i, name := range n.Interface {
		if name == "" || len(name) > 15 {
			bad("--interface %q: not an interface name", name)
		} else if slices.Contains(n.Interface[:i], name) {
			bad("--interface %s: given twice", name)
		}
	}
	for i, a := range n.Address {
		if err := n.checkAddress(a); err != nil {
			bad("--address %v: %w", a, err)
		}
		for _, b := range n.Address[:i] {
			if err := conflict(a, b); err != nil {
				bad("--address %v and %v: %w", b, a, err)
			}
		}
	}
	for i, g := range n.Gateway {
		if err := n.checkGateway(g); err != nil {
			bad("--gateway %v: %w", g, err)
		}
		for _, h := range n.Gateway[:i] {
			if g.Is4() == h.Is4() {
				bad("--gateway %v and %v: one default gateway for IPv4 and one for IPv6 at most", h, g)
			}
		}
	}
	if n.Frames < minFrames {
		bad("--frames %d: at least %d", n.Frames, minFrames)
	}
	return errors.Join(errs...)
}

func (n *Network) checkAddress(a Address) error {
	ip := a.Prefix.Addr()
	switch {
	case a.Interface != "" && !slices.Contains(n.Interface, a.Interface):
		return fmt.Errorf("%s is not one of --interface", a.Interface)
	case ip.Is4In6():
		return errors.New("write the IPv4 address as such")
	case ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback():
		return errors.New("not an address of a host")
	case ip.Is4() && a.Prefix.Bits() < 31 && ip == a.Prefix.Masked().Addr():
		return errors.New("is the subnet's own address, not a host's")
	case ip.Is4() && a.Prefix.Bits() < 31 && !a.Prefix.Contains(ip.Next()):
		return errors.New("is the subnet's broadcast address")
	}
	return nil
}

// conflict says why two addresses cannot both be ours.
func conflict(a, b Address) error {
	if a.Prefix.Addr() == b.Prefix.Addr() {
		return errors.New("the same address twice")
	}
	if a.Interface != b.Interface && a.Interface != "" && b.Interface != "" && a.Prefix.Overlaps(b.Prefix) {
		return errors.New("overlapping subnets on two interfaces: where a neighbour is would be a guess")
	}
	return nil
}

func (n *Network) checkGateway(g netip.Addr) error {
	onLink := false
	for _, a := range n.Address {
		if a.Prefix.Addr() == g {
			return errors.New("is our own address")
		}
		onLink = onLink || a.Prefix.Contains(g)
	}
	if !onLink {
		return errors.New("is in none of the subnets of --address, so it cannot be reached")
	}
	return nil
}

// prefixes are the addresses without their interfaces.
func (n *Network) prefixes() (out []netip.Prefix) {
	for _, a := range n.Address {
		out = append(out, a.Prefix)
	}
	return out
}

// addresses are those of the stack; links are in the order of Interface.
func (n *Network) addresses() (out []stack.Address) {
	for _, a := range n.Address {
		link := stack.AnyLink
		if a.Interface != "" {
			link = slices.Index(n.Interface, a.Interface)
		}
		out = append(out, stack.Address{Prefix: a.Prefix, Link: link})
	}
	return out
}

// routes are the default routes.
func (n *Network) routes() (out []stack.Route) {
	for _, g := range n.Gateway {
		zero := netip.IPv4Unspecified()
		if g.Is6() {
			zero = netip.IPv6Unspecified()
		}
		out = append(out, stack.Route{Prefix: netip.PrefixFrom(zero, 0), Gateway: g})
	}
	return out
}

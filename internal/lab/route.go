package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddAddr gives an interface an address, usable at once: IPv6 without
// duplicate address detection.
func (ns *NS) AddAddr(name string, p netip.Prefix) error {
	return ns.on(name, func(l netlink.Link) error {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		return netlink.AddrAdd(l, a)
	})
}

// DelAddr takes an address away.
func (ns *NS) DelAddr(name string, p netip.Prefix) error {
	return ns.on(name, func(l netlink.Link) error {
		return netlink.AddrDel(l, &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}})
	})
}

// Route is one entry of a routing table of the kernel.
type Route struct {
	Dst   netip.Prefix // 0.0.0.0/0 or ::/0: default
	Via   netip.Addr   // zero: on the link
	Dev   string
	Src   netip.Addr // preferred source, zero: the kernel's choice
	Table int        // 0: main
	MTU   int        // path MTU, 0: the interface's
}

// AddRoute adds r.
func (ns *NS) AddRoute(r Route) error {
	return ns.on(r.Dev, func(l netlink.Link) error {
		k := netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(r.Dst), Table: r.Table, MTU: r.MTU}
		if r.Via.IsValid() {
			k.Gw = r.Via.AsSlice()
		}
		if r.Src.IsValid() {
			k.Src = r.Src.AsSlice()
		}
		if err := netlink.RouteAdd(&k); err != nil {
			return fmt.Errorf("route %v via %v: %w", r.Dst, r.Via, err)
		}
		return nil
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// AddSourceRule makes packets from addr use table, as a host with several
// uplinks needs it: without it replies of both paths leave by one.
func (ns *NS) AddSourceRule(addr netip.Addr, table int) error {
	return ns.Do(func() error {
		r := netlink.NewRule()
		r.Family = family(addr)
		r.Src = ipNet(netip.PrefixFrom(addr, addr.BitLen()))
		r.Table = table
		if err := netlink.RuleAdd(r); err != nil {
			return fmt.Errorf("rule from %v table %d in %s: %w", addr, table, ns.Name, err)
		}
		return nil
	})
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// AddNeigh adds a permanent neighbour.
func (ns *NS) AddNeigh(name string, addr netip.Addr, mac net.HardwareAddr) error {
	return ns.on(name, func(l netlink.Link) error {
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex:    l.Attrs().Index,
			Family:       family(addr),
			State:        unix.NUD_PERMANENT,
			IP:           addr.AsSlice(),
			HardwareAddr: mac,
		})
	})
}

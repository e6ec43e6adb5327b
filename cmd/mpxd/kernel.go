//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// kernelView is what the kernel has in the namespace of the calling thread.
type kernelView struct {
	links map[string]netlink.LinkAttrs
	owner map[netip.Addr]string // the interface an address of the kernel is on
}

func lookAtKernel() (v kernelView, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return v, fmt.Errorf("interfaces: %w", err)
	}
	v = kernelView{map[string]netlink.LinkAttrs{}, map[netip.Addr]string{}}
	names := map[int]string{}
	for _, l := range links {
		v.links[l.Attrs().Name] = *l.Attrs()
		names[l.Attrs().Index] = l.Attrs().Name
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return v, fmt.Errorf("addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			v.owner[ip.Unmap()] = names[a.LinkIndex]
		}
	}
	return v, nil
}

// checkKernel finds what the kernel has against it, all of it, and changes
// nothing.
func (n *Network) checkKernel(v kernelView) error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for _, name := range n.Interface {
		l, ok := v.links[name]
		switch {
		case !ok:
			bad("--interface %s: no such interface", name)
		case len(l.HardwareAddr) != 6:
			bad("--interface %s: not Ethernet", name)
		case l.Flags&net.FlagUp == 0:
			bad("--interface %s: is down: ip link set %[1]s up", name)
		}
	}
	for _, a := range n.Address {
		ip := a.Prefix.Addr()
		if owner, ok := v.owner[ip]; ok {
			// Whatever passes the redirect program, or comes before it is
			// attached, the kernel answers with a reset.
			bad("--address %v: the kernel has it too, on %s, and would reset our connections: give mpxd an address of its own, or ip addr del %v dev %[2]s",
				a, owner, a.Prefix)
		}
	}
	return errors.Join(errs...)
}

package lab

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// Bridge joins two interfaces of the namespace to a wire that can be cut
// without anybody being told: both ends keep their carrier.
func (ns *NS) Bridge(name, a, b string) error {
	err := ns.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		// Groups are no subject here: every frame goes to the other end.
		snooping := false
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping})
	})
	if err != nil {
		return fmt.Errorf("bridge %s in %s: %w", name, ns.Name, err)
	}
	if err := ns.SetSysctl("net/ipv6/conf/"+name+"/disable_ipv6", "1"); err != nil {
		return err
	}
	for _, port := range [...]string{a, b} {
		err := ns.on(name, func(bridge netlink.Link) error {
			l, err := netlink.LinkByName(port)
			if err != nil {
				return err
			}
			return netlink.LinkSetMaster(l, bridge)
		})
		if err != nil {
			return err
		}
	}
	return ns.SetUp(name, true)
}

// Cut makes the bridge over two ports swallow everything, or carry again: ports
// that are isolated do not speak to each other.
func (ns *NS) Cut(a, b string, cut bool) error {
	set := func(l netlink.Link) error { return netlink.LinkSetIsolated(l, cut) }
	return errors.Join(ns.on(a, set), ns.on(b, set))
}

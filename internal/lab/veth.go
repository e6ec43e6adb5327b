package lab

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// End is one end of a veth pair and how it is to be set up. Only NS and Name
// are required.
type End struct {
	NS     *NS
	Name   string           // at most 15 bytes
	MAC    net.HardwareAddr // nil: [MAC] of the namespace's and interface's name
	MTU    int              // 0: 1500
	Queues int              // receive and transmit queues each, 0: 1
	Addrs  []netip.Prefix   // each with the prefix length of its subnet
	Pfifo  int              // packets of a pfifo qdisc, 0: the kernel's noqueue
	Off    []Offload        // offloads to turn off
	Bare   bool             // a port of something that only carries frames: no IPv6, so the kernel sends nothing of its own
}

// Veth joins two namespaces (or one with itself) by a veth pair, sets up both
// ends and raises them. With a Pfifo, a full ring of the other end makes an
// AF_XDP sender wait (EAGAIN) instead of losing the frame (EBUSY).
func Veth(a, b End) error {
	err := a.NS.Do(func() error { return netlink.LinkAdd(pair(a, b)) })
	if err != nil {
		return fmt.Errorf("veth %s-%s: %w", a.Name, b.Name, err)
	}
	for _, e := range [...]End{a, b} {
		if err := e.setUp(); err != nil {
			return err
		}
	}
	return nil
}

// nextIndex gives first ends indices which the kernel's own counting from 1
// does not reach.
var nextIndex atomic.Uint32

func pair(a, b End) *netlink.Veth {
	v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs()}
	// The two ends must not have the same index, as they would in two fresh
	// namespaces: the kernel takes such a device for one without a peer and
	// reports its carrier up to a second late, and IPv6 waits for that.
	v.Index = int(1000 + nextIndex.Add(1)%30000)
	v.Name, v.PeerName = a.Name, b.Name
	v.MTU, v.PeerMTU = a.mtu(), uint32(b.mtu())
	v.HardwareAddr, v.PeerHardwareAddr = a.mac(), b.mac()
	v.NumRxQueues, v.NumTxQueues = a.queues(), a.queues()
	v.PeerNumRxQueues, v.PeerNumTxQueues = uint32(b.queues()), uint32(b.queues())
	v.PeerNamespace = netlink.NsFd(b.NS.Handle())
	return v
}

func (e End) mtu() int {
	if e.MTU == 0 {
		return 1500
	}
	return e.MTU
}

func (e End) queues() int { return max(e.Queues, 1) }

func (e End) mac() net.HardwareAddr {
	if e.MAC != nil {
		return e.MAC
	}
	return MAC(e.NS.Name, e.Name)
}

func (e End) setUp() error {
	if len(e.Off) > 0 {
		if err := e.NS.SetOffload(e.Name, false, e.Off...); err != nil {
			return err
		}
	}
	if e.Pfifo > 0 {
		if err := e.NS.SetPfifo(e.Name, e.Pfifo); err != nil {
			return err
		}
	}
	if e.Bare {
		if err := e.NS.SetSysctl("net/ipv6/conf/"+e.Name+"/disable_ipv6", "1"); err != nil {
			return err
		}
	}
	for _, p := range e.Addrs {
		if err := e.NS.AddAddr(e.Name, p); err != nil {
			return err
		}
	}
	return e.NS.SetUp(e.Name, true)
}

// MAC is the address an interface gets by default: locally administered, and
// the same on every run.
func MAC(ns, name string) net.HardwareAddr {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%s", ns, name)
	s := h.Sum64()
	return net.HardwareAddr{0x02, byte(s >> 32), byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)}
}

// on runs f with the link called name inside the namespace.
func (ns *NS) on(name string, f func(netlink.Link) error) error {
	return ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = f(l)
		}
		if err != nil {
			return fmt.Errorf("%s in %s: %w", name, ns.Name, err)
		}
		return nil
	})
}

// SetUp raises or lowers an interface.
func (ns *NS) SetUp(name string, up bool) error {
	return ns.on(name, func(l netlink.Link) error {
		if up {
			return netlink.LinkSetUp(l)
		}
		return netlink.LinkSetDown(l)
	})
}

// SetMTU sets an interface's MTU; the other end of a veth pair has its own.
func (ns *NS) SetMTU(name string, mtu int) error {
	return ns.on(name, func(l netlink.Link) error { return netlink.LinkSetMTU(l, mtu) })
}

// SetPfifo puts a pfifo of limit packets on an interface.
func (ns *NS) SetPfifo(name string, limit int) error {
	return ns.on(name, func(l netlink.Link) error {
		// The library knows no pfifo: one attribute, struct tc_fifo_qopt.
		req := nl.NewNetlinkRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK)
		req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(l.Attrs().Index), Parent: netlink.HANDLE_ROOT})
		req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("pfifo")))
		req.AddData(nl.NewRtAttr(nl.TCA_OPTIONS, nl.Uint32Attr(uint32(limit))))
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// Interface is what the namespace says about one of its interfaces.
func (ns *NS) Interface(name string) (attrs netlink.LinkAttrs, err error) {
	err = ns.on(name, func(l netlink.Link) error {
		attrs = *l.Attrs()
		return nil
	})
	return attrs, err
}

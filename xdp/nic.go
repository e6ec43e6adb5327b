//go:build linux

package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxUnfragmented is the largest MTU whose frames fit one chunk in every mode:
// 4096 less 256 of headroom, 320 of the kernel's struct and the headers.
const maxUnfragmented = 3506

// nic is one interface: what is known of it, and our program on it.
type nic struct {
	Name    string
	Index   int
	MAC     [6]byte
	MTU     int
	Driver  string
	Virtual bool
	queues  int

	sockets *ebpf.Map // queue -> socket
	program *ebpf.Program
	link    link.Link
	native  bool // where the program is attached
	frags   bool // the program takes packets of several pieces
}

// findNIC looks an interface up in the namespace of the calling thread and
// changes nothing.
func findNIC(name string) (*nic, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil, fmt.Errorf("xdp: no such interface %q", name)
		}
		return nil, fmt.Errorf("xdp: interface %q: %w", name, err)
	}
	a := l.Attrs()
	n := &nic{Name: name, Index: a.Index, MTU: a.MTU, queues: 1}
	if len(a.HardwareAddr) != len(n.MAC) {
		return nil, fmt.Errorf("xdp: interface %q is not Ethernet (%s)", name, l.Type())
	}
	copy(n.MAC[:], a.HardwareAddr)
	if a.Xdp != nil && a.Xdp.Attached {
		return nil, foreign(name, a.Xdp.ProgId)
	}
	if err := n.probe(l.Type()); err != nil {
		return nil, err
	}
	return n, nil
}

// probe asks the driver for its name and its receive queues.
func (n *nic) probe(kind string) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("xdp: interface %q: %w", n.Name, err)
	}
	defer e.Close()
	// A driver that does not answer has one queue and no name.
	n.Driver, _ = e.DriverName(n.Name)
	if c, err := e.GetChannels(n.Name); err == nil {
		n.queues = max(1, int(c.RxCount+c.CombinedCount))
	}
	n.Virtual = virtual(kind, n.Driver)
	return nil
}

// virtual reports whether packets may come from this very machine, or from a
// host that leaves checksums to the last hop.
func virtual(kind, driver string) bool {
	switch kind {
	case "veth", "tuntap", "tun", "bridge", "macvlan", "macvtap", "ipvlan", "dummy", "netkit":
		return true
	}
	switch driver {
	case "virtio_net", "vif", "hv_netvsc", "vmxnet3":
		return true
	}
	return false
}

// foreign is the error for an interface that has somebody else's program.
func foreign(name string, id uint32) error {
	return fmt.Errorf("xdp: interface %q has an XDP program already (id %d), which is not ours: it stays, and so we cannot attach", name, id)
}

// load makes the program and its socket map. A kernel that knows no packets of
// several pieces (before 5.18) gets the program without.
func (n *nic) load(a *addresses) (err error) {
	spec := &ebpf.MapSpec{Name: "mpxd_sockets", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(n.queues)}
	if n.sockets, err = ebpf.NewMap(spec); err != nil {
		return explainBPF("the socket map", err)
	}
	n.frags = true
	if n.program, err = newProgram(n.sockets, a, true); errors.Is(err, unix.EINVAL) {
		n.frags = false
		n.program, err = newProgram(n.sockets, a, false)
	}
	return err
}

// attach attaches the program by a bpf_link: it never replaces a program, and
// is gone when the process is.
func (n *nic) attach(m Mode) error {
	if m != Generic {
		err := n.attachAs(link.XDPDriverMode)
		if err == nil {
			n.native = true
			return nil
		}
		if m != Auto || errors.Is(err, unix.EPERM) || isForeign(err) {
			return n.explain("native", err)
		}
	}
	if err := n.attachAs(link.XDPGenericMode); err != nil {
		return n.explain("generic", err)
	}
	return nil
}

func (n *nic) attachAs(flags link.XDPAttachFlags) (err error) {
	n.link, err = link.AttachXDP(link.XDPOptions{Program: n.program, Interface: n.Index, Flags: flags})
	return err
}

// isForeign: EBUSY for a program in the same mode, EEXIST in the other.
func isForeign(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) }

func (n *nic) explain(mode string, err error) error {
	if isForeign(err) { // it came after we looked
		var id uint32
		if l, e := netlink.LinkByIndex(n.Index); e == nil && l.Attrs().Xdp != nil {
			id = l.Attrs().Xdp.ProgId
		}
		return fmt.Errorf("%w: %w", foreign(n.Name, id), err)
	}
	why := ""
	switch {
	case errors.Is(err, unix.EPERM):
		why = ": needs CAP_NET_ADMIN and CAP_BPF"
	case errors.Is(err, unix.ERANGE) && !n.frags:
		why = fmt.Sprintf(": the MTU (or that of its veth peer) is above %d, and the kernel takes no packets of several pieces", maxUnfragmented)
	case errors.Is(err, unix.ERANGE):
		why = ": the MTU (or that of its veth peer) is too large"
	case errors.Is(err, unix.ENOSPC):
		why = ": its veth peer sends on more queues than it receives on"
	case errors.Is(err, unix.EOPNOTSUPP):
		why = ": the driver has no XDP"
	}
	return fmt.Errorf("xdp: attach to %q in %s mode%s: %w", n.Name, mode, why, err)
}

// direct makes the program redirect a queue into a socket.
func (n *nic) direct(s *Socket) error {
	if err := n.sockets.Put(uint32(s.queue), uint32(s.fd)); err != nil {
		return explainBPF(fmt.Sprintf("the socket of %s queue %d", n.Name, s.queue), err)
	}
	return nil
}

// detach stops the redirection: first into each socket, then altogether.
func (n *nic) detach() error {
	var errs []error
	if n.sockets != nil {
		for q := range n.queues {
			if err := n.sockets.Delete(uint32(q)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				errs = append(errs, err)
			}
		}
	}
	if n.link != nil {
		errs = append(errs, n.link.Close())
	}
	return errors.Join(append(errs, n.program.Close(), n.sockets.Close())...)
}

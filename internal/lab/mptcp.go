package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The generic netlink family of the kernel's MPTCP path manager
// (linux/mptcp_pm.h); no library speaks it.
const (
	pmFamily  = "mptcp_pm"
	pmVersion = 1

	pmCmdAddAddr    = 1
	pmCmdDelAddr    = 2
	pmCmdGetAddr    = 3
	pmCmdFlushAddrs = 4
	pmCmdSetLimits  = 5
	pmCmdGetLimits  = 6
	pmCmdSetFlags   = 7

	attrType = 0x3fff // NLA_TYPE_MASK: without the flags nested and byte order

	pmAttrAddr        = 1
	pmAttrRcvAddAddrs = 2
	pmAttrSubflows    = 3

	pmAddrFamily  = 1
	pmAddrID      = 2
	pmAddrAddr4   = 3
	pmAddrAddr6   = 4
	pmAddrPort    = 5
	pmAddrFlags   = 6
	pmAddrIfIndex = 7
)

// EndpointFlags say what the path manager does with an endpoint's address.
type EndpointFlags uint32

// Flags of an [Endpoint].
const (
	Signal   EndpointFlags = 1 << iota // announce it with ADD_ADDR
	Subflow                            // open a subflow from it
	Backup                             // its subflows are backups
	Fullmesh                           // with Subflow: towards every address of the peer
)

// Endpoint is a local address the kernel's path manager may use.
type Endpoint struct {
	Addr  netip.Addr
	Port  uint16 // only with Signal, 0: the connection's
	ID    uint8  // 0: the kernel's choice
	Flags EndpointFlags
	Dev   string // interface its subflows are bound to; empty: by route
}

// AddEndpoint gives the path manager an address.
func (ns *NS) AddEndpoint(e Endpoint) error {
	return ns.Do(func() error { return e.send(pmCmdAddAddr) })
}

// ChangeEndpoint gives the endpoint of that address the flags Backup and Fullmesh
// anew; peers are told by MP_PRIO.
func (ns *NS) ChangeEndpoint(e Endpoint) error {
	return ns.Do(func() error { return e.send(pmCmdSetFlags) })
}

// DelEndpoint takes an address away by its ID, as [NS.Endpoints] tells it;
// subflows from it are closed.
func (ns *NS) DelEndpoint(e Endpoint) error {
	return ns.Do(func() error { return e.send(pmCmdDelAddr) })
}

// FlushEndpoints takes all addresses away.
func (ns *NS) FlushEndpoints() error {
	return ns.Do(func() error { return pmExecute(pmCmdFlushAddrs, unix.NLM_F_ACK, nil) })
}

// Endpoints lists the addresses the path manager has.
func (ns *NS) Endpoints() (list []Endpoint, err error) {
	err = ns.Do(func() error {
		return pmExecute(pmCmdGetAddr, unix.NLM_F_DUMP, func(attrs map[uint16][]byte) error {
			e, err := parseEndpoint(attrs[pmAttrAddr])
			list = append(list, e)
			return err
		})
	})
	return list, err
}

// SetLimits bounds what the path manager does per connection: how many
// subflows it has beside the first, and how many ADD_ADDR it accepts.
func (ns *NS) SetLimits(subflows, addAddrs int) error {
	return ns.Do(func() error {
		return pmExecute(pmCmdSetLimits, unix.NLM_F_ACK, nil,
			nl.NewRtAttr(pmAttrRcvAddAddrs, nl.Uint32Attr(uint32(addAddrs))),
			nl.NewRtAttr(pmAttrSubflows, nl.Uint32Attr(uint32(subflows))))
	})
}

// Limits reads what SetLimits sets.
func (ns *NS) Limits() (subflows, addAddrs int, err error) {
	err = ns.Do(func() error {
		return pmExecute(pmCmdGetLimits, 0, func(attrs map[uint16][]byte) error {
			subflows, addAddrs = int(u32(attrs[pmAttrSubflows])), int(u32(attrs[pmAttrRcvAddAddrs]))
			return nil
		})
	})
	return subflows, addAddrs, err
}

func (e Endpoint) send(cmd uint8) error {
	a, err := e.attr()
	if err != nil {
		return err
	}
	return pmExecute(cmd, unix.NLM_F_ACK, nil, a)
}

func (e Endpoint) attr() (*nl.RtAttr, error) {
	a := nl.NewRtAttr(pmAttrAddr|unix.NLA_F_NESTED, nil)
	a.AddRtAttr(pmAddrFamily, nl.Uint16Attr(uint16(family(e.Addr))))
	if e.Addr.Is4() {
		a.AddRtAttr(pmAddrAddr4, e.Addr.AsSlice())
	} else {
		a.AddRtAttr(pmAddrAddr6, e.Addr.AsSlice())
	}
	if e.ID != 0 {
		a.AddRtAttr(pmAddrID, []byte{e.ID})
	}
	if e.Port != 0 {
		a.AddRtAttr(pmAddrPort, nl.Uint16Attr(e.Port))
	}
	if e.Flags != 0 {
		a.AddRtAttr(pmAddrFlags, nl.Uint32Attr(uint32(e.Flags)))
	}
	if e.Dev != "" {
		l, err := netlink.LinkByName(e.Dev)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Dev, err)
		}
		a.AddRtAttr(pmAddrIfIndex, nl.Uint32Attr(uint32(l.Attrs().Index)))
	}
	return a, nil
}

// parseEndpoint runs in the namespace: it turns the index back into a name.
func parseEndpoint(b []byte) (e Endpoint, err error) {
	attrs, err := parseAttrs(b)
	if err != nil {
		return e, err
	}
	addr, ok := netip.AddrFromSlice(append(attrs[pmAddrAddr4], attrs[pmAddrAddr6]...))
	if !ok {
		return e, fmt.Errorf("an endpoint without address: %x", b)
	}
	e = Endpoint{Addr: addr, Flags: EndpointFlags(u32(attrs[pmAddrFlags]))}
	if id := attrs[pmAddrID]; len(id) == 1 {
		e.ID = id[0]
	}
	if p := attrs[pmAddrPort]; len(p) == 2 {
		e.Port = binary.NativeEndian.Uint16(p)
	}
	if i := int(u32(attrs[pmAddrIfIndex])); i != 0 {
		l, err := netlink.LinkByIndex(i)
		if err != nil {
			return e, err
		}
		e.Dev = l.Attrs().Name
	}
	return e, nil
}

// pmExecute asks the path manager of the thread's namespace and hands each
// answer's attributes to each.
func pmExecute(cmd uint8, flags int, each func(map[uint16][]byte) error, attrs ...*nl.RtAttr) error {
	f, err := netlink.GenlFamilyGet(pmFamily)
	if err != nil {
		return fmt.Errorf("generic netlink family %s: %w", pmFamily, err)
	}
	req := nl.NewNetlinkRequest(int(f.ID), flags)
	req.AddData(&nl.Genlmsg{Command: cmd, Version: pmVersion})
	for _, a := range attrs {
		req.AddData(a)
	}
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return fmt.Errorf("%s command %d: %w", pmFamily, cmd, err)
	}
	for _, m := range msgs {
		if each == nil || len(m) < nl.SizeofGenlmsg {
			continue
		}
		got, err := parseAttrs(m[nl.SizeofGenlmsg:])
		if err != nil {
			return err
		}
		if err := each(got); err != nil {
			return err
		}
	}
	return nil
}

func parseAttrs(b []byte) (map[uint16][]byte, error) {
	list, err := nl.ParseRouteAttr(b)
	attrs := make(map[uint16][]byte, len(list))
	for _, a := range list {
		attrs[a.Attr.Type&attrType] = a.Value
	}
	return attrs, err
}

func u32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

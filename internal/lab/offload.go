package lab

import (
	"fmt"
	"slices"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// Offload is a group of an interface's features, by the short names ethtool has for
// them.
type Offload string

// The offloads of a veth end. TX off means that checksums are complete when
// they leave (it takes TSO along); SG off takes GSO and TSO along.
const (
	TX  Offload = "tx"
	RX  Offload = "rx"
	SG  Offload = "sg"
	TSO Offload = "tso"
	GSO Offload = "gso"
	GRO Offload = "gro"
)

// AllOffloads off gives packets as a wire carries them: at most MTU bytes, with
// complete checksums.
var AllOffloads = []Offload{TSO, GSO, GRO, SG, TX, RX}

// features are the kernel's names. An interface need not have all of a group.
var features = map[Offload][]string{
	TX:  {"tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6", "tx-checksum-sctp", "tx-checksum-fcoe-crc"},
	RX:  {"rx-checksum"},
	SG:  {"tx-scatter-gather", "tx-scatter-gather-fraglist"},
	TSO: {"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation"},
	GSO: {"tx-generic-segmentation"},
	GRO: {"rx-gro"},
}

// SetOffload turns offloads of an interface on or off. A feature which the
// driver has fixed in the other position is an error when it is to be off, for
// then the packets are not what the caller asked for.
func (ns *NS) SetOffload(name string, on bool, offs ...Offload) error {
	return ns.ethtool(name, func(e *ethtool.Ethtool) error {
		state, err := e.FeaturesWithState(name)
		if err != nil {
			return err
		}
		change := map[string]bool{}
		for _, o := range offs {
			for _, f := range features[o] {
				if s, ok := state[f]; ok && s.Available && !s.NeverChanged && s.Active != on {
					change[f] = on
				} else if ok && s.Active && !on {
					return fmt.Errorf("%s is fixed on", f)
				}
			}
		}
		if len(change) == 0 {
			return nil
		}
		return e.Change(name, change)
	})
}

// Offloads tells which of the groups have an active feature.
func (ns *NS) Offloads(name string) (on []Offload, err error) {
	err = ns.ethtool(name, func(e *ethtool.Ethtool) error {
		state, err := e.Features(name)
		for o, fs := range features {
			if slices.ContainsFunc(fs, func(f string) bool { return state[f] }) {
				on = append(on, o)
			}
		}
		return err
	})
	slices.Sort(on)
	return on, err
}

// EthtoolStats are the driver's own counters, on veth with native XDP
// among others rx_queue_N_drops.
func (ns *NS) EthtoolStats(name string) (stats map[string]uint64, err error) {
	err = ns.ethtool(name, func(e *ethtool.Ethtool) error {
		stats, err = e.Stats(name)
		return err
	})
	return stats, err
}

func (ns *NS) ethtool(name string, f func(*ethtool.Ethtool) error) error {
	return ns.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		if err := f(e); err != nil {
			return fmt.Errorf("ethtool %s in %s: %w", name, ns.Name, err)
		}
		return nil
	})
}

// SetGSO bounds the super-packets the kernel gives an interface: segments, and
// bytes (IPv4 and IPv6 have a limit each).
func (ns *NS) SetGSO(name string, segs, size int) error {
	return ns.on(name, func(l netlink.Link) error {
		if err := netlink.LinkSetGSOMaxSegs(l, segs); err != nil {
			return err
		}
		if err := netlink.LinkSetGSOMaxSize(l, size); err != nil {
			return err
		}
		return netlink.LinkSetGSOIPv4MaxSize(l, size)
	})
}

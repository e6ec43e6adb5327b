//go:build linux

package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
)

// maxAddresses bounds the addresses of a group, each IPv6 address counting
// twice (its solicited-node multicast group).
const maxAddresses = 1024

// addresses are the destinations the programs redirect. All programs of a
// group share the two maps. Any goroutine may change them.
type addresses struct {
	mu       sync.Mutex
	ip4, ip6 *ebpf.Map
	// uses counts who needs a key: addresses may share a multicast group.
	uses map[netip.Addr]int
}

func newAddresses() (*addresses, error) {
	a := &addresses{uses: map[netip.Addr]int{}}
	var err error
	if a.ip4, err = newAddressMap("mpxd_ip4", 4); err == nil {
		a.ip6, err = newAddressMap("mpxd_ip6", 16)
	}
	if err != nil {
		a.close()
		return nil, explainBPF("the address map", err)
	}
	return a, nil
}

func newAddressMap(name string, keySize uint32) (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: ebpf.Hash, KeySize: keySize, ValueSize: 1, MaxEntries: maxAddresses})
}

func (a *addresses) add(addr netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys, err := keysOf(addr)
	if err != nil {
		return err
	}
	if a.uses[keys[0]] > 0 {
		return nil
	}
	for _, k := range keys {
		if err := a.of(k).Put(k.AsSlice(), []byte{1}); err != nil {
			return fmt.Errorf("xdp: address %v: %w", addr, err)
		}
		a.uses[k]++
	}
	return nil
}

func (a *addresses) remove(addr netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys, err := keysOf(addr)
	if err != nil {
		return err
	}
	if a.uses[keys[0]] == 0 {
		return fmt.Errorf("xdp: address %v was not added", addr)
	}
	for _, k := range keys {
		if a.uses[k]--; a.uses[k] > 0 {
			continue
		}
		delete(a.uses, k)
		if err := a.of(k).Delete(k.AsSlice()); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("xdp: address %v: %w", addr, err)
		}
	}
	return nil
}

func (a *addresses) of(k netip.Addr) *ebpf.Map {
	if k.Is4() {
		return a.ip4
	}
	return a.ip6
}

func (a *addresses) close() error {
	return errors.Join(a.ip4.Close(), a.ip6.Close()) // a nil map may be closed
}

// keysOf are the destinations that belong to an address: itself, and for IPv6
// the solicited-node multicast address on which neighbours ask for it.
func keysOf(addr netip.Addr) ([]netip.Addr, error) {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback():
		return nil, fmt.Errorf("xdp: %v is not an address of an interface", addr)
	case addr.Is4():
		return []netip.Addr{addr}, nil
	}
	return []netip.Addr{addr, solicitedNode(addr)}, nil
}

// solicitedNode is ff02::1:ff and the last 24 bits (RFC 4291, 2.7.1).
func solicitedNode(addr netip.Addr) netip.Addr {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}

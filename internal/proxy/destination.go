package proxy

import (
	"encoding/binary"
	"net/netip"

	"github.com/mpxd/mpxd/tcp"
)

// choose puts the addresses to try into to and returns how many; if none, code
// says why. It keeps the resolver's order but alternates between the families,
// so that one which is broken costs one try and not all (RFC 8305, 4).
func (p *Proxy) choose(to *[maxAddresses]tcp.Addr, found []netip.Addr, port uint16) (n uint8, code Code) {
	code = HostUnreachable
	var kept []netip.Addr
	for _, a := range found {
		a = a.Unmap()
		if !p.allowed(a, port) {
			code = NotAllowed
		} else if !p.reaches(a) {
			code = NetworkUnreachable
		} else {
			kept = append(kept, a)
		}
	}
	for len(kept) > 0 && int(n) < maxAddresses {
		next := 0
		for k, a := range kept { // the first of the other family, if there is one
			if n > 0 && to[n-1].Is4() != a.Is4() {
				next = k
				break
			}
		}
		to[n] = kept[next].As16()
		n++
		kept = append(kept[:next], kept[next+1:]...)
	}
	return n, code
}

// allowed reports whether a destination may be dialled at all. It is asked
// about addresses, after names were resolved: a name is not what is dialled.
func (p *Proxy) allowed(a netip.Addr, port uint16) bool {
	if port == 0 || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Zone() != "" {
		return false
	}
	if a.Is4() && (a.As4()[0] == 0 || a == broadcast) { // RFC 1122, 3.2.1.3
		return false
	}
	for _, own := range p.conf.Addresses {
		if a == own.Addr().Unmap() || a == lastOf(own) {
			return false
		}
	}
	return true
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// lastOf is the directed broadcast address of an IPv4 subnet; the zero Addr if
// it has none (RFC 3021).
func lastOf(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() || p.Bits() >= 31 {
		return netip.Addr{}
	}
	b := p.Addr().As4()
	v := binary.BigEndian.Uint32(b[:]) | (1<<(32-p.Bits()) - 1)
	binary.BigEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

// reaches reports whether we have an address of the family.
func (p *Proxy) reaches(a netip.Addr) bool {
	for _, own := range p.conf.Addresses {
		if own.Addr().Is4() == a.Is4() {
			return true
		}
	}
	return false
}

package stack

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mpxd/mpxd/tcp"
)

// local is an address of ours.
type local struct {
	addr   tcp.Addr
	prefix netip.Prefix
	link   int
}

// hop is where a packet goes next.
type hop struct {
	addr tcp.Addr
	link int // or AnyLink
}

// maxAddresses and maxRoutes bound linear searches.
const (
	maxAddresses = 64
	maxRoutes    = 64
)

func toNetip(a *tcp.Addr) netip.Addr  { return netip.AddrFrom16(*a).Unmap() }
func fromNetip(a netip.Addr) tcp.Addr { return a.As16() }

// routes takes the configured addresses and routes.
func (s *Shard) configure(conf *Config) error {
	if len(conf.Addresses) > maxAddresses || len(conf.Routes) > maxRoutes {
		return fmt.Errorf("stack: more than %d addresses or %d routes", maxAddresses, maxRoutes)
	}
	for _, a := range conf.Addresses {
		ip := a.Prefix.Addr().Unmap()
		switch {
		case !a.Prefix.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "":
			return fmt.Errorf("stack: %v cannot be an address of ours", a.Prefix)
		case a.Link != AnyLink && (a.Link < 0 || a.Link >= len(s.links)):
			return fmt.Errorf("stack: address %v is on link %d of %d", a.Prefix, a.Link, len(s.links))
		}
		s.locals = append(s.locals, local{fromNetip(ip), netip.PrefixFrom(ip, a.Prefix.Bits()), a.Link})
	}
	for _, r := range conf.Routes {
		if !r.Prefix.IsValid() || !r.Gateway.IsValid() || r.Gateway.Is4() != r.Prefix.Addr().Is4() {
			return fmt.Errorf("stack: bad route %v via %v", r.Prefix, r.Gateway)
		}
		s.routes = append(s.routes, r)
	}
	return nil
}

// ours reports whether a is an address of ours, on whatever link (the weak
// host model of RFC 1122, 3.3.4.2).
func (s *Shard) ours(a *tcp.Addr) bool {
	for i := range s.locals {
		if s.locals[i].addr == *a {
			return true
		}
	}
	return false
}

// impostor reports whether a source is an address of ours, or the broadcast
// address of a subnet of ours.
func (s *Shard) impostor(a *tcp.Addr) bool {
	for i := range s.locals {
		l := &s.locals[i]
		if l.addr == *a || l.isBroadcast(a) {
			return true
		}
	}
	return false
}

func (l *local) isBroadcast(a *tcp.Addr) bool {
	n := l.prefix.Bits()
	if !l.addr.Is4() || n > 30 || !a.Is4() { // a /31 has no broadcast address (RFC 3021)
		return false
	}
	mine, its := be32(l.addr[12:]), be32(a[12:])
	host := uint32(1)<<(32-n) - 1
	return its == mine|host
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// route finds the next hop to a destination: the longest prefix wins. Among
// equals that which is on the subnet of the address we speak from does, if it is
// known: with an uplink for each of our addresses, an answer leaves by the one on which
// the question came, and each subflow has a path of its own.
func (s *Shard) route(to, from *tcp.Addr) (hop, bool) {
	dst := toNetip(to)
	home := s.subnet(from)
	best, h := -1, hop{}
	consider := func(bits int, near bool, via hop) {
		rank := 2 * bits
		if near {
			rank++
		}
		if rank > best {
			best, h = rank, via
		}
	}
	for i := range s.locals {
		if l := &s.locals[i]; l.prefix.Contains(dst) {
			consider(l.prefix.Bits(), from != nil && l.addr == *from, hop{*to, l.link})
		}
	}
	for i := range s.routes {
		if r := &s.routes[i]; r.Prefix.Contains(dst) {
			consider(r.Prefix.Bits(), home.Contains(r.Gateway), hop{fromNetip(r.Gateway), s.onLink(r.Gateway)})
		}
	}
	return h, best >= 0
}

// subnet of an address of ours; the zero Prefix, which contains nothing, of others.
func (s *Shard) subnet(a *tcp.Addr) netip.Prefix {
	for i := range s.locals {
		if a != nil && s.locals[i].addr == *a {
			return s.locals[i].prefix
		}
	}
	return netip.Prefix{}
}

// onLink is the link on which an address of our subnets is.
func (s *Shard) onLink(a netip.Addr) int {
	for i := range s.locals {
		if s.locals[i].prefix.Contains(a) {
			return s.locals[i].link
		}
	}
	return AnyLink
}

// sources writes our addresses to speak from to that hop, and returns how many
// they are: those of its own subnet, and those without a subnet (/32, /128) that were
// given to its link, which are routed to us there; if there is none, all of the
// family. Others would be answered by another way, or not at all. Link-local ones
// speak to link-local destinations only. (RFC 6724, 5, rules 2, 5 and 8, by
// configuration.)
func (s *Shard) sources(to *tcp.Addr, h *hop, from *[maxAddresses]tcp.Addr) (n int) {
	via, dst := toNetip(&h.addr), toNetip(to)
	for _, near := range [...]bool{true, false} {
		for i := range s.locals {
			l := &s.locals[i]
			if l.addr.Is4() == to.Is4() && (l.prefix.Contains(via) || l.prefix.IsSingleIP() && l.link != AnyLink && l.link == h.link) == near &&
				(!l.prefix.Addr().IsLinkLocalUnicast() || dst.IsLinkLocalUnicast()) {
				from[n] = l.addr
				n++
			}
		}
		if n > 0 {
			break
		}
	}
	return n
}

// source is the first of sources.
func (s *Shard) source(to *tcp.Addr, h *hop) (tcp.Addr, bool) {
	var from [maxAddresses]tcp.Addr
	n := s.sources(to, h, &from)
	return from[0], n > 0
}

// mtu of a hop: of the smallest link if it is not known which.
func (s *Shard) mtu(link int) int {
	if link != AnyLink {
		return s.links[link].MTU
	}
	m := s.links[0].MTU
	for i := range s.links {
		m = min(m, s.links[i].MTU)
	}
	return m
}

// params of a flow by a hop. reserve is taken off the MSS we announce.
func (s *Shard) params(t *tcp.Tuple, h *hop, reserve int) tcp.Params {
	headers := ipv4Header + tcp.MinHeader
	if !t.Remote.Is4() {
		headers = ipv6Header + tcp.MinHeader
	}
	mtu := s.mtu(h.link)
	mss := mtu - headers
	return tcp.Params{
		MSS: uint16(max(mss-reserve, int(s.conf.TCP.MinMSS))),
		// A segment is gathered into one frame at most.
		PathMSS: uint16(min(s.paths.mtu(t, s.env.Now, mtu)-headers, s.pool.FrameSize()-headroom)),
	}
}

// Errors of Dial and New.
var (
	ErrNoRoute = errors.New("no route to host")
	ErrNoPort  = errors.New("no free port")
	ErrLimit   = errors.New("too many connections")
	ErrShort   = errors.New("frames are short")
)

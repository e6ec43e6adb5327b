package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/tcp"
)

const (
	ipv6Header  = 40
	protoICMPv6 = 58

	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extDestination = 60

	// maxExtensions: hop-by-hop, destination options, routing, destination
	// options again (RFC 8200, 4.1); more is not sent in earnest.
	maxExtensions = 4
)

// ipv6 takes RFC 8200 packets.
func (s *Shard) ipv6(p *packet) Drop {
	b := p.first[p.l3:]
	if len(b) < ipv6Header || b[0]>>4 != 6 {
		return DropIPHeader
	}
	total := ipv6Header + int(binary.BigEndian.Uint16(b[4:]))
	if p.l3+total > p.size {
		return DropIPLength
	}
	copy(p.src[:], b[8:24])
	copy(p.dst[:], b[24:40])
	p.end, p.hops, p.ecn = p.l3+total, b[7], tcp.ECN(b[1]>>4&3)
	if p.src.Is4() || p.dst.Is4() { // RFC 4291, 2.5.5.2: not for the wire
		return DropSource
	}
	proto, n, d := extensions(b[:min(total, len(b))])
	if d != Carried {
		return d
	}
	p.l4, p.proto = p.l3+n, proto
	group := b[24] == 0xff
	switch {
	case group && proto != protoICMPv6, p.group && !group, !group && !s.ours(&p.dst):
		return DropDestination
	case b[8] == 0xff || isLoopback(b[8:24]) || s.impostor(&p.src):
		return DropSource
	}
	switch proto {
	case protoTCP:
		if isUnspecified(b[8:24]) {
			return DropSource
		}
		return s.tcp(p)
	case protoICMPv6:
		return s.icmpv6(p)
	}
	return DropProtocol
}

// extensions skips the extension headers that b, which begins with the IPv6
// header, has: it returns the upper protocol and where it begins.
func extensions(b []byte) (proto uint8, at int, d Drop) {
	proto, at = b[6], ipv6Header
	for n := 0; ; n++ {
		switch proto {
		case extHopByHop, extDestination, extRouting:
		case extFragment:
			return 0, 0, DropFragment
		default:
			return proto, at, Carried
		}
		if n == maxExtensions || len(b) < at+8 {
			return 0, 0, DropExtension
		}
		if proto == extRouting && b[at+3] != 0 {
			return 0, 0, DropExtension // segments left: we do not forward (RFC 5095)
		}
		next := at + 8 + int(b[at+1])*8
		if next > len(b) {
			return 0, 0, DropExtension
		}
		proto, at = b[at], next
	}
}

func isUnspecified(a []byte) bool { return [16]byte(a) == [16]byte{} }
func isLoopback(a []byte) bool    { return [16]byte(a) == [16]byte{15: 1} }

// putIPv6 writes a header. The flow label is 0 (RFC 6437, 2: a source may).
func putIPv6(b []byte, src, dst []byte, proto uint8, ecn tcp.ECN, payload int, hops uint8) {
	b[0], b[1], b[2], b[3] = 6<<4, uint8(ecn)<<4, 0, 0
	binary.BigEndian.PutUint16(b[4:], uint16(payload))
	b[6], b[7] = proto, hops
	copy(b[8:24], src)
	copy(b[24:40], dst)
}

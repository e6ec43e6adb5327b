package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/tcp"
)

const (
	ipv4Header = 20
	protoICMP  = 1
	protoTCP   = 6

	ttl = 64 // RFC 1122, 3.2.1.7, by way of IANA
)

// ipv4 takes RFC 791 packets. Options are skipped (RFC 7126 would rather have
// them dropped, but some paths add them), fragments are not reassembled.
func (s *Shard) ipv4(p *packet) Drop {
	b := p.first[p.l3:]
	if len(b) < ipv4Header || b[0]>>4 != 4 {
		return DropIPHeader
	}
	n := int(b[0]&15) * 4
	if n < ipv4Header || n > len(b) {
		return DropIPHeader
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total < n || p.l3+total > p.size {
		return DropIPLength
	}
	if checksum.Sum(b[:n]) != 0xffff {
		return DropIPChecksum
	}
	const moreOrOffset = 0x3fff
	if binary.BigEndian.Uint16(b[6:])&moreOrOffset != 0 {
		return DropFragment
	}
	p.src, p.dst = tcp.AddrFrom4([4]byte(b[12:])), tcp.AddrFrom4([4]byte(b[16:]))
	p.l4, p.end, p.hops, p.proto = p.l3+n, p.l3+total, b[8], b[9]
	p.ecn = tcp.ECN(b[1] & 3)
	switch {
	case p.group || !s.ours(&p.dst):
		return DropDestination // RFC 1122, 3.2.1.3: group addresses are not answered
	case badSource4(b[12:16]) || s.impostor(&p.src):
		return DropSource
	}
	switch p.proto {
	case protoTCP:
		return s.tcp(p)
	case protoICMP:
		return s.icmp(p)
	}
	return DropProtocol
}

// badSource4 names the sources of RFC 1122, 3.2.1.3 that never stand on a wire.
func badSource4(a []byte) bool {
	return a[0] == 0 || a[0] == 127 || a[0] >= 224
}

// putIPv4 writes a header without options. The identification is 0: with DF it
// says nothing (RFC 6864, 4), and tells nothing of other flows.
func putIPv4(b []byte, src, dst []byte, proto uint8, ecn tcp.ECN, payload int) {
	const dontFragment = 0x4000
	b[0], b[1] = 4<<4|ipv4Header/4, uint8(ecn)
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4Header+payload))
	binary.BigEndian.PutUint16(b[4:], 0)
	binary.BigEndian.PutUint16(b[6:], dontFragment)
	b[8], b[9], b[10], b[11] = ttl, proto, 0, 0
	copy(b[12:16], src)
	copy(b[16:20], dst)
	binary.BigEndian.PutUint16(b[10:], ^checksum.Sum(b[:ipv4Header]))
}

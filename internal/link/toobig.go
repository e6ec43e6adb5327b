package link

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
)

const (
	etherHeader = 14
	ipv4Header  = 20
	ipv6Header  = 40
	icmpHeader  = 8

	// MaxTooBig is the longest error: an IPv6 packet of the least MTU with its
	// Ethernet header (RFC 4443, 2.4 (c)).
	MaxTooBig = etherHeader + 1280
	// quote4 is how much of an IPv4 packet is quoted: the whole error stays
	// within 576 bytes (RFC 1812, 4.3.2.3).
	quote4 = 576 - ipv4Header - icmpHeader
)

// TooBig writes into dst, which has room for MaxTooBig bytes, what a router says to the sender of a
// frame that was longer than a link's MTU, given as in Config with the Ethernet header: "fragmentation needed" (RFC 1191, 4) or
// "packet too big" (RFC 4443, 3.2). It returns the frame's length; 0: about such a frame nothing is said. The error comes from the
// address the frame was for: a router without addresses of its own.
func TooBig(dst, frame []byte, mtu int) int {
	if len(frame) < etherHeader {
		return 0
	}
	copy(dst, frame[6:12])
	copy(dst[6:], frame[:6])
	copy(dst[12:], frame[12:14])
	p := frame[etherHeader:]
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == 0x0800 && len(p) >= ipv4Header && p[0]>>4 == 4:
		return etherHeader + tooBig4(dst[etherHeader:], p, mtu-etherHeader)
	case kind == 0x86dd && len(p) >= ipv6Header && p[0]>>4 == 6:
		return etherHeader + tooBig6(dst[etherHeader:], p, mtu-etherHeader)
	}
	return 0
}

func tooBig4(dst, p []byte, mtu int) int {
	quote := p[:min(len(p), quote4)]
	n := ipv4Header + icmpHeader + len(quote)
	clear(dst[:ipv4Header+icmpHeader])
	dst[0], dst[8], dst[9] = 0x45, 64, 1
	binary.BigEndian.PutUint16(dst[2:], uint16(n))
	copy(dst[12:], p[16:20])
	copy(dst[16:], p[12:16])
	binary.BigEndian.PutUint16(dst[10:], ^checksum.Sum(dst[:ipv4Header]))
	icmp := dst[ipv4Header:n]
	icmp[0], icmp[1] = 3, 4
	binary.BigEndian.PutUint16(icmp[6:], uint16(mtu))
	copy(icmp[icmpHeader:], quote)
	binary.BigEndian.PutUint16(icmp[2:], ^checksum.Sum(icmp))
	return n
}

func tooBig6(dst, p []byte, mtu int) int {
	quote := p[:min(len(p), MaxTooBig-etherHeader-ipv6Header-icmpHeader)]
	n := ipv6Header + icmpHeader + len(quote)
	clear(dst[:ipv6Header+icmpHeader])
	dst[0], dst[6], dst[7] = 0x60, 58, 64
	binary.BigEndian.PutUint16(dst[4:], uint16(icmpHeader+len(quote)))
	copy(dst[8:], p[24:40])
	copy(dst[24:], p[8:24])
	icmp := dst[ipv6Header:n]
	icmp[0] = 2
	binary.BigEndian.PutUint32(icmp[4:], uint32(mtu))
	copy(icmp[icmpHeader:], quote)
	sum := checksum.Add(checksum.Pseudo(dst[8:24], dst[24:40], 58, len(icmp)), checksum.Sum(icmp))
	binary.BigEndian.PutUint16(icmp[2:], ^sum)
	return n
}

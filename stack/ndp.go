package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/tcp"
)

// Neighbour discovery (RFC 4861): solicitation and advertisement.
//
//	type (1), code (1), checksum (2), flags (1), reserved (3), target (16), options
const (
	ndpSolicit   = 135
	ndpAdvertise = 136

	ndpSize     = 24
	ndpOption   = 8 // type, length in units of 8, MAC
	sourceMAC   = 1
	targetMAC   = 2
	ndpHops     = 255 // 7.1.1: it cannot have come from off the link
	naSolicited = 0x40
	naOverride  = 0x20
	maxOptions  = 8 // of a message; one is of interest
)

// ndpMAC finds a link-layer address option.
func ndpMAC(b []byte, kind uint8) (m mac, found, ok bool) {
	for n := 0; len(b) > 0; n++ {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) || n == maxOptions {
			return m, false, false
		}
		if b[0] == kind && b[1] == 1 && !found {
			m, found = mac(b[2:8]), true
		}
		b = b[int(b[1])*8:]
	}
	return m, found, true
}

// solicited answers a neighbour solicitation (7.1.1, 7.2.4). Like an ARP
// request it teaches nothing.
func (s *Shard) solicited(p *packet) Drop {
	b := p.body()
	if len(b) < ndpSize || p.hops != ndpHops || b[1] != 0 {
		return DropNDP
	}
	target := tcp.Addr(b[8:24])
	if !s.ours(&target) {
		return DropNDPNotOurs
	}
	m, has, ok := ndpMAC(b[ndpSize:], sourceMAC)
	if !ok {
		return DropNDP
	}
	if p.src == (tcp.Addr{}) { // somebody wants to use our address (RFC 4862, 5.4)
		if has {
			return DropNDP
		}
		return s.advertise(p.q, mac{0x33, 0x33, 0, 0, 0, 1}, &target, &allNodes, naOverride)
	}
	if has {
		s.heard(&p.src, p.q.link, m)
	}
	return s.advertise(p.q, p.from, &target, &p.src, naOverride|naSolicited)
}

// advertised takes a neighbour advertisement (7.1.2, 7.2.5).
func (s *Shard) advertised(p *packet) Drop {
	b := p.body()
	if len(b) < ndpSize || p.hops != ndpHops || b[1] != 0 {
		return DropNDP
	}
	m, has, ok := ndpMAC(b[ndpSize:], targetMAC)
	if !ok {
		return DropNDP
	}
	if !has {
		m = p.from // 4.4: it may be left out of the answer to a unicast solicitation
	}
	target := tcp.Addr(b[8:24])
	if b[4]&naSolicited == 0 || p.group || !s.ours(&p.dst) || !s.answered(&target, p.q.link, m) {
		return DropNDPUnsolicited
	}
	return Carried
}

var allNodes = tcp.Addr{0: 0xff, 1: 0x02, 15: 1}

func (s *Shard) advertise(q *queue, to mac, target, dst *tcp.Addr, flags uint8) Drop {
	return s.putNDP(q, to, target, dst, ndpAdvertise, flags, target, targetMAC)
}

// askNDP asks for a neighbour: its solicited-node group (RFC 4291, 2.7.1), or
// itself while it is probed.
func (s *Shard) askNDP(link int, n *neighbor) {
	src, ok := s.source(&n.addr, &hop{addr: n.addr})
	if !ok {
		return
	}
	to, dst := n.mac, n.addr
	if n.state != probing {
		dst = tcp.Addr{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: n.addr[13], 14: n.addr[14], 15: n.addr[15]}
		to = mac{0x33, 0x33, 0xff, n.addr[13], n.addr[14], n.addr[15]}
	}
	if d := s.putNDP(s.queueOf(link), to, &src, &dst, ndpSolicit, 0, &n.addr, sourceMAC); d != Carried {
		s.stats.Drops[d]++
	}
}

func (s *Shard) putNDP(q *queue, to mac, src, dst *tcp.Addr, kind, flags uint8, target *tcp.Addr, option uint8) Drop {
	const size = ndpSize + ndpOption
	b, d, drop := s.blank(q, etherHeader+ipv6Header+size)
	if drop != Carried {
		return drop
	}
	us := s.links[q.link].MAC
	putEthernet(b, to, us, etherIPv6)
	putIPv6(b[etherHeader:], src[:], dst[:], protoICMPv6, tcp.NotECT, size, ndpHops)
	m := b[etherHeader+ipv6Header:]
	clear(m)
	m[0], m[4] = kind, flags
	copy(m[8:], target[:])
	m[24], m[25] = option, ndpOption/8
	copy(m[26:], us[:])
	sum := checksum.Add(checksum.Pseudo(src[:], dst[:], protoICMPv6, size), checksum.Sum(m))
	binary.BigEndian.PutUint16(m[2:], ^sum)
	s.transmit(q, d)
	return Carried
}

package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/tcp"
)

//	hardware type (2) = 1 | protocol type (2) = 0x0800
//	hardware size (1) = 6 | protocol size (1) = 4 | operation (2)
//	sender MAC (6), sender address (4), target MAC (6), target address (4)
//
// (RFC 826)
const (
	arpSize    = 28
	arpRequest = 1
	arpReply   = 2
)

var arpPreamble = [6]byte{0, 1, 8, 0, 6, 4}

// arp answers requests for our addresses, also probes (RFC 5227, 2.1.1), and
// learns from solicited replies only. A request teaches nothing: it may be forged as
// easily as a gratuitous reply.
func (s *Shard) arp(p *packet) Drop {
	b := p.first[p.l3:]
	if len(b) < arpSize || [6]byte(b) != arpPreamble || b[8]&1 != 0 {
		return DropARP
	}
	sender, target := tcp.AddrFrom4([4]byte(b[14:])), tcp.AddrFrom4([4]byte(b[24:]))
	if !s.ours(&target) {
		return DropARPNotOurs
	}
	from := mac(b[8:14])
	switch binary.BigEndian.Uint16(b[6:]) {
	case arpRequest:
		s.heard(&sender, p.q.link, from)
		return s.putARP(p.q, arpReply, from, from, target.Bytes(), sender.Bytes())
	case arpReply:
		if p.group || !s.answered(&sender, p.q.link, from) {
			return DropARPUnsolicited
		}
		return Carried
	}
	return DropARP
}

// askARP asks for a neighbour: everybody, or itself while it is probed.
func (s *Shard) askARP(link int, n *neighbor) {
	src, ok := s.source(&n.addr, &hop{addr: n.addr})
	if !ok {
		return
	}
	to, target := broadcast, mac{}
	if n.state == probing {
		to, target = n.mac, n.mac
	}
	if d := s.putARP(s.queueOf(link), arpRequest, to, target, src.Bytes(), n.addr.Bytes()); d != Carried {
		s.stats.Drops[d]++
	}
}

func (s *Shard) putARP(q *queue, op uint16, to, target mac, src, dst []byte) Drop {
	b, d, drop := s.blank(q, etherHeader+arpSize)
	if drop != Carried {
		return drop
	}
	us := s.links[q.link].MAC
	putEthernet(b, to, us, etherARP)
	a := b[etherHeader:]
	copy(a, arpPreamble[:])
	binary.BigEndian.PutUint16(a[6:], op)
	copy(a[8:], us[:])
	copy(a[14:], src)
	copy(a[18:], target[:])
	copy(a[24:], dst)
	s.transmit(q, d)
	return Carried
}

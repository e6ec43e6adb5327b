package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

type mac = [6]byte

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

const (
	etherHeader = 14
	vlanTag     = 4
	maxTags     = 2 // a customer's and a provider's (IEEE 802.1ad)

	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherVLAN = 0x8100
	etherIPv6 = 0x86dd
	etherQinQ = 0x88a8
)

// packet is what is known of the packet in hand. There is one per shard.
type packet struct {
	q     *queue
	spans []frame.Span // as received, borrowed
	first []byte       // bytes of the first span: all headers must lie there
	size  int          // bytes in all spans
	l3    int          // where the network header begins
	l4    int          // where the transport header begins
	end   int          // where the network packet ends; Ethernet padding follows
	from  mac          // Ethernet source
	group bool         // the Ethernet destination was a group address
	hops  uint8        // IPv4 TTL or IPv6 hop limit
	proto uint8        // of the transport header
	ecn   tcp.ECN

	src, dst tcp.Addr
}

// body is the transport header and what follows it in the first span.
func (p *packet) body() []byte { return p.first[p.l4:min(p.end, len(p.first))] }

// length of the transport header and payload, over all spans.
func (p *packet) length() int { return p.end - p.l4 }

// input carries one packet, which stays the caller's, as far as it goes.
func (s *Shard) input(q *queue, spans []frame.Span) {
	s.stats.RxPackets++
	s.stats.RxFrames += uint64(len(spans))
	if s.tap != nil {
		s.tap(false, q.link, spans)
	}
	p := &s.packet
	p.q, p.spans, p.first, p.size = q, spans, s.pool.Bytes(spans[0]), 0
	for i := range spans {
		p.size += int(spans[i].Len)
	}
	s.stats.RxBytes += uint64(p.size)
	if d := s.ethernet(p); d != Carried {
		s.stats.Drops[d]++
	}
}

// ethernet looks at the link header. VLAN tags are skipped: a queue is one
// broadcast domain whatever its tags say, and what leaves is not tagged. (NICs
// take tags off before AF_XDP sees the frame, unless told otherwise.)
func (s *Shard) ethernet(p *packet) Drop {
	b := p.first
	if len(b) < etherHeader {
		return DropShort
	}
	if len(p.spans) > frame.MaxChain {
		return DropChain
	}
	p.from = mac(b[6:12])
	p.group = b[0]&1 != 0
	if !p.group && mac(b[:6]) != s.links[p.q.link].MAC {
		return DropMAC
	}
	kind, at := binary.BigEndian.Uint16(b[12:]), etherHeader
	for n := 0; kind == etherVLAN || kind == etherQinQ; n++ {
		if n == maxTags || len(b) < at+vlanTag {
			return DropShort
		}
		kind = binary.BigEndian.Uint16(b[at+2:])
		at += vlanTag
	}
	p.l3 = at
	switch kind {
	case etherIPv4:
		return s.ipv4(p)
	case etherIPv6:
		return s.ipv6(p)
	case etherARP:
		return s.arp(p)
	}
	return DropEtherType
}

func putEthernet(b []byte, dst, src mac, kind uint16) {
	copy(b, dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], kind)
}

package stack

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/tcp"
)

// ICMP for IPv4 (RFC 792) and IPv6 (RFC 4443): echo is answered, errors are
// handed to the flow they quote, the rest is none of our business.
const (
	icmpEchoReply   = 0
	icmpUnreachable = 3
	icmpEcho        = 8
	icmpTimeExceed  = 11
	icmpParameter   = 12

	icmp6Unreachable = 1
	icmp6TooBig      = 2
	icmp6TimeExceed  = 3
	icmp6Parameter   = 4
	icmp6Echo        = 128
	icmp6EchoReply   = 129

	icmpHeader = 8

	// Floors of a path's MTU: RFC 8200, 5; for IPv4 the least anybody
	// really has (below it, it is an attack: threat of tiny segments).
	minMTU4 = 552
	minMTU6 = 1280
)

func (s *Shard) icmp(p *packet) Drop {
	b := p.body()
	if len(b) < icmpHeader {
		return DropICMP
	}
	if d := s.icmpSum(p, 0); d != Carried {
		return d
	}
	switch b[0] {
	case icmpEcho:
		return s.echo(p, icmpEchoReply)
	case icmpUnreachable:
		if b[1] == 4 {
			return s.tooBig(p, toldMTU(b))
		}
		// RFC 1122, 4.2.3.9: protocol and port are hard errors.
		return s.unreachable(p, b[1] == 2 || b[1] == 3)
	case icmpTimeExceed, icmpParameter:
		return s.unreachable(p, false)
	}
	return DropICMPType
}

// toldMTU is the MTU in an ICMP "fragmentation needed". Routers older than RFC 1191
// leave the field 0.
func toldMTU(b []byte) int {
	mtu := int(binary.BigEndian.Uint16(b[6:]))
	if mtu == 0 && len(b) >= icmpHeader+ipv4Header {
		mtu = plateau(int(binary.BigEndian.Uint16(b[icmpHeader+2:])))
	}
	return max(mtu, minMTU4)
}

func (s *Shard) icmpv6(p *packet) Drop {
	b := p.body()
	if len(b) < icmpHeader {
		return DropICMP
	}
	if d := s.icmpSum(p, checksum.Pseudo(p.src[:], p.dst[:], protoICMPv6, p.length())); d != Carried {
		return d
	}
	switch b[0] {
	case ndpSolicit:
		return s.solicited(p)
	case ndpAdvertise:
		return s.advertised(p)
	}
	if p.group || p.dst[0] == 0xff {
		return DropICMPType
	}
	switch b[0] {
	case icmp6Echo:
		return s.echo(p, icmp6EchoReply)
	case icmp6TooBig:
		mtu := min(binary.BigEndian.Uint32(b[4:]), 1<<16-1)
		if mtu < minMTU6 {
			return DropICMPStale // RFC 8201, 4: no path of IPv6 is so narrow
		}
		return s.tooBig(p, int(mtu))
	case icmp6Unreachable:
		return s.unreachable(p, b[1] == 4) // port
	case icmp6TimeExceed, icmp6Parameter:
		return s.unreachable(p, false)
	}
	return DropICMPType
}

// icmpSum verifies the checksum. A message is small: one that is spread over
// spans is not for us.
func (s *Shard) icmpSum(p *packet, pseudo uint16) Drop {
	b := p.body()
	if len(b) != p.length() {
		return DropICMP
	}
	if checksum.Add(pseudo, checksum.Sum(b)) != 0xffff {
		return DropICMPChecksum
	}
	return Carried
}

// echo answers where the request came from: a ping needs no route and may not
// make entries anywhere.
func (s *Shard) echo(p *packet, reply uint8) Drop {
	if !s.echoes.take(s.env.Now) {
		return DropEchoLimit
	}
	in := p.body()
	b, d, drop := s.mirror(p, len(in))
	if drop != Carried {
		return drop
	}
	copy(b, in)
	b[0], b[1] = reply, 0
	sum := checksum.Sub(checksum.Sum(b), binary.BigEndian.Uint16(b[2:]))
	if !p.src.Is4() {
		sum = checksum.Add(sum, checksum.Pseudo(p.dst[:], p.src[:], protoICMPv6, len(b)))
	}
	binary.BigEndian.PutUint16(b[2:], ^sum)
	s.transmit(p.q, d)
	return Carried
}

// quoted finds the flow that an error is about, and the sequence number it
// quotes (8 bytes of the TCP header are enough: RFC 792).
func (s *Shard) quoted(p *packet) (id uint32, seq tcp.Seq, headers int) {
	b := p.body()[icmpHeader:]
	var t tcp.Tuple
	var n int
	if p.src.Is4() {
		if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != protoTCP || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return 0, 0, 0
		}
		t.Local, t.Remote = tcp.AddrFrom4([4]byte(b[12:])), tcp.AddrFrom4([4]byte(b[16:]))
		n, headers = int(b[0]&15)*4, ipv4Header+tcp.MinHeader
	} else {
		// We send no extension headers.
		if len(b) < ipv6Header || b[0]>>4 != 6 || b[6] != protoTCP {
			return 0, 0, 0
		}
		t.Local, t.Remote = tcp.Addr(b[8:24]), tcp.Addr(b[24:40])
		n, headers = ipv6Header, ipv6Header+tcp.MinHeader
	}
	if n < ipv4Header || len(b) < n+8 {
		return 0, 0, 0
	}
	t.LocalPort, t.RemotePort = tcp.Ports(b[n:])
	seq = tcp.Seq(binary.BigEndian.Uint32(b[n+4:]))
	return s.lookup(&t, s.hash(&t)), seq, headers
}

// unreachable tells the flow; what an error may do to it, tcp decides (RFC 5927).
func (s *Shard) unreachable(p *packet, hard bool) Drop {
	id, seq, _ := s.quoted(p)
	if id == 0 {
		return DropICMPNoFlow
	}
	f := s.flows.at(id).f
	if c := s.set.Tcp(f); c != nil {
		c.Unreachable(&s.env, seq, hard)
	}
	s.set.Expire(&s.env, f) // lets the set see what became of it
	s.ready(id)
	return Carried
}

// tooBig lowers a flow's path MTU (RFC 1191, RFC 8201), if the quoted sequence
// number proves that the sender of the error saw a segment of it (RFC 5927, 7.2).
func (s *Shard) tooBig(p *packet, mtu int) Drop {
	id, seq, headers := s.quoted(p)
	if id == 0 {
		return DropICMPNoFlow
	}
	f := s.flows.at(id).f
	c := s.set.Tcp(f)
	if c == nil {
		return DropICMPStale
	}
	valid, news := c.SetPathMSS(&s.env, seq, uint16(mtu-headers))
	if !valid {
		return DropICMPStale
	}
	if news {
		s.stats.PathsNarrowed++
		if s.paths.learn(&s.flows.at(id).tuple, uint16(mtu), s.env.Now) {
			s.stats.PathsEvicted++
		}
	}
	s.ready(id)
	return Carried
}

// bucket limits a rate (threat: reflection). It holds burst answers and is
// filled again at rate per second.
type bucket struct {
	rate, burst int64
	tokens      int64 // in 1/Second of an answer
	at          tcp.Time
}

func (b *bucket) take(now tcp.Time) bool {
	one := int64(tcp.Second)
	full := b.burst * one
	if gap := int64(now - b.at); gap > full/b.rate {
		b.tokens = full
	} else {
		b.tokens = min(full, b.tokens+gap*b.rate)
	}
	b.at = now
	if b.tokens < one {
		return false
	}
	b.tokens -= one
	return true
}

package stack

import (
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/tcp"
)

// repair makes the checksums of a damaged packet right, as far as its layers
// can be found: or else no damage would get farther than they.
func repair(p []byte) {
	if len(p) < 34 {
		return
	}
	var src, dst, body []byte
	var proto uint8
	switch binary.BigEndian.Uint16(p[12:]) {
	case etherIPv4:
		n := int(p[14]&15) * 4
		if n < 20 || len(p) < 14+n {
			return
		}
		p[24], p[25] = 0, 0
		binary.BigEndian.PutUint16(p[24:], ^checksum.Sum(p[14:14+n]))
		end := min(len(p), 14+int(binary.BigEndian.Uint16(p[16:])))
		src, dst, body, proto = p[26:30], p[30:34], p[14+n:max(end, 14+n)], p[23]
	case etherIPv6:
		if len(p) < 54 {
			return
		}
		at := 54
		if pr, n, d := extensions(p[14:]); d == Carried {
			proto, at = pr, 14+n
		}
		end := min(len(p), 54+int(binary.BigEndian.Uint16(p[18:])))
		src, dst, body = p[22:38], p[38:54], p[at:max(end, at)]
	default:
		return
	}
	put := func(at int, pseudo uint16) {
		if len(body) >= at+2 {
			body[at], body[at+1] = 0, 0
			binary.BigEndian.PutUint16(body[at:], ^checksum.Add(pseudo, checksum.Sum(body)))
		}
	}
	switch proto {
	case protoTCP:
		put(16, checksum.Pseudo(src, dst, protoTCP, len(body)))
	case protoICMP:
		put(2, 0)
	case protoICMPv6:
		put(2, checksum.Pseudo(src, dst, protoICMPv6, len(body)))
	}
}

// FuzzInput: whatever arrives, nothing panics, and what is answered is well-formed.
func FuzzInput(f *testing.F) {
	for _, mend := range []bool{true, false} {
		f.Add(tcp4(f, synTo(80), nil), mend)
		f.Add(tcp4(f, &layers.TCP{SrcPort: 4000, DstPort: 80, Seq: 1001, Ack: 1, ACK: true}, []byte("hello")), mend)
		f.Add(arpPacket(f, arpRequest, broadcast, peerMAC, peer4, our4), mend)
		f.Add(arpPacket(f, arpReply, ourMAC0, peerMAC, peer4, our4), mend)
		f.Add(build(f, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv4), ip4(peer4, our4, layers.IPProtocolICMPv4),
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)}, gopacket.Payload("data")), mend)
		f.Add(icmpTo(f, 3, 4, 1000, tcp4(f, synTo(80), nil)), mend)
		f.Add(build(f, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv6), ip6(peer6, our6, layers.IPProtocolTCP, 64), synTo(80)), mend)
		f.Add(build(f, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv6), ip6(peer6, our6, layers.IPProtocolICMPv6, 255),
			&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(ndpSolicit, 0)},
			&layers.ICMPv6NeighborSolicitation{TargetAddress: our6.AsSlice()}), mend)
	}
	f.Fuzz(func(t *testing.T, p []byte, mend bool) {
		if len(p) == 0 || len(p) > 3000 {
			return
		}
		b := newBench(t, benchConfig{frames: 512, edit: func(c *Config) { c.MPTCP.Enabled = true }})
		b.Listen(80)
		p = append([]byte(nil), p...)
		if mend {
			repair(p)
		}
		// Twice: the second one meets what the first one left; then an answer
		// of the neighbour, so that what waits for it is sent.
		for _, q := range [][]byte{p, p, arpPacket(t, arpReply, ourMAC0, peerMAC, peer4, our4)} {
			for _, out := range b.turn(q) {
				decode(t, out)
			}
		}
		for range 20 { // and time passes
			b.now = max(b.now, min(b.next, b.now+tcp.Second))
			for _, out := range b.turn() {
				decode(t, out)
			}
		}
		if _, flows, _, _ := b.Idle(); flows == 0 {
			b.free()
		}
	})
}

package stack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/internal/checksum"
)

// syn is for a port nobody listens on: it is answered by RST if it gets through.
func synTo(port layers.TCPPort) *layers.TCP {
	return &layers.TCP{SrcPort: 4000, DstPort: port, Seq: 1000, SYN: true, Window: 1000}
}

func refused(t *testing.T, out [][]byte) {
	t.Helper()
	h := tcpOf(t, one(t, out))
	if !h.RST || !h.ACK || h.Seq != 0 || h.Ack != 1001 || h.SrcPort != 81 || h.DstPort != 4000 {
		t.Errorf("%+v", h)
	}
}

func TestSynForNobodyIsRefused(t *testing.T) {
	b := newBench(t, benchConfig{})
	refused(t, b.turn(tcp4(t, synTo(81), nil)))
	six := build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv6), ip6(peer6, our6, layers.IPProtocolTCP, 64), synTo(81))
	refused(t, b.turn(six))
	ack := &layers.TCP{SrcPort: 4000, DstPort: 81, Seq: 5, Ack: 77, ACK: true}
	if h := tcpOf(t, one(t, b.turn(tcp4(t, ack, []byte("x"))))); !h.RST || h.ACK || h.Seq != 77 {
		t.Errorf("%+v", h)
	}
	b.dropped(DropTCPNoFlow, tcp4(t, &layers.TCP{SrcPort: 4000, DstPort: 81, RST: true}, nil))
	if len(b.byHop) != 0 {
		t.Error("strangers made neighbour entries")
	}
	b.free()
}

func TestResetsAreLimited(t *testing.T) {
	b := newBench(t, benchConfig{})
	n := 0
	for range 2 * resetBurst {
		n += len(b.turn(tcp4(t, synTo(81), nil)))
	}
	if n != resetBurst || b.Stats().Drops[DropResetLimit] != resetBurst {
		t.Errorf("%d answered, %d not", n, b.Stats().Drops[DropResetLimit])
	}
	b.now += 1e9 / resetRate * 3
	for range 10 {
		n += len(b.turn(tcp4(t, synTo(81), nil)))
	}
	if n != resetBurst+3 {
		t.Errorf("%d answered after three more were allowed", n-resetBurst)
	}
}

func TestVLANTagsAreSkipped(t *testing.T) {
	b := newBench(t, benchConfig{})
	tag := func(next layers.EthernetType) *layers.Dot1Q { return &layers.Dot1Q{VLANIdentifier: 7, Type: next} }
	refused(t, b.turn(build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeDot1Q), tag(layers.EthernetTypeIPv4),
		ip4(peer4, our4, layers.IPProtocolTCP), synTo(81))))
	refused(t, b.turn(build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeQinQ), tag(layers.EthernetTypeDot1Q), tag(layers.EthernetTypeIPv4),
		ip4(peer4, our4, layers.IPProtocolTCP), synTo(81))))
	b.dropped(DropShort, build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeDot1Q), tag(layers.EthernetTypeDot1Q), tag(layers.EthernetTypeDot1Q),
		tag(layers.EthernetTypeIPv4), ip4(peer4, our4, layers.IPProtocolTCP), synTo(81)))
}

func TestIPv4OptionsAreSkippedAndPaddingTrimmed(t *testing.T) {
	b := newBench(t, benchConfig{})
	ip := ip4(peer4, our4, layers.IPProtocolTCP)
	ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}} // router alert
	p := build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv4), ip, synTo(81))
	refused(t, b.turn(append(p, 0xde, 0xad)))
}

func TestIPv6ExtensionHeaders(t *testing.T) {
	plain := build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv6), ip6(peer6, our6, layers.IPProtocolTCP, 64), synTo(81))
	// with returns the packet with extension headers, 8 bytes each, of these kinds.
	with := func(kinds ...uint8) []byte {
		p := append([]byte(nil), plain[:54]...)
		p[20] = kinds[0]
		for i := range kinds {
			next := uint8(protoTCP)
			if i+1 < len(kinds) {
				next = kinds[i+1]
			}
			p = append(p, next, 0, 1, 0, 0, 0, 0, 0)
		}
		p = append(p, plain[54:]...)
		binary.BigEndian.PutUint16(p[18:], uint16(len(p)-54))
		return p
	}
	b := newBench(t, benchConfig{})
	refused(t, b.turn(with(extHopByHop, extDestination)))
	refused(t, b.turn(with(extHopByHop, extDestination, extRouting, extDestination)))
	b.dropped(DropExtension, with(extDestination, extDestination, extDestination, extDestination, extDestination))
	b.dropped(DropFragment, with(extFragment))
	left := with(extRouting)
	left[14+40+3] = 1
	b.dropped(DropExtension, left)
	long := with(extDestination)
	long[14+40+1] = 200
	b.dropped(DropExtension, long)
	b.dropped(DropProtocol, with(51)) // AH
	b.free()
}

func TestIPDrops(t *testing.T) {
	b := newBench(t, benchConfig{})
	good := tcp4(t, synTo(81), nil)
	// edit changes the packet and repairs the IPv4 header's checksum.
	edit := func(f func(p []byte)) []byte {
		p := append([]byte(nil), good...)
		f(p)
		binary.BigEndian.PutUint16(p[24:], 0)
		binary.BigEndian.PutUint16(p[24:], ^checksum.Sum(p[14:34]))
		return p
	}
	from := func(a string) []byte {
		return build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv4), ip4(netip.MustParseAddr(a), our4, layers.IPProtocolTCP), synTo(81))
	}
	six := func(src, dst netip.Addr) []byte {
		return build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv6), ip6(src, dst, layers.IPProtocolTCP, 64), synTo(81))
	}
	wrongSum := append([]byte(nil), good...)
	wrongSum[24]++
	wrongTCP := append([]byte(nil), good...)
	wrongTCP[50]++
	group := append([]byte(nil), good...)
	copy(group, broadcast[:])
	other := append([]byte(nil), good...)
	copy(other, gateMAC[:])
	for _, c := range []struct {
		d Drop
		p []byte
	}{
		{DropShort, good[:13]},
		{DropMAC, other},
		{DropEtherType, edit(func(p []byte) { p[12], p[13] = 0x88, 0xcc })},
		{DropIPHeader, good[:30]},
		{DropIPHeader, edit(func(p []byte) { p[14] = 0x44 })},
		{DropIPHeader, edit(func(p []byte) { p[14] = 0x65 })},
		{DropIPLength, good[:53]},
		{DropIPLength, edit(func(p []byte) { p[16], p[17] = 0, 19 })},
		{DropIPChecksum, wrongSum},
		{DropFragment, edit(func(p []byte) { p[20] = 0x20 })},
		{DropFragment, edit(func(p []byte) { p[21] = 1 })},
		{DropProtocol, edit(func(p []byte) { p[23] = 17 })},
		{DropDestination, group},
		{DropDestination, edit(func(p []byte) { p[33] = 77 })},
		{DropSource, from("224.0.0.1")}, {DropSource, from("127.0.0.1")}, {DropSource, from("0.0.0.0")},
		{DropSource, from("255.255.255.255")}, {DropSource, from("10.0.0.255")}, {DropSource, from("10.0.0.1")},
		{DropSource, six(netip.IPv6LinkLocalAllNodes(), our6)}, {DropSource, six(netip.IPv6Loopback(), our6)},
		{DropSource, six(netip.IPv6Unspecified(), our6)}, {DropSource, six(our6, our6)},
		{DropSource, six(netip.MustParseAddr("::ffff:1.2.3.4"), our6)},
		{DropDestination, six(peer6, netip.IPv6LinkLocalAllNodes())}, {DropDestination, six(peer6, gate6)},
		{DropTCPChecksum, wrongTCP},
		{DropTCPHeader, edit(func(p []byte) { p[46] = 0x40 })},
		{DropTCPHeader, edit(func(p []byte) { p[17] = 39 })},
	} {
		b.dropped(c.d, c.p)
	}
	b.free()
}

var gate6 = netip.MustParseAddr("fd00::fe")

func TestPartialChecksumNeedsAVirtualLink(t *testing.T) {
	partial := tcp4(t, synTo(81), []byte("payload"))
	binary.BigEndian.PutUint16(partial[50:], checksum.Pseudo(partial[26:30], partial[30:34], protoTCP, len(partial)-34))
	newBench(t, benchConfig{}).dropped(DropTCPChecksum, partial)
	b := newBench(t, benchConfig{virtual: true})
	if h := tcpOf(t, one(t, b.turn(partial))); !h.RST || b.Stats().RxPartial != 1 {
		t.Errorf("%+v", h)
	}
	refused(t, b.turn(tcp4(t, synTo(81), nil))) // a full one is as good
	bad := tcp4(t, synTo(81), nil)
	bad[50]++
	b.dropped(DropTCPChecksum, bad)
}

func TestEcho(t *testing.T) {
	b := newBench(t, benchConfig{})
	data := gopacket.Payload("12345678abc")
	p := one(t, b.turn(build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv4), ip4(peer4, our4, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 7, Seq: 9}, data)))
	i := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if i.TypeCode != 0 || i.Id != 7 || i.Seq != 9 || string(i.Payload) != string(data) {
		t.Errorf("%v", p)
	}
	p = one(t, b.turn(build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv6), ip6(peer6, our6, layers.IPProtocolICMPv6, 64),
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}, &layers.ICMPv6Echo{Identifier: 7, SeqNumber: 9}, data)))
	e, ok := p.Layer(layers.LayerTypeICMPv6Echo).(*layers.ICMPv6Echo)
	if !ok || e.Identifier != 7 || e.SeqNumber != 9 || p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).TypeCode.Type() != 129 {
		t.Errorf("%v", p)
	}
	b.free()
}

func solicitation(t *testing.T, from netip.Addr, target netip.Addr, hops uint8) []byte {
	group := netip.MustParseAddr("ff02::1:ff00:1")
	ns := &layers.ICMPv6NeighborSolicitation{TargetAddress: target.AsSlice()}
	if !from.IsUnspecified() {
		ns.Options = layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: peerMAC[:]}}
	}
	return build(t, ether(peerMAC, mac{0x33, 0x33, 0xff, 0, 0, 1}, layers.EthernetTypeIPv6), ip6(from, group, layers.IPProtocolICMPv6, hops),
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(ndpSolicit, 0)}, ns)
}

func TestNeighborSolicitation(t *testing.T) {
	b := newBench(t, benchConfig{})
	for _, from := range []netip.Addr{peer6, netip.IPv6Unspecified()} {
		p := one(t, b.turn(solicitation(t, from, our6, 255)))
		na, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
		ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		if !ok || na.TargetAddress.String() != our6.String() || ip.HopLimit != 255 || !na.Override() || na.Solicited() != (from == peer6) ||
			len(na.Options) != 1 || mac(na.Options[0].Data) != ourMAC0 {
			t.Fatalf("%v", p)
		}
		to := ip.DstIP.String()
		if from == peer6 && to != peer6.String() || from != peer6 && to != "ff02::1" {
			t.Errorf("answered to %s", to)
		}
	}
	b.dropped(DropNDP, solicitation(t, peer6, our6, 254))
	b.dropped(DropNDPNotOurs, solicitation(t, peer6, gate6, 255))
	b.free()
}

func advertisement(t *testing.T, from mac, flags uint8) []byte {
	return build(t, ether(from, ourMAC0, layers.EthernetTypeIPv6), ip6(peer6, our6, layers.IPProtocolICMPv6, 255),
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(ndpAdvertise, 0)},
		&layers.ICMPv6NeighborAdvertisement{Flags: flags, TargetAddress: peer6.AsSlice(),
			Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: from[:]}}})
}

func TestSynWaitsForNeighborIPv6(t *testing.T) {
	b := newBench(t, benchConfig{})
	b.dropped(DropNDPUnsolicited, advertisement(t, peerMAC, naSolicited|naOverride))
	if _, err := b.Dial(netip.AddrPortFrom(peer6, 80), 0); err != nil {
		t.Fatal(err)
	}
	p := one(t, b.turn())
	ns, ok := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation)
	if ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6); !ok || ns.TargetAddress.String() != peer6.String() ||
		ip.DstIP.String() != "ff02::1:ff00:2" || ip.SrcIP.String() != our6.String() || ip.HopLimit != 255 {
		t.Fatalf("%v", p)
	}
	b.dropped(DropNDPUnsolicited, advertisement(t, gateMAC, naOverride))
	if p := one(t, b.turn(advertisement(t, peerMAC, naSolicited|naOverride))); !tcpOf(t, p).SYN {
		t.Errorf("%v", p)
	}
	b.dropped(DropNDPUnsolicited, advertisement(t, gateMAC, naSolicited|naOverride))
}

package stack

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// wire is a Port in memory: what is put into in is received, what was sent is
// copied to out.
type wire struct {
	pool   *frame.Pool
	in     [][][]byte // packets, each in the pieces of a chain
	out    [][]byte
	keep   bool // record what was sent
	room   int
	hold   bool // complete nothing
	inRing []uint32
}

func (w *wire) Recv(in []frame.Span) (n int) {
	for len(w.in) > 0 && n+len(w.in[0]) <= len(in) {
		for i, b := range w.in[0] {
			f, ok := w.pool.Get()
			if !ok {
				panic("no frame to receive into")
			}
			in[n] = frame.Span{Frame: f, Off: 256, Len: uint16(len(b))}
			copy(w.pool.Bytes(in[n]), b)
			if i < len(w.in[0])-1 {
				in[n].Flags = frame.More
			}
			n++
		}
		w.in = w.in[1:]
	}
	return n
}

func (w *wire) Send(out []frame.Span) int {
	out = out[:min(len(out), w.room)]
	for _, d := range out {
		if w.keep {
			w.out = append(w.out, append([]byte(nil), w.pool.Bytes(d)...))
		}
		w.pool.TxStart(d.Frame)
		if w.hold {
			w.inRing = append(w.inRing, d.Frame)
			w.room--
		} else {
			w.pool.TxDone(d.Frame)
		}
	}
	return len(out)
}

func (w *wire) Room() int { return w.room }
func (w *wire) Flush()    {}

// bench is a shard on wires, with hand-made neighbours.
type bench struct {
	*Shard
	t     testing.TB
	wires []*wire
	now   tcp.Time
	next  tcp.Time
	app   *recorder
}

// recorder is an App that remembers.
type recorder struct {
	accepted []mptcp.Conn
	events   map[mptcp.Conn]tcp.Event
	refuse   bool
	ready    func(*Shard, mptcp.Conn, tcp.Event)
}

func (a *recorder) Accept(s *Shard, c mptcp.Conn) bool {
	a.accepted = append(a.accepted, c)
	return !a.refuse
}

func (a *recorder) Ready(s *Shard, c mptcp.Conn, ev tcp.Event) {
	if a.events == nil {
		a.events = make(map[mptcp.Conn]tcp.Event)
	}
	a.events[c] |= ev
	if a.ready != nil {
		a.ready(s, c, ev)
	}
}

var (
	ourMAC  = mac{2, 0, 0, 0, 0, 1}
	peerMAC = mac{2, 0, 0, 0, 0, 2}
	gateMAC = mac{2, 0, 0, 0, 0, 3}

	our4, peer4 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	our6, peer6 = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	gate4       = netip.MustParseAddr("10.0.0.254")
)

type benchConfig struct {
	frames  int
	links   int
	virtual bool
	edit    func(*Config)
}

func newBench(t testing.TB, bc benchConfig) *bench {
	t.Helper()
	if bc.frames == 0 {
		bc.frames = 4096
	}
	pool := frame.New(make([]byte, bc.frames<<12), 12)
	b := &bench{t: t, app: &recorder{}, now: tcp.Second}
	var links []Link
	for i := range max(bc.links, 1) {
		w := &wire{pool: pool, keep: true, room: 1024}
		b.wires = append(b.wires, w)
		m := ourMAC
		m[4] = byte(i)
		links = append(links, Link{Name: "wire", MAC: m, MTU: 1500, Virtual: bc.virtual, Ports: []Port{w}})
	}
	conf := Config{
		Addresses: []Address{
			{Prefix: netip.PrefixFrom(our4, 24), Link: 0},
			{Prefix: netip.PrefixFrom(our6, 64), Link: 0},
		},
		Routes: []Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gate4}},
		TCP:    tcp.DefaultConfig(),
		Seed:   [32]byte{1},
	}
	if bc.edit != nil {
		bc.edit(&conf)
	}
	var err error
	if b.Shard, err = New(conf, pool, links, b.app); err != nil {
		t.Fatal(err)
	}
	return b
}

// turn lets the shard receive packets and returns what it sent on the first wire.
func (b *bench) turn(packets ...[]byte) [][]byte {
	b.t.Helper()
	w := b.wires[0]
	for _, p := range packets {
		w.in = append(w.in, [][]byte{p})
	}
	b.next = b.Turn(b.now)
	for len(w.in) > 0 {
		b.next = b.Turn(b.now)
	}
	out := w.out
	w.out = nil
	return out
}

// after lets time pass first.
func (b *bench) after(d tcp.Time) [][]byte { b.now += d; return b.turn() }

// dropped expects that a packet is dropped for that reason, and nothing is sent.
func (b *bench) dropped(d Drop, packet []byte) {
	b.t.Helper()
	before := b.Stats().Drops
	out := b.turn(packet)
	for i, n := range b.Stats().Drops {
		want := before[i]
		if Drop(i) == d {
			want++
		}
		if n != want {
			b.t.Errorf("want drop %v: %v counted %d times", d, Drop(i), n-before[i])
		}
	}
	if len(out) != 0 {
		b.t.Errorf("%v: answered %x", d, out)
	}
}

// free expects that all frames are.
func (b *bench) free() {
	b.t.Helper()
	if p := b.Pool(); p.Free() != p.Frames() {
		b.t.Errorf("%d of %d frames free: %v", p.Free(), p.Frames(), p.Leaks(5))
	}
}

// build encodes layers with gopacket: an independent pen.
func build(t testing.TB, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	var ip gopacket.NetworkLayer
	for _, x := range l {
		switch x := x.(type) {
		case *layers.IPv4:
			ip = x
		case *layers.IPv6:
			ip = x
		case *layers.TCP:
			x.SetNetworkLayerForChecksum(ip)
		case *layers.ICMPv6:
			x.SetNetworkLayerForChecksum(ip)
		}
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), buf.Bytes()...)
}

func ether(from, to mac, kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: net.HardwareAddr(from[:]), DstMAC: net.HardwareAddr(to[:]), EthernetType: kind}
}

func ip4(from, to netip.Addr, proto layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
}

func ip6(from, to netip.Addr, proto layers.IPProtocol, hops uint8) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: hops, NextHeader: proto, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
}

func arpPacket(t testing.TB, op uint16, etherTo, from mac, sender netip.Addr, target netip.Addr) []byte {
	return build(t, ether(from, etherTo, layers.EthernetTypeARP), &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: op, SourceHwAddress: from[:], SourceProtAddress: sender.AsSlice(),
		DstHwAddress: make([]byte, 6), DstProtAddress: target.AsSlice()})
}

func tcp4(t testing.TB, h *layers.TCP, payload []byte) []byte {
	return build(t, ether(peerMAC, ourMAC0, layers.EthernetTypeIPv4), ip4(peer4, our4, layers.IPProtocolTCP), h, gopacket.Payload(payload))
}

// ourMAC0 is the address of the first link.
var ourMAC0 = mac{2, 0, 0, 0, 0, 1}

// decode reads a packet with gopacket, which must find nothing wrong with it,
// checksums included.
func decode(t testing.TB, b []byte) gopacket.Packet {
	t.Helper()
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("%v in %x", e.Error(), b)
	}
	if h, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
		h.SetNetworkLayerForChecksum(p.NetworkLayer())
	}
	if h, ok := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6); ok {
		h.SetNetworkLayerForChecksum(p.NetworkLayer())
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Fatalf("checksums: %v %v in %v", err, bad, p)
	}
	return p
}

// one expects exactly one packet.
func one(t testing.TB, out [][]byte) gopacket.Packet {
	t.Helper()
	if len(out) != 1 {
		t.Fatalf("%d packets, want 1: %x", len(out), out)
	}
	return decode(t, out[0])
}

func tcpOf(t testing.TB, p gopacket.Packet) *layers.TCP {
	t.Helper()
	h, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		t.Fatalf("not TCP: %v", p)
	}
	return h
}

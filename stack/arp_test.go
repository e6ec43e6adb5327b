package stack

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/tcp"
)

func TestARPRequestIsAnswered(t *testing.T) {
	for _, sender := range []netip.Addr{peer4, netip.IPv4Unspecified()} { // the second is a probe
		b := newBench(t, benchConfig{})
		p := one(t, b.turn(arpPacket(t, arpRequest, broadcast, peerMAC, sender, our4)))
		a := p.Layer(layers.LayerTypeARP).(*layers.ARP)
		e := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
		if a.Operation != arpReply || !bytes.Equal(a.SourceHwAddress, ourMAC0[:]) || !bytes.Equal(a.SourceProtAddress, our4.AsSlice()) ||
			!bytes.Equal(a.DstHwAddress, peerMAC[:]) || !bytes.Equal(a.DstProtAddress, sender.AsSlice()) || !bytes.Equal(e.DstMAC, peerMAC[:]) {
			t.Errorf("%v", p)
		}
		if len(b.byHop) != 0 {
			t.Error("a request made an entry")
		}
		b.free()
	}
}

func TestARPDrops(t *testing.T) {
	b := newBench(t, benchConfig{})
	b.dropped(DropARPNotOurs, arpPacket(t, arpRequest, broadcast, peerMAC, peer4, gate4))
	b.dropped(DropARPNotOurs, arpPacket(t, arpReply, broadcast, peerMAC, peer4, peer4)) // gratuitous
	b.dropped(DropARPUnsolicited, arpPacket(t, arpReply, ourMAC0, peerMAC, peer4, our4))
	b.dropped(DropARP, arpPacket(t, 3, ourMAC0, peerMAC, peer4, our4))
	b.dropped(DropARP, arpPacket(t, arpReply, ourMAC0, peerMAC, peer4, our4)[:40])
	b.free()
}

// dialPeer begins a connection to an on-link peer and returns the question that it causes.
func dialPeer(t *testing.T, b *bench) {
	t.Helper()
	if _, err := b.Dial(netip.AddrPortFrom(peer4, 80), 0); err != nil {
		t.Fatal(err)
	}
	p := one(t, b.turn())
	a, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || a.Operation != arpRequest || !bytes.Equal(a.DstProtAddress, peer4.AsSlice()) || !bytes.Equal(a.SourceProtAddress, our4.AsSlice()) ||
		!bytes.Equal(p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet).DstMAC, broadcast[:]) {
		t.Fatalf("want an ARP request, got %v", p)
	}
}

func TestSynWaitsForNeighbor(t *testing.T) {
	b := newBench(t, benchConfig{})
	dialPeer(t, b)
	syn := one(t, b.turn(arpPacket(t, arpReply, ourMAC0, peerMAC, peer4, our4)))
	if h := tcpOf(t, syn); !h.SYN || h.ACK || h.DstPort != 80 || !bytes.Equal(syn.LinkLayer().LinkFlow().Dst().Raw(), peerMAC[:]) {
		t.Errorf("%v", syn)
	}
	// A second answer, a gratuitous one and a request from another station change nothing.
	b.dropped(DropARPUnsolicited, arpPacket(t, arpReply, ourMAC0, gateMAC, peer4, our4))
	b.dropped(DropARPUnsolicited, arpPacket(t, arpReply, broadcast, gateMAC, peer4, our4))
	b.turn(arpPacket(t, arpRequest, broadcast, gateMAC, peer4, our4))
	again := one(t, b.after(tcp.Second+tcp.Millisecond))
	if h := tcpOf(t, again); !h.SYN || !bytes.Equal(again.LinkLayer().LinkFlow().Dst().Raw(), peerMAC[:]) {
		t.Errorf("%v", again)
	}
}

func TestSilentNeighborFailsADial(t *testing.T) {
	b := newBench(t, benchConfig{})
	dialPeer(t, b)
	asked := 1
	for b.next < 10*tcp.Second {
		b.now = b.next
		for _, p := range b.turn() {
			if decode(t, p).Layer(layers.LayerTypeARP) == nil {
				t.Errorf("sent to nobody: %v", decode(t, p))
			}
			asked++
		}
	}
	if asked != maxSolicits {
		t.Errorf("asked %d times, want %d", asked, maxSolicits)
	}
	for c, ev := range b.app.events {
		if _, done, err := b.Status(c); ev&tcp.Finished == 0 || !done || err != tcp.Unreachable {
			t.Errorf("event %b, done %v, %v", ev, done, err)
		}
		b.Close(c)
	}
	if b.turn(); len(b.app.events) != 1 {
		t.Errorf("%d connections heard of", len(b.app.events))
	}
	if c, f, _, timers := b.Idle(); c+f+timers != 0 {
		t.Errorf("left over: %d connections, %d flows, %d timers", c, f, timers)
	}
	b.free()
}

func TestStaleNeighborIsProbed(t *testing.T) {
	b := newBench(t, benchConfig{})
	dialPeer(t, b)
	b.turn(arpPacket(t, arpReply, ourMAC0, peerMAC, peer4, our4))
	var probe, syns int
	b.now = b.next
	for range 100 {
		for _, p := range b.turn() {
			d := decode(t, p)
			if !bytes.Equal(d.LinkLayer().LinkFlow().Dst().Raw(), peerMAC[:]) {
				t.Fatalf("sent to %v", d)
			}
			if d.Layer(layers.LayerTypeARP) != nil {
				probe++
			} else {
				syns++
			}
		}
		if probe > 0 || b.next == tcp.Never {
			break
		}
		b.now = max(b.next, b.now)
	}
	if probe != 1 || syns == 0 || b.now < reachableTime {
		t.Errorf("%d probes and %d SYNs by %d s", probe, syns, b.now/tcp.Second)
	}
	// The gateway failed over: it answers the probe with another MAC.
	b.turn(arpPacket(t, arpReply, ourMAC0, gateMAC, peer4, our4))
	if n := b.neighbors.At(1); n.state != reachable || n.mac != gateMAC {
		t.Errorf("%+v", n)
	}
}

func TestAnyLinkAsksEverywhere(t *testing.T) {
	b := newBench(t, benchConfig{links: 2, edit: func(c *Config) {
		for i := range c.Addresses {
			c.Addresses[i].Link = AnyLink
		}
	}})
	dialPeer(t, b)
	if len(b.wires[1].out) != 1 || decode(t, b.wires[1].out[0]).Layer(layers.LayerTypeARP) == nil {
		t.Fatalf("second link: %x", b.wires[1].out)
	}
	b.wires[1].out = nil
	second := mac{2, 0, 0, 0, 1, 1}
	b.wires[1].in = append(b.wires[1].in, [][]byte{arpPacket(t, arpReply, second, peerMAC, peer4, our4)})
	if out := b.turn(); len(out) != 0 {
		t.Errorf("%x left by the first link", out)
	}
	if p := one(t, b.wires[1].out); !tcpOf(t, p).SYN {
		t.Errorf("%v", p)
	}
}

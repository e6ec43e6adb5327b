package runner

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/link"
)

// frameOf is an intact segment with timestamps.
func frameOf(t *testing.T, six bool, change func(*layers.TCP), payload []byte) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
	tcp := &layers.TCP{SrcPort: 1, DstPort: 2, Seq: 1000, Ack: 7, ACK: true, Window: 500,
		Options: []layers.TCPOption{{OptionType: 1, OptionLength: 1}, {OptionType: 1, OptionLength: 1}, {OptionType: 8, OptionLength: 10, OptionData: make([]byte, 8)}}}
	if change != nil {
		change(tcp)
	}
	var ip gopacket.SerializableLayer
	addr := func(s string) []byte { return netip.MustParseAddr(s).AsSlice() }
	if six {
		eth.EthernetType = layers.EthernetTypeIPv6
		l := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolTCP, HopLimit: 64, SrcIP: addr("fd00::1"), DstIP: addr("fd00::2")}
		tcp.SetNetworkLayerForChecksum(l)
		ip = l
	} else {
		l := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolTCP, TTL: 64, SrcIP: addr("10.0.0.1"), DstIP: addr("10.0.0.2")}
		tcp.SetNetworkLayerForChecksum(l)
		ip = l
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, tcp, gopacket.Payload(payload)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// message gathers a message of the batch.
func (b *batch) message(i int) (out []byte) {
	m := &b.msgs[i].hdr
	for _, v := range unsafe.Slice(m.Iov, m.Iovlen) {
		out = append(out, unsafe.Slice(v.Base, v.Len)...)
	}
	return out
}

// merged puts frames into a batch as a wire does, and returns the messages.
func merged(frames ...[]byte) (out [][]byte) {
	const slot = 2048
	p := &port{mem: make([]byte, slot*len(frames)), slot: slot}
	b := &batch{}
	b.reset()
	for i, f := range frames {
		copy(p.mem[i*slot+vnetLen:], f)
		a := &arrived{slot: uint32(i), n: uint32(len(f))}
		if !b.merge(p, a) {
			b.add(p.message(a))
		}
	}
	for i := range b.n {
		out = append(out, b.message(i))
	}
	return out
}

func TestMergeMakesASuperPacket(t *testing.T) {
	for _, six := range []bool{false, true} {
		var frames [][]byte
		var payload []byte
		for i, n := range []int{1000, 1000, 1000, 400} {
			part := bytes.Repeat([]byte{byte('a' + i)}, n)
			frames = append(frames, frameOf(t, six, func(h *layers.TCP) { h.Seq += uint32(len(payload)); h.PSH = n == 400 }, part))
			payload = append(payload, part...)
		}
		got := merged(frames...)
		if len(got) != 1 {
			t.Fatalf("%d messages", len(got))
		}
		v, f := got[0][:vnetLen], got[0][vnetLen:]
		tcp := len(frames[0]) - 1000 - 32
		if v[0] != 1 || v[1] != map[bool]byte{false: 1, true: 4}[six] || binary.LittleEndian.Uint16(v[2:]) != uint16(tcp+32) ||
			binary.LittleEndian.Uint16(v[4:]) != 1000 || binary.LittleEndian.Uint16(v[6:]) != uint16(tcp) || binary.LittleEndian.Uint16(v[8:]) != 16 {
			t.Errorf("virtio header % x", v)
		}
		// As what finishes a partial checksum would.
		binary.BigEndian.PutUint16(f[tcp+16:], ^checksum.Sum(f[tcp:]))
		if want := frameOf(t, six, func(h *layers.TCP) { h.PSH = true }, payload); !bytes.Equal(f, want) {
			t.Errorf("six %v:\n% x, want\n% x", six, f[:tcp+32], want[:tcp+32])
		}
	}
}

func TestMergeLeavesApartWhatIsNotOneStream(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 800)
	first := frameOf(t, false, nil, body)
	at := func(change func(*layers.TCP)) []byte {
		return frameOf(t, false, func(h *layers.TCP) { h.Seq += 800; change(h) }, body)
	}
	broken := at(func(*layers.TCP) {})
	broken[len(broken)-1] ^= 1
	marked := at(func(*layers.TCP) {})
	marked[15] = 3 // CE; the IP header's checksum is not looked at here
	for name, second := range map[string][]byte{
		"a gap":           at(func(h *layers.TCP) { h.Seq++ }),
		"another flow":    at(func(h *layers.TCP) { h.SrcPort++ }),
		"another ACK":     at(func(h *layers.TCP) { h.Ack++ }),
		"another window":  at(func(h *layers.TCP) { h.Window++ }),
		"other options":   at(func(h *layers.TCP) { h.Options[2].OptionData = []byte("01234567") }),
		"FIN":             at(func(h *layers.TCP) { h.FIN = true }),
		"RST":             at(func(h *layers.TCP) { h.RST = true }),
		"urgent":          at(func(h *layers.TCP) { h.URG = true }),
		"longer":          frameOf(t, false, func(h *layers.TCP) { h.Seq += 800 }, append(body, 1)),
		"no payload":      frameOf(t, false, func(h *layers.TCP) { h.Seq += 800 }, nil),
		"damaged":         broken,
		"congestion":      marked,
		"truncated":       at(func(*layers.TCP) {})[:60],
		"no TCP at all":   make([]byte, 60),
		"a lone Ethernet": first[:14],
	} {
		got := merged(first, second)
		if len(got) != 2 || !bytes.Equal(got[0][vnetLen:], first) || !bytes.Equal(got[1][vnetLen:], second) {
			t.Errorf("%s: %d messages", name, len(got))
		}
	}
	pushed := frameOf(t, false, func(h *layers.TCP) { h.PSH = true }, body)
	if got := merged(pushed, at(func(*layers.TCP) {})); len(got) != 2 {
		t.Error("something joined what had PSH set")
	}
}

// A kernel takes what was merged for what was sent, and sees far fewer packets.
func TestKernelTakesMergedPackets(t *testing.T) {
	lab.Root(t)
	path := symmetric(link.Config{Rate: 300e6, Delay: 2 * ms, Overhead: link.EthernetOverhead})
	path.GRO = true
	w := newWorld(t, lab.AllOffloads, path)
	for _, server := range []string{"10.0.0.2:0", "[fd00:0::2]:0"} {
		o := w.serve(t, server, false, "cubic")
		if _, err := (&lab.Client{NS: w.client}).Download(t.Context(), o.Addr.String(), lab.Limit{Bytes: 20 << 20, Time: 20 * time.Second}, 3); err != nil {
			t.Fatal(err)
		}
	}
	c, err := w.client.Counters()
	if err != nil {
		t.Fatal(err)
	}
	sent := w.stats(t).Paths[0].BA.Link.Delivered
	if got := c["TcpInSegs"]; got == 0 || uint64(got) > sent*2/3 {
		t.Errorf("the kernel saw %d segments of %d frames", got, sent)
	}
}

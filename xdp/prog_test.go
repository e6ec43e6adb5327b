//go:build linux

package xdp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/lab"
)

// program loads the redirect program with a socket on queue 0, which is the
// queue of a test run.
func program(t *testing.T, ours ...string) (*ebpf.Program, *addresses) {
	t.Helper()
	a, err := newAddresses()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.close() })
	for _, s := range ours {
		if err := a.add(netip.MustParseAddr(s)); err != nil {
			t.Fatal(err)
		}
	}
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sockets.Close() })
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := sockets.Put(uint32(0), uint32(fd)); err != nil {
		t.Fatal(err)
	}
	p, err := newProgram(sockets, a, true)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p, a
}

// Packets, built from the inside out.

func ether(kind uint16, payload ...byte) []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

// tagged puts a VLAN tag in front of the type of a frame.
func tagged(kind uint16, b []byte) []byte {
	tag := binary.BigEndian.AppendUint16(nil, kind)
	return slices.Concat(b[:12], append(tag, 0x01, 0x23), b[12:])
}

func ip4(dst string, proto byte, options int, fragment uint16) []byte {
	b := make([]byte, 20+options, 60+options)
	b[0] = 0x45 + byte(options/4)
	binary.BigEndian.PutUint16(b[6:], fragment)
	b[8], b[9] = 64, proto
	copy(b[16:], netip.MustParseAddr(dst).AsSlice())
	return ether(unix.ETH_P_IP, append(b, make([]byte, 20)...)...)
}

func arpFor(target string) []byte {
	b := make([]byte, 28)
	copy(b, []byte{0, 1, 8, 0, 6, 4, 0, 1})
	copy(b[24:], netip.MustParseAddr(target).AsSlice())
	return ether(unix.ETH_P_ARP, b...)
}

type extension struct {
	kind byte
	body []byte // with a first byte for the next header
}

func ext(kind byte, eights int) extension {
	b := make([]byte, 8*eights)
	b[1] = byte(eights - 1)
	return extension{kind, b}
}

func fragment(offset uint16) extension {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b[2:], offset<<3|1)
	return extension{unix.IPPROTO_FRAGMENT, b}
}

func ip6(dst string, proto byte, chain ...extension) []byte {
	b := make([]byte, 40)
	b[0], b[7] = 0x60, 64
	copy(b[24:], netip.MustParseAddr(dst).AsSlice())
	next := &b[6]
	var rest []byte
	for _, e := range chain {
		*next = e.kind
		body := slices.Clone(e.body)
		rest = append(rest, body...)
		next = &rest[len(rest)-len(body)]
	}
	*next = proto
	return ether(unix.ETH_P_IPV6, slices.Concat(b, rest, make([]byte, 20))...)
}

func TestProgram(t *testing.T) {
	lab.Root(t)
	const (
		our4, other4 = "10.9.0.2", "10.9.0.3"
		our6, other6 = "fd00::9:12:3456", "fd00::9:12:3457"
		tcp, udp     = unix.IPPROTO_TCP, unix.IPPROTO_UDP
		icmp, icmp6  = unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6
		hop, route   = unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING
		dest         = unix.IPPROTO_DSTOPTS
	)
	p, _ := program(t, our4, our6)
	seven := make([]extension, maxExtensions)
	eight := make([]extension, maxExtensions+1)
	for i := range eight {
		eight[i] = ext(dest, 1)
	}
	copy(seven, eight)

	for _, c := range []struct {
		name string
		b    []byte
		ours bool
	}{
		{"ARP for us", arpFor(our4), true},
		{"ARP for another", arpFor(other4), false},
		{"ARP for us, tagged", tagged(unix.ETH_P_8021Q, arpFor(our4)), true},
		{"ARP cut short", arpFor(our4)[:14+27], false},
		{"TCP", ip4(our4, tcp, 0, 0), true},
		{"TCP to another", ip4(other4, tcp, 0, 0), false},
		{"ICMP", ip4(our4, icmp, 0, 0), true},
		{"UDP", ip4(our4, udp, 0, 0), false},
		{"GRE", ip4(our4, unix.IPPROTO_GRE, 0, 0), false},
		{"TCP, IP options", ip4(our4, tcp, 40, 0), true},
		{"UDP, IP options", ip4(our4, udp, 40, 0), false},
		{"TCP, first fragment", ip4(our4, tcp, 0, 0x2000), true},
		{"TCP, later fragment", ip4(our4, tcp, 0, 0x2003), true},
		{"TCP, last fragment", ip4(our4, tcp, 0, 0x0009), true},
		{"UDP, later fragment", ip4(our4, udp, 0, 0x2003), false},
		{"TCP in 802.1Q", tagged(unix.ETH_P_8021Q, ip4(our4, tcp, 0, 0)), true},
		{"TCP in 802.1ad", tagged(unix.ETH_P_8021AD, ip4(our4, tcp, 0, 0)), true},
		{"TCP in QinQ", tagged(unix.ETH_P_8021AD, tagged(unix.ETH_P_8021Q, ip4(our4, tcp, 0, 0))), true},
		{"TCP in QinQ to another", tagged(unix.ETH_P_8021AD, tagged(unix.ETH_P_8021Q, ip4(other4, tcp, 0, 0))), false},
		{"TCP in three tags", tagged(0x8100, tagged(0x8100, tagged(0x8100, ip4(our4, tcp, 0, 0)))), false},
		{"a tag and nothing", tagged(0x8100, ip4(our4, tcp, 0, 0))[:16], false},
		{"IPv4 cut short", ip4(our4, tcp, 0, 0)[:14+19], false},
		{"IPX", ether(0x8137, make([]byte, 60)...), false},

		{"TCP6", ip6(our6, tcp), true},
		{"TCP6 to another", ip6(other6, tcp), false},
		{"ICMPv6", ip6(our6, icmp6), true},
		{"UDP6", ip6(our6, udp), false},
		{"no next header", ip6(our6, unix.IPPROTO_NONE), false},
		{"neighbour solicitation", ip6("ff02::1:ff12:3456", icmp6), true},
		{"neighbour solicitation for another", ip6("ff02::1:ff12:3457", icmp6), false},
		{"router advertisement", ip6("ff02::1", icmp6), false},
		{"TCP6, hop-by-hop", ip6(our6, tcp, ext(hop, 1)), true},
		{"TCP6, long hop-by-hop", ip6(our6, tcp, ext(hop, 20)), true},
		{"TCP6, four extensions", ip6(our6, tcp, ext(hop, 1), ext(dest, 2), ext(route, 3), ext(dest, 1)), true},
		{"UDP6, three extensions", ip6(our6, udp, ext(hop, 1), ext(dest, 2), ext(route, 3)), false},
		{"TCP6, four extensions, to another", ip6(other6, tcp, ext(hop, 1), ext(dest, 2), ext(route, 3), ext(dest, 1)), false},
		{"TCP6, as many extensions as we walk", ip6(our6, tcp, seven...), true},
		{"TCP6, more extensions than we walk", ip6(our6, tcp, eight...), false},
		{"TCP6, first fragment", ip6(our6, tcp, fragment(0)), true},
		{"TCP6, later fragment", ip6(our6, tcp, fragment(100)), true},
		{"TCP6, later fragment behind hop-by-hop", ip6(our6, tcp, ext(hop, 1), fragment(100)), true},
		{"UDP6, first fragment", ip6(our6, udp, fragment(0)), false},
		{"UDP6, later fragment", ip6(our6, udp, fragment(100)), false},
		{"later fragment of something with options", ip6(our6, dest, fragment(100)), true},
		{"TCP6, first fragment, options behind", ip6(our6, tcp, fragment(0), ext(dest, 2)), true},
		{"TCP6 in QinQ, hop-by-hop", tagged(unix.ETH_P_8021AD, tagged(unix.ETH_P_8021Q, ip6(our6, tcp, ext(hop, 1)))), true},
		{"IPv6 cut short", ip6(our6, tcp)[:14+39], false},
		{"extension cut short", ip6(our6, tcp, ext(hop, 1))[:14+40+7], false},
		{"TCP6 beyond the packet", ip6(our6, tcp, extension{hop, []byte{0, 255, 0, 0, 0, 0, 0, 0}}), true}, // ours to drop
		{"extension beyond the packet", ip6(our6, tcp, extension{hop, []byte{0, 255, 0, 0, 0, 0, 0, 0}}, ext(dest, 1)), false},
		{"ether only", ether(unix.ETH_P_IP), false},
	} {
		want := uint32(actionPass)
		if c.ours {
			want = actionRedirect
		}
		if got, err := p.Run(&ebpf.RunOptions{Data: c.b}); err != nil || got != want {
			t.Errorf("%s: action %d, %v; want %d", c.name, got, err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	lab.Root(t)
	p, a := program(t)
	ours := func(b []byte) bool {
		got, err := p.Run(&ebpf.RunOptions{Data: b})
		if err != nil {
			t.Fatal(err)
		}
		return got == actionRedirect
	}
	change := func(f func(netip.Addr) error, s string) {
		t.Helper()
		if err := f(netip.MustParseAddr(s)); err != nil {
			t.Error(err)
		}
	}
	// Two addresses of one solicited-node group.
	const one, two, group = "fd00::1:12:3456", "fd00::2:12:3456", "ff02::1:ff12:3456"
	change(a.add, one)
	change(a.add, one) // a second time changes nothing
	change(a.add, two)
	change(a.remove, one)
	if ours(ip6(one, 6)) || !ours(ip6(two, 6)) || !ours(ip6(group, 58)) {
		t.Error("after removing one of two")
	}
	change(a.remove, two)
	if ours(ip6(two, 6)) || ours(ip6(group, 58)) {
		t.Error("after removing both")
	}
	change(a.add, "::ffff:10.9.0.2") // an IPv4 address in disguise
	if !ours(ip4("10.9.0.2", 6, 0, 0)) {
		t.Error("mapped address")
	}
	if err := a.remove(netip.MustParseAddr(one)); err == nil {
		t.Error("removed what was not there")
	}
	for _, s := range []string{"0.0.0.0", "::", "127.0.0.1", "224.0.0.1", "ff02::1"} {
		if err := a.add(netip.MustParseAddr(s)); err == nil {
			t.Errorf("%s was taken", s)
		}
	}
	if err := a.add(netip.Addr{}); err == nil {
		t.Error("no address was taken")
	}
}

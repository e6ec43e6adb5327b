//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/xdp"
)

// TestKernelPeers is the matrix: the Linux kernel as client, by TCP and by MPTCP
// with one and two subflows, and as origin; IPv4 and IPv6; the kernel's
// offloads on and off; generic and native XDP; down and up. Every byte is
// checked, and so are the kernel's MPTCP counters: the subflows joined, nothing
// fell back, no mapping was wrong.
func TestKernelPeers(t *testing.T) {
	lab.Root(t)
	for _, mode := range []xdp.Mode{xdp.Generic, xdp.Native} {
		for _, offloads := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v/offloads=%v", mode, offloads), func(t *testing.T) { kernelPeers(t, mode, offloads) })
		}
	}
}

// twoPaths adds a second link to the client, by which the proxy's addresses on
// the first are reached too.
//
//	client 10.3.0.1 fd03::1 -- 10.3.0.2 fd03::2 proxy
func (c *chain) twoPaths(t *testing.T, off ...lab.Offload) {
	t.Helper()
	pair(t, lab.End{NS: c.client, Name: "up2", Addrs: prefixes("10.3.0.1/24", "fd03::1/64"), Off: off}, lab.End{NS: c.proxy, Name: "cl2"})
	const table = 2
	for i, via := range prefixes("10.3.0.2/0", "fd03::2/0") {
		if err := c.client.AddRoute(lab.Route{Dst: via.Masked(), Via: via.Addr(), Dev: "up2", Table: table}); err != nil {
			t.Fatal(err)
		}
		if err := c.client.AddSourceRule(second(i == 1), table); err != nil {
			t.Fatal(err)
		}
	}
}

// second is the client's address on its second link.
func second(v6 bool) netip.Addr {
	if v6 {
		return netip.MustParseAddr("fd03::1")
	}
	return netip.MustParseAddr("10.3.0.1")
}

func kernelPeers(t *testing.T, mode xdp.Mode, offloads bool) {
	var off []lab.Offload
	if !offloads {
		off = lab.AllOffloads
	}
	c := newChain(t, off...)
	c.twoPaths(t, off...)
	n := c.network(mode)
	n.Interface = append(n.Interface, "cl2")
	for _, p := range prefixes("10.3.0.2/24", "fd03::2/64") {
		n.Address = append(n.Address, Address{Interface: "cl2", Prefix: p})
	}
	p := c.serve(t, &serveCommand{Network: n, Listen: 1080, Sessions: 64}, nil)
	for _, v6 := range []bool{false, true} {
		for _, k := range clients {
			t.Run(fmt.Sprintf("ipv%d/%s", map[bool]int{false: 4, true: 6}[v6], k.name), func(t *testing.T) { c.transfers(t, v6, k) })
		}
	}
	p.settle(t)
	p.ask(t, func(s *stack.Shard) {
		st := s.Stats()
		t.Logf("zero copy %d, gathered %d, partial %d, retransmitted %d", st.ZeroCopy, st.Gathered, st.RxPartial, st.TCP.RetransSegs)
	})
}

// clientKind is one way of the kernel to connect.
type clientKind struct {
	name     string
	subflows int // 0 is plain TCP
	checksum int // net.mptcp.checksum_enabled
}

var clients = []clientKind{{"tcp", 0, 0}, {"mptcp1", 1, 0}, {"mptcp2", 2, 0}, {"mptcp1_checksum", 1, 1}, {"mptcp2_checksum", 2, 1}}

// transfers moves bytes both ways.
func (c *chain) transfers(t *testing.T, v6 bool, k clientKind) {
	size := int64(8 << 20)
	if k.subflows == 2 {
		// The kernel joins from a worker that waits its turn with the sender:
		// a transfer of a few ms would be over before.
		size *= 4
	}
	origin, err := c.origin.Serve(lab.Listen{Addr: target(v6, 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	if err := c.client.FlushEndpoints(); err != nil {
		t.Fatal(err)
	}
	if err := c.client.SetLimits(max(0, k.subflows-1), 0); err != nil {
		t.Fatal(err)
	}
	if err := c.client.SetMPTCP("checksum_enabled", k.checksum); err != nil {
		t.Fatal(err)
	}
	if k.subflows == 2 {
		if err := c.client.AddEndpoint(lab.Endpoint{Addr: second(v6), Dev: "up2", Flags: lab.Subflow}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	before := counters(t, c.client)
	client := lab.Client{NS: c.client, Proxy: entry(v6), MPTCP: k.subflows > 0}
	down, err := client.Download(ctx, origin.Addr.String(), lab.Limit{Bytes: size}, 1)
	if err != nil {
		t.Fatalf("download: %v", err)
	}
	up, err := client.Upload(ctx, origin.Addr.String(), lab.Limit{Bytes: size}, 2)
	if err != nil {
		t.Fatalf("upload: %v", err)
	}
	t.Logf("down %.0f, up %.0f Mbit/s", down.Mbps(), up.Mbps())
	got := counters(t, c.client).Since(before)
	if k.subflows == 0 {
		if bad := got.Trouble(); len(bad) > 0 {
			t.Errorf("kernel counters: %v", bad)
		}
		return
	}
	if err := got.Joins(2, int64(2*(k.subflows-1))); err != nil {
		t.Error(err)
	}
}

func counters(t *testing.T, ns *lab.NS) lab.Counters {
	t.Helper()
	c, err := ns.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/xdp"
)

// TestServe: the kernel's TCP as client and origin, every byte checked, in both
// directions, by both families, by address and by name.
func TestServe(t *testing.T) {
	lab.Root(t)
	c := newChain(t)
	p := c.serve(t, &serveCommand{Network: c.network(xdp.Generic), Listen: 1080, Sessions: 64}, names{
		"origin.example": {netip.MustParseAddr("fd02::1"), netip.MustParseAddr("10.2.0.1")},
	})
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	for _, v6 := range []bool{false, true} {
		origin, err := c.origin.Serve(lab.Listen{Addr: target(v6, 0)})
		if err != nil {
			t.Fatal(err)
		}
		defer origin.Close()
		to := origin.Addr.String()
		client := lab.Client{NS: c.client, Proxy: entry(v6)}
		for _, size := range []int64{1, 1 << 20, 32 << 20} {
			down, err := client.Download(ctx, to, lab.Limit{Bytes: size}, uint64(size))
			if err != nil {
				t.Errorf("download of %d from %s: %v", size, to, err)
			}
			up, err := client.Upload(ctx, to, lab.Limit{Bytes: size}, uint64(size)+1)
			if err != nil {
				t.Errorf("upload of %d to %s: %v", size, to, err)
			}
			t.Logf("%s: %8d bytes: down %.0f, up %.0f Mbit/s", to, size, down.Mbps(), up.Mbps())
		}
		if _, err := client.Download(ctx, fmt.Sprintf("origin.example:%d", origin.Addr.Port()), lab.Limit{Bytes: 1000}, 3); err != nil {
			t.Errorf("by name: %v", err)
		}
	}
	p.settle(t)
	p.ask(t, func(s *stack.Shard) {
		st := s.Stats()
		t.Logf("zero copy %d, gathered %d, partial %d, retransmitted %d; drops %v",
			st.ZeroCopy, st.Gathered, st.RxPartial, st.TCP.RetransSegs, st.Drops)
	})
}

// TestServeRefusals: each reply that a kernel peer can provoke.
func TestServeRefusals(t *testing.T) {
	lab.Root(t)
	c := newChain(t)
	p := c.serve(t, &serveCommand{Network: c.network(xdp.Generic), Listen: 1080, Sessions: 64}, names{
		"rebound.example": {netip.MustParseAddr("127.0.0.1")},
	})
	client := lab.Client{NS: c.client, Proxy: entry(false)}
	for to, want := range map[string]lab.SOCKSError{
		"10.2.0.1:9":          5, // nobody listens
		"[fd02::1]:9":         5,
		"192.0.2.1:80":        3, // no gateway
		"10.2.0.77:80":        4, // no neighbour
		"10.1.0.2:1080":       2, // ourselves
		"127.0.0.1:80":        2,
		"10.2.0.255:80":       2,
		"unknown.example:80":  4,
		"rebound.example:80":  2,
		"127.0.0.1.:80":       4, // not an address: a name
		"no-such-thing.in:80": 4,
	} {
		conn, err := client.Dial(context.Background(), to)
		if err == nil {
			conn.Close()
		}
		if err != want {
			t.Errorf("%s: %v, want %v", to, err, want)
		}
	}
	p.settle(t)
}

// TestServeRefusesToStart where it would not work, and says why.
func TestServeRefusesToStart(t *testing.T) {
	lab.Root(t)
	c := newChain(t)
	if err := c.proxy.AddAddr("cl", netip.MustParsePrefix("10.1.0.2/24")); err != nil {
		t.Fatal(err)
	}
	n := c.network(xdp.Generic)
	err := c.proxy.Do(func() error {
		return serve(context.Background(), &serveCommand{Network: n, Listen: 1080, Sessions: 64}, nil, silent, nil)
	})
	if err == nil || !strings.Contains(err.Error(), "the kernel has it too, on cl") {
		t.Errorf("with an address of the kernel: %v", err)
	}
}

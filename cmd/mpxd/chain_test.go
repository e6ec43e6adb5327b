//go:build linux

package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/proxy"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/xdp"
)

var silent = slog.New(slog.DiscardHandler)

// chain is client -- proxy -- origin: three namespaces joined by two veth pairs.
// The kernel has no address in the middle one: that is ours.
//
//	client 10.1.0.1 fd01::1 -- 10.1.0.2 fd01::2 proxy 10.2.0.2 fd02::2 -- 10.2.0.1 fd02::1 origin
type chain struct {
	client, proxy, origin *lab.NS
}

// newChain builds it, with offloads of client and origin turned off. It is
// removed when t ends. The caller has called lab.Root.
func newChain(t testing.TB, off ...lab.Offload) *chain {
	t.Helper()
	c := &chain{namespace(t, "client"), namespace(t, "proxy"), namespace(t, "origin")}
	pair(t, lab.End{NS: c.client, Name: "up", Addrs: prefixes("10.1.0.1/24", "fd01::1/64"), Off: off}, lab.End{NS: c.proxy, Name: "cl"})
	pair(t, lab.End{NS: c.origin, Name: "up", Addrs: prefixes("10.2.0.1/24", "fd02::1/64"), Off: off}, lab.End{NS: c.proxy, Name: "or"})
	return c
}

func namespace(t testing.TB, name string) *lab.NS {
	t.Helper()
	ns, err := lab.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func pair(t testing.TB, a, b lab.End) {
	t.Helper()
	if err := lab.Veth(a, b); err != nil {
		t.Fatal(err)
	}
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// network is what the proxy host runs on.
func (c *chain) network(mode xdp.Mode) Network {
	n := Network{Interface: []string{"cl", "or"}, XDPMode: mode, Frames: 16384}
	for i, p := range prefixes("10.1.0.2/24", "fd01::2/64", "10.2.0.2/24", "fd02::2/64") {
		n.Address = append(n.Address, Address{Interface: n.Interface[i/2], Prefix: p})
	}
	return n
}

// entry and target are where the client reaches the proxy and what it asks for.
func entry(v6 bool) netip.AddrPort {
	if v6 {
		return netip.MustParseAddrPort("[fd01::2]:1080")
	}
	return netip.MustParseAddrPort("10.1.0.2:1080")
}

func target(v6 bool, port uint16) netip.AddrPort {
	if v6 {
		return netip.AddrPortFrom(netip.MustParseAddr("fd02::1"), port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("10.2.0.1"), port)
}

// names is a resolver for tests.
type names map[string][]netip.Addr

func (n names) Lookup(name string, done func([]netip.Addr, error)) bool {
	a, ok := n[name]
	if !ok {
		go done(nil, os.ErrNotExist)
		return true
	}
	go done(a, nil)
	return true
}

// running is a proxy under test.
type running struct {
	*host
	stop func()
}

// serve starts the proxy in its namespace. When t ends, or stop is called, it
// must end in order: with every flow, timer and frame given back.
func (c *chain) serve(t testing.TB, command *serveCommand, r proxy.Resolver) *running {
	t.Helper()
	log := silent
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan *host, 1), make(chan error, 1)
	go func() {
		ended <- c.proxy.Do(func() error {
			return serve(ctx, command, r, log, func(h *host) { ready <- h })
		})
	}()
	over := false
	run := &running{}
	run.stop = func() {
		if over {
			return
		}
		over = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		if p := run.pool; p.Free() != p.Frames() {
			t.Errorf("%d of %d frames are not free: %v", p.Frames()-p.Free(), p.Frames(), p.Leaks(5))
		}
	}
	select {
	case run.host = <-ready:
	case err := <-ended:
		t.Fatalf("serve: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("serve is not ready after 20 s")
	}
	t.Cleanup(run.stop)
	return run
}

// ask runs f on the shard and waits for it.
func (r *running) ask(t testing.TB, f func(*stack.Shard)) {
	t.Helper()
	done := make(chan struct{})
	if !r.shard.Post(func(s *stack.Shard) { f(s); close(done) }) {
		t.Fatal("the mailbox is full")
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the shard does not answer")
	}
}

// settle waits until the shard has no connection and no flow left, and says
// what of it is left otherwise.
func (r *running) settle(t testing.TB) {
	t.Helper()
	var conns, flows, waits, timers int
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r.ask(t, func(s *stack.Shard) { conns, flows, waits, timers = s.Idle() })
		if conns == 0 && flows == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("left: %d connections, %d flows, %d in TIME-WAIT, %d timers", conns, flows, waits, timers)
			return
		}
	}
}

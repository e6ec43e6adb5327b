//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/xdp"
)

// twoLinks is a kernel and us, with two links between them.
//
//	client 10.1.0.1 fd01::1 -- 10.1.0.2 fd01::2 proxy
//	       10.3.0.1 fd03::1 -- 10.3.0.2 fd03::2
func twoLinks(t *testing.T) (c *chain, n Network) {
	c = newChain(t)
	c.twoPaths(t)
	n = c.network(xdp.Generic)
	n.Interface = append(n.Interface, "cl2")
	for _, p := range prefixes("10.3.0.2/24", "fd03::2/64") {
		n.Address = append(n.Address, Address{Interface: "cl2", Prefix: p})
	}
	return c, n
}

// TestCatConnectsPaths: ours connects to the kernel and opens subflows, as the
// flags say.
func TestCatConnectsPaths(t *testing.T) {
	lab.Root(t)
	c, n := twoLinks(t)
	if err := c.client.SetLimits(8, 8); err != nil {
		t.Fatal(err)
	}
	up, down := noise(8<<20), noise(8<<20)
	for _, k := range []struct {
		name, flags string
		v6          bool
		kernel      []lab.Endpoint
		joins       int64
	}{
		{"one more", "--subflow 10.3.0.2=10.3.0.1", false, nil, 1},
		{"one more, IPv6", "--subflow fd03::2=fd03::1", true, nil, 1},
		{"IPv6 beside IPv4", "--subflow fd03::2=fd03::1", false, nil, 1},
		{"four between two addresses", "--subflows 4", false, nil, 3},
		{"what the kernel announces", "--accept-announced 1", false, []lab.Endpoint{{Addr: second(false), Flags: lab.Signal}}, 1},
		{"the same with a port", "--accept-announced 1", false, []lab.Endpoint{{Addr: second(false), Port: 7777, Flags: lab.Signal}}, 1},
		{"full mesh", "--fullmesh --subflow 10.1.0.2,10.3.0.2", false, []lab.Endpoint{{Addr: second(false), Flags: lab.Signal}}, 3},
		{"backup", "--backup --subflow 10.3.0.2=10.3.0.1", false, nil, 1},
		{"checksum", "--checksum --subflow 10.3.0.2=10.3.0.1", false, nil, 1},
	} {
		t.Run(k.name, func(t *testing.T) {
			if err := c.client.FlushEndpoints(); err != nil {
				t.Fatal(err)
			}
			for _, e := range k.kernel {
				if err := c.client.AddEndpoint(e); err != nil {
					t.Fatal(err)
				}
			}
			before := counters(t, c.client)
			var l net.Listener
			// The kernel takes joins where a listener is, not at any port.
			if err := c.client.Do(func() (err error) { l, err = net.Listen("tcp", ":0"); return }); err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(l.Addr().String())
			to := net.JoinHostPort("10.1.0.1", port)
			if k.v6 {
				to = net.JoinHostPort("fd01::1", port)
			}
			command, _, err := parsed(t, "cat --interface a --address 10.0.0.2/24 "+k.flags+" "+to)
			if err != nil {
				t.Fatal(err)
			}
			command.Cat.Network = n
			got := make(chan []byte, 1)
			go func() {
				defer l.Close()
				b := []byte(nil)
				if conn, err := l.Accept(); err != nil {
					t.Error(err)
				} else if b, err = kernelPeer(conn, down); err != nil {
					t.Error(err)
				}
				got <- b
			}()
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			var out bytes.Buffer
			if err := c.proxy.Do(func() error { return cat(ctx, &command.Cat, bytes.NewReader(up), &out, silent, nil) }); err != nil {
				t.Fatal(err)
			}
			if b := <-got; sha256.Sum256(b) != sha256.Sum256(up) || sha256.Sum256(out.Bytes()) != sha256.Sum256(down) {
				t.Errorf("%d of %d bytes up, %d of %d down", len(b), len(up), out.Len(), len(down))
			}
			n := counters(t, c.client).Since(before)
			if n["MPTcpExtMPJoinAckRx"] != k.joins || len(n.Trouble()) > 0 || n["MPTcpExtAddAddrTx"] != int64(len(k.kernel)) || n["MPTcpExtEchoAdd"] != int64(len(k.kernel)) {
				t.Errorf("the kernel counted %v", n)
			}
		})
	}
}

// TestServeAnnounces: the kernel as client of the proxy connects to what is
// announced; the address is withdrawn and announced again in mid-transfer.
func TestServeAnnounces(t *testing.T) {
	lab.Root(t)
	for _, k := range []struct {
		name, announce string
		id             uint8
	}{{"address", "10.3.0.2", 1}, {"address and port", "10.3.0.2:8443", 1}, {"IPv6 and port, beside timestamps", "[fd03::2]:8443", 1}} {
		t.Run(k.name, func(t *testing.T) {
			c, n := twoLinks(t)
			if err := c.client.SetLimits(4, 4); err != nil {
				t.Fatal(err)
			}
			var a Announcement
			if err := a.UnmarshalText([]byte(k.announce)); err != nil {
				t.Fatal(err)
			}
			p := c.serve(t, &serveCommand{Network: n, Listen: 1080, Sessions: 64, Multipath: Multipath{Announce: []Announcement{a}}}, nil)
			var id atomic.Uint64
			var joined atomic.Int64
			p.ask(t, func(s *stack.Shard) {
				s.SetWatch(func(_ *stack.Shard, r *mptcp.Record) {
					if r.Kind == mptcp.KindEstablished {
						id.Store(uint64(r.Conn))
					} else {
						joined.Add(1)
					}
				}, mptcp.KindEstablished, mptcp.KindSubEstablished)
			})
			origin, err := c.origin.Serve(lab.Listen{Addr: target(false, 0)})
			if err != nil {
				t.Fatal(err)
			}
			defer origin.Close()
			before := counters(t, c.client)
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				client := lab.Client{NS: c.client, Proxy: entry(a.Addr.Is6()), MPTCP: true}
				_, err := client.Download(ctx, origin.Addr.String(), lab.Limit{Time: 3 * time.Second}, 1)
				ended <- err
			}()
			until := func(what string, cond func() bool) {
				t.Helper()
				for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal(what, counters(t, c.client).Since(before))
					}
				}
			}
			until("the announced address is not joined", func() bool { return joined.Load() == 1 })
			flows := func() (n int) {
				p.ask(t, func(s *stack.Shard) {
					s.EachSubflow(mptcp.Conn(id.Load()), func(mptcp.Flow, mptcp.SubflowInfo) { n++ })
				})
				return n
			}
			p.ask(t, func(s *stack.Shard) {
				if err := s.Withdraw(mptcp.Conn(id.Load()), k.id); err != nil {
					t.Error(err)
				}
			})
			until("the subflow of an address that was withdrawn lives on", func() bool { return flows() == 1 })
			p.ask(t, func(s *stack.Shard) {
				if _, err := s.Announce(mptcp.Conn(id.Load()), netip.AddrPortFrom(a.Addr, a.Port), k.id); err != nil {
					t.Error(err)
				}
			})
			until("the address is not joined again", func() bool { return joined.Load() == 2 })
			if err := <-ended; err != nil {
				t.Error(err)
			}
			got := counters(t, c.client).Since(before)
			if got["MPTcpExtMPJoinSynAckRx"] != 2 || got["MPTcpExtAddAddr"] != 2 || got["MPTcpExtEchoAddTx"] != 2 || got["MPTcpExtRmAddr"] < 1 || len(got.Trouble()) > 0 {
				t.Errorf("the kernel counted %v", got)
			}
			p.settle(t)
		})
	}
}

// TestServeUpstreamMPTCP: destinations that speak it get it, with one more
// subflow; others get plain TCP.
func TestServeUpstreamMPTCP(t *testing.T) {
	lab.Root(t)
	c, n := twoLinks(t)
	if err := c.client.SetLimits(4, 4); err != nil {
		t.Fatal(err)
	}
	p := c.serve(t, &serveCommand{Network: n, Listen: 1080, Sessions: 64, Upstream: true, Paths: Paths{Subflows: 2}}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for _, multi := range []bool{true, false} {
		if err := c.origin.SetMPTCP("enabled", int(truth(multi))); err != nil {
			t.Fatal(err)
		}
		if err := c.origin.SetLimits(4, 4); err != nil {
			t.Fatal(err)
		}
		before := counters(t, c.origin)
		origin, err := c.origin.Serve(lab.Listen{Addr: target(false, 0), MPTCP: multi})
		if err != nil {
			t.Fatal(err)
		}
		client := lab.Client{NS: c.client, Proxy: entry(false)}
		if _, err := client.Download(ctx, origin.Addr.String(), lab.Limit{Bytes: 8 << 20}, 1); err != nil {
			t.Errorf("MPTCP %v: %v", multi, err)
		}
		if _, err := client.Upload(ctx, origin.Addr.String(), lab.Limit{Bytes: 8 << 20}, 2); err != nil {
			t.Errorf("MPTCP %v: %v", multi, err)
		}
		origin.Close()
		got := counters(t, c.origin).Since(before)
		if want := 2 * truth(multi); got["MPTcpExtMPCapableACKRX"] != want || got["MPTcpExtMPJoinAckRx"] != want || multi && len(got.Trouble()) > 0 {
			t.Errorf("MPTCP %v: the kernel counted %v", multi, got)
		}
	}
	p.settle(t)
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/proxy"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// engineWorld is a client, the proxy and an origin in memory. Time is virtual:
// a round lasts roundTime, in which everybody has a turn and the wires carry
// what was sent.
type engineWorld struct {
	client, proxy, origin *stack.Shard
	wires                 []*memPort // of the proxy; each knows its other end
	now                   tcp.Time
	cpu                   int64 // of the proxy's turns
	sink                  *bulk // whoever receives
	load                  *bulk // the client's application
	conns                 int
	mptcp                 bool
	began                 tally // after the warm-up
}

const (
	// roundTime makes a turn's batch what it is on a busy NIC: 64 full
	// segments take 77 us at 10 Gbit/s.
	roundTime = 80 * tcp.Microsecond
	// engineFrames is the shard's default pool.
	engineFrames = 1 << 16
	originPort   = 80
	endBuffer    = 512 << 10
)

var (
	engineClient = []netip.Prefix{netip.MustParsePrefix("10.73.1.2/24"), netip.MustParsePrefix("10.73.2.2/24")}
	engineProxy  = []netip.Prefix{netip.MustParsePrefix("10.73.1.1/24"), netip.MustParsePrefix("10.73.2.1/24"), netip.MustParsePrefix("10.73.3.1/24")}
	engineOrigin = netip.MustParsePrefix("10.73.3.2/24")
	// engineService is where the proxy listens: reached over either link.
	engineService = netip.MustParseAddrPort("10.73.0.1:1080")
)

func newEngineWorld(l relayed) (*engineWorld, error) {
	w := &engineWorld{conns: l.conns, mptcp: l.mptcp}
	pools := [3]*frame.Pool{}
	for i := range pools {
		pools[i] = frame.New(make([]byte, engineFrames<<12), 12)
	}
	w.load = &bulk{source: l.up, socks: netip.AddrPortFrom(engineOrigin.Addr(), originPort), multipath: l.mptcp}
	far := &bulk{source: !l.up}
	w.sink = far
	if !l.up {
		w.sink = w.load
	}
	relay, err := proxy.New(proxy.Config{Listen: engineService.Port(), Addresses: engineProxy})
	if err != nil {
		return nil, err
	}
	var clientLinks, proxyLinks []stack.Link
	for i := range engineClient {
		c, p := newWire(pools[0], pools[1])
		w.wires = append(w.wires, p)
		clientLinks = append(clientLinks, engineLink(c, 0, i))
		proxyLinks = append(proxyLinks, engineLink(p, 1, i))
	}
	p, o := newWire(pools[1], pools[2])
	w.wires = append(w.wires, p)
	proxyLinks = append(proxyLinks, engineLink(p, 1, 2))
	for _, h := range []struct {
		shard **stack.Shard
		addrs []netip.Prefix
		links []stack.Link
		pool  *frame.Pool
		app   stack.App
	}{
		{&w.client, engineClient, clientLinks, pools[0], w.load},
		{&w.proxy, engineProxy, proxyLinks, pools[1], relay},
		{&w.origin, []netip.Prefix{engineOrigin}, []stack.Link{engineLink(o, 2, 0)}, pools[2], far},
	} {
		conf := stack.Config{TCP: tcp.DefaultConfig(), MPTCP: mptcp.Config{Enabled: l.mptcp, Checksum: l.checksum}, Seed: [32]byte{1}}
		if h.shard != &w.proxy {
			// The ends are no part of the measurement: their pools must not run
			// out whatever the number of connections.
			conf.TCP.SndBuf, conf.MPTCP.SndBuf = endBuffer, endBuffer
		}
		for i, a := range h.addrs {
			conf.Addresses = append(conf.Addresses, stack.Address{Prefix: a, Link: i})
		}
		switch h.shard {
		case &w.client:
			for _, via := range engineProxy[:2] {
				conf.Routes = append(conf.Routes, stack.Route{Prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: via.Addr()})
			}
		case &w.proxy:
			own := netip.PrefixFrom(engineService.Addr(), 32)
			conf.Addresses = append(conf.Addresses, stack.Address{Prefix: own, Link: stack.AnyLink})
		}
		if *h.shard, err = stack.New(conf, h.pool, h.links, h.app); err != nil {
			return nil, err
		}
	}
	if err := relay.Start(w.proxy); err != nil {
		return nil, err
	}
	return w, w.origin.Listen(originPort)
}

func engineLink(p *memPort, host, i int) stack.Link {
	return stack.Link{Name: fmt.Sprint("mem", i), MAC: [6]byte{2, 0, 0, 0, byte(host), byte(i)}, MTU: 1500, Ports: []stack.Port{p}}
}

// connect opens the connections through the proxy and waits until all relay.
func (w *engineWorld) connect() error {
	for range w.conns {
		if err := w.load.dial(w.client, engineService); err != nil {
			return err
		}
	}
	const within = 5 * tcp.Second
	for w.load.ready < w.conns || w.mptcp && w.load.joined < w.conns {
		if w.round(); w.now > within {
			return fmt.Errorf("%d of %d connections relay, %d joined, after %d s", w.load.ready, w.conns, w.load.joined, within/tcp.Second)
		}
	}
	return w.load.failed
}

func (w *engineWorld) run(span time.Duration) {
	for end := time.Now().Add(span); time.Now().Before(end); {
		for range 64 {
			w.round()
		}
	}
}

func (w *engineWorld) round() {
	w.now += roundTime
	w.client.Turn(w.now)
	w.origin.Turn(w.now)
	w.carry()
	begin := threadTime()
	w.proxy.Turn(w.now)
	w.cpu += threadTime() - begin
	w.carry()
}

func (w *engineWorld) carry() {
	for _, p := range w.wires {
		p.carry()
		p.peer.carry()
	}
}

//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mpxd/mpxd/internal/lab"
)

// phone is the demo's world: a client with two access links, the proxy's host
// and an origin, each a network namespace, with an emulator between client and
// proxy.
//
//	client --wifi--+          +--wifi--+
//	               | emulator |        proxy --wan-- origin
//	client --lte---+          +--lte---+
//
// The proxy's interfaces have no addresses the kernel knows: they are mpxd's.
type phone struct {
	client, emulator, proxy, origin *lab.NS
}

// The addresses of the demo. Nothing outside its namespaces sees them.
var (
	wifiClient = netip.MustParsePrefix("10.71.1.2/24")
	wifiProxy  = netip.MustParsePrefix("10.71.1.1/24")
	lteClient  = netip.MustParsePrefix("10.71.2.2/24")
	lteProxy   = netip.MustParsePrefix("10.71.2.1/24")
	wanProxy   = netip.MustParsePrefix("10.71.3.1/24")
	wanOrigin  = netip.MustParsePrefix("10.71.3.2/24")
	service    = netip.MustParsePrefix("10.71.0.1/32") // where the proxy listens
)

const servicePort = 1080

// The interfaces, by the same name on both sides; the emulator's ends of a
// link are called after the side they face.
const (
	wifi = "wifi"
	lte  = "lte"
	wan  = "wan"
)

// lteTable is the client's routing table for packets from its LTE address.
const lteTable = 2

func newPhone() (p *phone, err error) {
	p = &phone{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	for _, n := range []struct {
		ns   **lab.NS
		name string
	}{{&p.client, "client"}, {&p.emulator, "link"}, {&p.proxy, "proxy"}, {&p.origin, "origin"}} {
		if *n.ns, err = lab.New(n.name); err != nil {
			return p, err
		}
	}
	if err = p.access(wifi, wifiClient); err != nil {
		return p, err
	}
	if err = p.access(lte, lteClient); err != nil {
		return p, err
	}
	// The way to the origin is no radio, and the origin no subject of the demo:
	// its kernel may use super-packets, which leaves the processors to the rest.
	err = lab.Veth(
		lab.End{NS: p.proxy, Name: wan, Pfifo: qdiscPackets},
		lab.End{NS: p.origin, Name: wan, Addrs: []netip.Prefix{wanOrigin}, Pfifo: qdiscPackets})
	if err != nil {
		return p, err
	}
	return p, p.configure()
}

// qdiscPackets lets a full veth ring push back instead of losing frames.
const qdiscPackets = 1000

// access makes one access link: client - emulator - proxy. Offloads are off at
// the client, so that the link carries what a radio would: packets of MTU size
// with checksums.
func (p *phone) access(name string, addr netip.Prefix) error {
	err := lab.Veth(
		lab.End{NS: p.client, Name: name, Addrs: []netip.Prefix{addr}, Off: lab.AllOffloads, Pfifo: qdiscPackets},
		lab.End{NS: p.emulator, Name: name + "-client", Pfifo: qdiscPackets})
	if err != nil {
		return err
	}
	return lab.Veth(
		lab.End{NS: p.emulator, Name: name + "-proxy", Pfifo: qdiscPackets},
		lab.End{NS: p.proxy, Name: name, Pfifo: qdiscPackets})
}

// configure sets up the client's routing by source address, its buffers and
// its path manager.
func (p *phone) configure() error {
	all := netip.MustParsePrefix("0.0.0.0/0")
	for _, err := range []error{
		p.client.AddRoute(lab.Route{Dst: all, Via: wifiProxy.Addr(), Dev: wifi}),
		p.client.AddRoute(lab.Route{Dst: all, Via: lteProxy.Addr(), Dev: lte, Table: lteTable}),
		p.client.AddSourceRule(lteClient.Addr(), lteTable),
		p.client.SetBuffers(clientBuffer, clientBuffer),
		p.origin.SetBuffers(clientBuffer, clientBuffer),
		p.client.SetMPTCP("enabled", 1),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// clientBuffer is twice the product of both rates and the longer round trip,
// with room for the kernel's overhead per packet: with less, what waits for
// the slow path keeps the fast one from sending.
const clientBuffer = 32 << 20

// paths lets the client use its LTE link for a second subflow, or not.
func (p *phone) paths(both bool) error {
	if err := p.client.FlushEndpoints(); err != nil {
		return err
	}
	if !both {
		return p.client.SetLimits(0, 0)
	}
	if err := p.client.SetLimits(2, 0); err != nil {
		return err
	}
	return p.client.AddEndpoint(lab.Endpoint{Addr: lteClient.Addr(), Dev: lte, Flags: lab.Subflow})
}

// on makes a client that starts on the named link, through the proxy.
func (p *phone) on(link string) *lab.Client {
	c := &lab.Client{
		NS: p.client, MPTCP: true, Local: wifiClient.Addr(), Device: wifi,
		Proxy: netip.AddrPortFrom(service.Addr(), servicePort),
	}
	if link == lte {
		c.Local, c.Device = lteClient.Addr(), lte
	}
	return c
}

// received is how many bytes came in on one of the client's links.
func (p *phone) received(link string) (uint64, error) {
	a, err := p.client.Interface(link)
	if err != nil {
		return 0, err
	}
	if a.Statistics == nil {
		return 0, fmt.Errorf("%s: no statistics", link)
	}
	return a.Statistics.RxBytes, nil
}

func (p *phone) close() error {
	var all error
	for _, ns := range []*lab.NS{p.client, p.emulator, p.proxy, p.origin} {
		if ns != nil {
			all = errors.Join(all, ns.Close())
		}
	}
	return all
}

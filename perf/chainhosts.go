//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
)

// chainHosts are three hosts in namespaces and the programs on them: a client
// with two links, one proxy, an origin.
type chainHosts struct {
	proxy  string // which
	mode   string // XDP mode granted
	client *lab.NS
	listen netip.AddrPort
	origin *lab.Origin

	spaces  []*lab.NS
	process *lab.Child
}

// The addresses, the same in every chain: the chains do not see each other.
var (
	chainClient = []netip.Prefix{netip.MustParsePrefix("10.72.1.2/24"), netip.MustParsePrefix("10.72.2.2/24")}
	chainProxy  = []netip.Prefix{netip.MustParsePrefix("10.72.1.1/24"), netip.MustParsePrefix("10.72.2.1/24"), netip.MustParsePrefix("10.72.3.1/24")}
	chainOrigin = netip.MustParsePrefix("10.72.3.2/24")
)

const (
	chainPort    = 1080
	chainBuffer  = 16 << 20         // so that no socket buffer limits a run
	chainStartup = 20 * time.Second // of a proxy
	secondTable  = 2                // the client's routes for its second address
)

// chainLinks are the proxy's interfaces, in the order of chainProxy.
var chainLinks = []string{"one", "two", "wan"}

func (c *chain) build(proxy, program string) (h *chainHosts, err error) {
	h = &chainHosts{proxy: proxy, mode: "kernel", listen: netip.AddrPortFrom(chainProxy[0].Addr(), chainPort)}
	client, err := h.space(proxy + "-client")
	if err != nil {
		return h, err
	}
	middle, err := h.space(proxy + "-proxy")
	if err != nil {
		return h, err
	}
	far, err := h.space(proxy + "-origin")
	if err != nil {
		return h, err
	}
	h.client = client
	off := lab.AllOffloads
	if c.Offloads {
		off = nil
	}
	for i, link := range chainLinks {
		peer, addr := client, chainOrigin
		if i < len(chainClient) {
			addr = chainClient[i]
		} else {
			peer = far
		}
		ours := lab.End{NS: middle, Name: link, Pfifo: queueLimit, Off: off}
		if proxy != "mpxd" { // mpxd's addresses are not the kernel's
			ours.Addrs = []netip.Prefix{chainProxy[i]}
		}
		theirs := lab.End{NS: peer, Name: link, Addrs: []netip.Prefix{addr}, Pfifo: queueLimit, Off: off}
		if err := lab.Veth(ours, theirs); err != nil {
			return h, err
		}
	}
	if err := h.configure(middle, far); err != nil {
		return h, err
	}
	if h.origin, err = far.Serve(lab.Listen{Addr: netip.AddrPortFrom(chainOrigin.Addr(), 0)}); err != nil {
		return h, err
	}
	return h, h.start(middle, program, c.XDPMode.String())
}

func (h *chainHosts) space(name string) (*lab.NS, error) {
	ns, err := lab.New(name)
	if err == nil {
		h.spaces = append(h.spaces, ns)
	}
	return ns, err
}

// configure gives the client two paths to the proxy's one address, and
// everybody's kernel enough buffer.
func (h *chainHosts) configure(middle, far *lab.NS) error {
	all := netip.MustParsePrefix("0.0.0.0/0")
	errs := []error{
		h.client.AddRoute(lab.Route{Dst: all, Via: chainProxy[1].Addr(), Dev: chainLinks[1], Table: secondTable}),
		h.client.AddSourceRule(chainClient[1].Addr(), secondTable),
		h.client.SetLimits(2, 0),
		h.client.AddEndpoint(lab.Endpoint{Addr: chainClient[1].Addr(), Dev: chainLinks[1], Flags: lab.Subflow}),
		middle.SetLimits(2, 0),
	}
	for _, ns := range []*lab.NS{h.client, middle, far} {
		errs = append(errs, ns.SetBuffers(chainBuffer, chainBuffer))
	}
	return errors.Join(errs...)
}

// start runs the proxy and waits until it listens.
func (h *chainHosts) start(ns *lab.NS, program, mode string) (err error) {
	args := []string{"serve", "--supervised", "--xdp-mode", mode, "--interface", strings.Join(chainLinks, ","),
		"--listen", fmt.Sprintf(":%d", chainPort), "--address"}
	var addrs []string
	for i, p := range chainProxy {
		addrs = append(addrs, fmt.Sprintf("%s=%v", chainLinks[i], p))
	}
	args = append(args, strings.Join(addrs, ","))
	if h.proxy != "mpxd" {
		if program, err = os.Executable(); err != nil {
			return err
		}
		args = []string{"socks", "--listen", h.listen.String()}
	}
	if h.process, err = ns.Start(os.Stderr, program, args...); err != nil {
		return err
	}
	h.mode, err = h.process.Line(chainStartup)
	return err
}

func (h *chainHosts) close() (err error) {
	if h.process != nil {
		err = errors.Join(err, h.process.Stop())
	}
	if h.origin != nil {
		err = errors.Join(err, h.origin.Close())
	}
	for _, ns := range h.spaces {
		err = errors.Join(err, ns.Close())
	}
	return err
}

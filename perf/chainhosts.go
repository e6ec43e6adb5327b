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

	spaces   []*lab.NS
	process  *lab.Child
	middle   *lab.NS // the proxy's
	emulated *lab.NS // between client and proxy; nil: they are neighbours
}

// chainPlan says how chainHosts are made.
type chainPlan struct {
	proxy, program string
	mode           string // XDP mode to ask for
	offloads       bool
	emulated       bool   // a namespace for an emulator between client and proxy
	congestion     string // of the proxy; empty: its default
	scheduler      string // of mpxd; empty: its default
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

// each builds the plan with one proxy after the other, and tells the report by which
// mode. done takes down what was built, also after an error.
func (p chainPlan) each(r *Report) (hosts []*chainHosts, done func() error, err error) {
	done = func() error { return nil }
	if err := lab.CanRoot(); err != nil {
		return nil, done, err
	}
	if _, err := lab.Sweep(); err != nil {
		return nil, done, err
	}
	dir, err := os.MkdirTemp("", "mpxd-perf-")
	if err != nil {
		return nil, done, err
	}
	done = func() (err error) {
		for _, h := range hosts {
			err = errors.Join(err, h.close())
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	if p.program, err = buildMpxd(dir); err != nil {
		return nil, done, err
	}
	for _, p.proxy = range proxies {
		h, err := p.build()
		if h != nil {
			hosts = append(hosts, h)
		}
		if err != nil {
			return hosts, done, err
		}
	}
	r.Env.Driver, r.Env.Mode = "veth", hosts[0].mode
	return hosts, done, nil
}

func (p chainPlan) build() (h *chainHosts, err error) {
	h = &chainHosts{proxy: p.proxy, mode: "kernel", listen: netip.AddrPortFrom(chainProxy[0].Addr(), chainPort)}
	client, err := h.space(p.proxy + "-client")
	if err != nil {
		return h, err
	}
	middle, err := h.space(p.proxy + "-proxy")
	if err != nil {
		return h, err
	}
	far, err := h.space(p.proxy + "-origin")
	if err != nil {
		return h, err
	}
	if p.emulated {
		if h.emulated, err = h.space(p.proxy + "-link"); err != nil {
			return h, err
		}
	}
	h.client, h.middle = client, middle
	off := lab.AllOffloads
	if p.offloads {
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
		if p.proxy != "mpxd" { // mpxd's addresses are not the kernel's
			ours.Addrs = []netip.Prefix{chainProxy[i]}
		}
		theirs := lab.End{NS: peer, Name: link, Addrs: []netip.Prefix{addr}, Pfifo: queueLimit, Off: off}
		if err := h.join(ours, theirs); err != nil {
			return h, err
		}
	}
	if err := h.configure(middle, far); err != nil {
		return h, err
	}
	if h.origin, err = far.Serve(lab.Listen{Addr: netip.AddrPortFrom(chainOrigin.Addr(), 0)}); err != nil {
		return h, err
	}
	if p.congestion != "" && p.proxy != "mpxd" {
		if err := middle.SetSysctl("net.ipv4.tcp_congestion_control", p.congestion); err != nil {
			return h, err
		}
	}
	return h, h.start(middle, p)
}

// join connects two ends, through the emulator's namespace if there is one and
// they are the client's and the proxy's.
func (h *chainHosts) join(ours, theirs lab.End) error {
	if h.emulated == nil || theirs.NS != h.client {
		return lab.Veth(ours, theirs)
	}
	for side, end := range map[string]lab.End{"proxy": ours, "client": theirs} {
		if err := lab.Veth(end, lab.End{NS: h.emulated, Name: ours.Name + "-" + side, Pfifo: queueLimit}); err != nil {
			return err
		}
	}
	return nil
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
func (h *chainHosts) start(ns *lab.NS, p chainPlan) (err error) {
	program := p.program
	args := []string{"serve", "--supervised", "--xdp-mode", p.mode, "--interface", strings.Join(chainLinks, ","),
		"--listen", fmt.Sprintf(":%d", chainPort), "--address"}
	var addrs []string
	for i, p := range chainProxy {
		addrs = append(addrs, fmt.Sprintf("%s=%v", chainLinks[i], p))
	}
	args = append(args, strings.Join(addrs, ","))
	if p.congestion != "" {
		args = append(args, "--congestion", p.congestion)
	}
	if p.scheduler != "" {
		args = append(args, "--scheduler", p.scheduler)
	}
	if p.emulated { // the emulator's thread is real-time
		args = append(args, "--realtime")
	}
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

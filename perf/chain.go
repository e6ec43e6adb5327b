//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/xdp"
)

// chain measures kernel client -> proxy -> kernel origin over veth, with mpxd
// as the proxy beside a Go SOCKS5 proxy on kernel sockets, taking turns. All
// hosts share the machine, so what counts is the processor time of the whole
// chain for each gigabyte that came through.
type chain struct {
	Seconds  float64  `default:"2" help:"How long each run is measured."`
	XDPMode  xdp.Mode `name:"xdp-mode" default:"generic" help:"XDP mode of mpxd: auto, zero-copy, native or generic."`
	Offloads bool     `help:"Leave the kernel's offloads on: super-packets instead of packets of MTU size."`
}

// proxies are measured in this order, the product first.
var proxies = []string{"mpxd", "go"}

// moved is what one transfer came to.
type moved struct{ mbps, cpu float64 }

func (c *chain) Run(r *Report) (err error) {
	hosts, done, err := chainPlan{mode: c.XDPMode.String(), offloads: c.Offloads}.each(r)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return err
	}
	for _, mptcp := range []bool{false, true} {
		for _, up := range []bool{false, true} {
			if err := c.compare(r, hosts, mptcp, up); err != nil {
				return err
			}
		}
	}
	return nil
}

// buildMpxd makes the program in dir.
func buildMpxd(dir string) (string, error) {
	program := filepath.Join(dir, "mpxd")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/mpxd/mpxd/cmd/mpxd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building mpxd: %w\n%s", err, out)
	}
	return program, nil
}

// compare measures one kind of transfer through every proxy in turns.
func (c *chain) compare(r *Report, hosts []*chainHosts, mptcp, up bool) error {
	name := map[bool]string{false: "tcp", true: "mptcp"}[mptcp] + map[bool]string{false: "_down", true: "_up"}[up]
	mbps, cpu := make([][]float64, len(hosts)), make([][]float64, len(hosts))
	for range r.runs {
		for i, h := range hosts {
			m, err := h.move(mptcp, up, time.Duration(c.Seconds*float64(time.Second)))
			if err != nil {
				return fmt.Errorf("%s through %s: %w", name, h.proxy, err)
			}
			mbps[i], cpu[i] = append(mbps[i], m.mbps), append(cpu[i], m.cpu)
		}
	}
	r.Add(name+".cpu_s_per_gb", "s/GB", lower, cpu[0]).Against("go", cpu[1])
	r.Add(name+".goodput", "Mbit/s", higher, mbps[0]).Against("go", mbps[1])
	return nil
}

// move transfers for a while and charges the whole machine's time to it.
func (h *chainHosts) move(mptcp, up bool, span time.Duration) (m moved, err error) {
	client := &lab.Client{NS: h.client, MPTCP: mptcp, Local: chainClient[0].Addr(), Proxy: h.listen}
	before, err := h.client.Counters()
	if err != nil {
		return m, err
	}
	busy, err := lab.Busy()
	if err != nil {
		return m, err
	}
	transfer := client.Download
	if up {
		transfer = client.Upload
	}
	ctx, cancel := context.WithTimeout(context.Background(), span+30*time.Second)
	defer cancel()
	t, err := transfer(ctx, h.origin.Addr.String(), lab.Limit{Time: span}, 1)
	if err != nil {
		return m, err
	}
	after, err := lab.Busy()
	if err != nil {
		return m, err
	}
	m = moved{t.Mbps(), (after - busy).Seconds() * 1e9 / float64(t.Bytes)}
	if !mptcp {
		return m, nil
	}
	counters, err := h.client.Counters()
	if err != nil {
		return m, err
	}
	if h.proxy != "mpxd" {
		// What the kernel does with itself is not ours to judge, but both paths
		// must have been there.
		if counters.Since(before)["MPTcpExtMPJoinSynAckRx"] == 0 {
			return m, errors.New("the second subflow did not join")
		}
		return m, nil
	}
	return m, counters.Since(before).Joins(1, 1)
}

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/internal/link/runner"
	"github.com/mpxd/mpxd/xdp"
)

// aggregate measures what two lossy links bring together to a kernel client: a
// download through mpxd beside one through a Go SOCKS5 proxy on kernel MPTCP, both
// with a BBR, in turns and over the same losses.
type aggregate struct {
	Seconds   float64  `default:"5" help:"How long each download lasts."`
	Wifi      []int    `default:"867,10" help:"The first link: Mbit/s and round trip in ms."`
	LTE       []int    `name:"lte" default:"300,40" help:"The second link."`
	Loss      float64  `default:"1" help:"Random loss on both links, each way, in per cent."`
	Scheduler string   `default:"goodput" help:"Of mpxd."`
	XDPMode   xdp.Mode `name:"xdp-mode" default:"generic" help:"XDP mode of mpxd: auto, zero-copy, native or generic."`
}

const (
	aggregateBar  = 1.0
	aggregateSeed = 30
)

func (a *aggregate) Run(r *Report) (err error) {
	if len(a.Wifi) != 2 || len(a.LTE) != 2 {
		return errors.New("a link is RATE,RTT")
	}
	hosts, done, err := chainPlan{mode: a.XDPMode.String(), emulated: true, congestion: "bbr", scheduler: a.Scheduler}.each(r)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return err
	}
	mbps := make([][]float64, len(hosts))
	for turn := range r.runs {
		for i, h := range hosts {
			got, err := a.download(r, h, aggregateSeed+uint64(4*turn))
			if err != nil {
				return fmt.Errorf("through %s: %w", h.proxy, err)
			}
			mbps[i] = append(mbps[i], got)
		}
	}
	sum := float64(a.Wifi[0] + a.LTE[0])
	shares := slices.Clone(mbps[0])
	for i := range shares {
		shares[i] /= sum
	}
	name := fmt.Sprintf("down_loss%g", a.Loss)
	r.Add(name+".goodput", "Mbit/s", higher, mbps[0]).Against("kernel-bbr", mbps[1]).Judge(aggregateBar, aggregateBar)
	r.Add(name+".share_of_rates", "", higher, shares)
	return nil
}

// download is one transfer, over links that begin anew. What a late emulator
// shows is not counted: it is run again.
func (a *aggregate) download(r *Report, h *chainHosts, seed uint64) (mbps float64, err error) {
	why := ""
	for range tcpRetries {
		if mbps, why, err = a.attempt(h, seed); err != nil || why == "" {
			return mbps, err
		}
	}
	r.Distrust("%s: the emulator is no link: %s", h.proxy, why)
	return mbps, nil
}

func (a *aggregate) attempt(h *chainHosts, seed uint64) (mbps float64, why string, err error) {
	var emulator *runner.Runner
	err = h.emulated.Do(func() error {
		emulator, err = runner.Start(a.path(chainLinks[0], a.Wifi, seed), a.path(chainLinks[1], a.LTE, seed+2))
		return err
	})
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, emulator.Close()) }()
	client := &lab.Client{NS: h.client, MPTCP: true, Local: chainClient[0].Addr(), Proxy: h.listen}
	before, err := h.client.Counters()
	if err != nil {
		return 0, "", err
	}
	span := time.Duration(a.Seconds * float64(time.Second))
	ctx, cancel := context.WithTimeout(context.Background(), span+30*time.Second)
	defer cancel()
	t, err := client.Download(ctx, h.origin.Addr.String(), lab.Limit{Time: span}, seed)
	if err != nil {
		return 0, "", err
	}
	after, err := h.client.Counters()
	if err != nil {
		return 0, "", err
	}
	if after.Since(before)["MPTcpExtMPJoinSynAckRx"] == 0 {
		return 0, "", errors.New("the second subflow did not join")
	}
	s, err := emulator.Stats()
	if err != nil {
		return 0, "", err
	}
	return t.Mbps(), doubt(s), nil
}

// path is an access link, from A, the client's side, to B, the proxy's.
func (a *aggregate) path(name string, rateRTT []int, seed uint64) runner.Path {
	one := link.Config{
		Rate: int64(rateRTT[0]) * 1e6, Overhead: link.EthernetOverhead, Delay: int64(rateRTT[1]) * int64(time.Millisecond) / 2,
		Loss: int(a.Loss * link.Million / 100), Seed: seed,
	}
	other := one
	other.Seed++
	return runner.Path{Name: name, A: name + "-client", B: name + "-proxy", AB: one, BA: other, GRO: true}
}

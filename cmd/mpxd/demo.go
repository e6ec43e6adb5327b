//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/xdp"
)

// demoCommand is mpxd demo: the whole product in one minute, on this machine.
type demoCommand struct {
	Seconds float64  `default:"5" help:"Length of each transfer (${default})."`
	Wifi    access   `default:"867/10" placeholder:"RATE/RTT" help:"The wifi link: Mbit/s and round trip in ms (${default})."`
	LTE     access   `name:"lte" default:"300/40" placeholder:"RATE/RTT" help:"The LTE link (${default})."`
	Loss    percent  `default:"0" placeholder:"PERCENT" help:"Random loss on both links, each way."`
	XDPMode xdp.Mode `name:"xdp-mode" default:"generic" placeholder:"MODE" help:"XDP mode of the proxy: auto, zero-copy, native or generic (${default})."`
	Pcap    string   `type:"path" placeholder:"FILE" help:"Write what the proxy sends and receives to a pcapng file: tcpdump cannot see it."`
	JSON    bool     `name:"json" help:"Print one JSON object instead of the table."`
	Seed    uint64   `default:"1" help:"Seed of the links' random loss and of the bytes moved (${default})."`
}

// access is RATE/RTT.
type access struct {
	mbps  float64
	rttMs float64
}

// UnmarshalText parses "867/10".
func (a *access) UnmarshalText(b []byte) error {
	rate, rtt, ok := strings.Cut(string(b), "/")
	var err1, err2 error
	a.mbps, err1 = strconv.ParseFloat(rate, 64)
	a.rttMs, err2 = strconv.ParseFloat(rtt, 64)
	if !ok || err1 != nil || err2 != nil || !(a.mbps >= 0.1 && a.mbps <= 100000) || !(a.rttMs >= 0 && a.rttMs <= 10000) {
		return fmt.Errorf("%q is not RATE/RTT, such as 867/10 for 867 Mbit/s and 10 ms (at most 100000/10000)", b)
	}
	return nil
}

// percent is a share of packets, "1" or "1%".
type percent float64

func (p *percent) UnmarshalText(b []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(b), "%"), 64)
	if err != nil || !(v >= 0 && v <= 50) {
		return fmt.Errorf("%q is not a loss in percent from 0 to 50", b)
	}
	*p = percent(v)
	return nil
}

// check finds what does not make sense.
func (d *demoCommand) check() error {
	if !(d.Seconds >= 1 && d.Seconds <= 600) {
		return fmt.Errorf("--seconds %g: not between 1 and 600", d.Seconds)
	}
	return nil
}

// Run builds the world, measures and cleans up, whatever happens.
func (d *demoCommand) Run(ctx context.Context, s streams) error {
	if err := d.check(); err != nil {
		return usageError{err}
	}
	if err := lab.CanRoot(); err != nil {
		return fmt.Errorf("the demo builds network namespaces: %w", err)
	}
	gone, err := lab.Sweep()
	if err != nil {
		return err
	}
	t := &trial{demoCommand: d, ctx: ctx, streams: s}
	if len(gone) > 0 {
		t.say("removed what an earlier run left behind: %s", strings.Join(gone, ", "))
	}
	r, err := t.run()
	if ctx.Err() != nil {
		return errors.New("interrupted; what was built has been removed")
	}
	if err != nil {
		return err
	}
	if d.JSON {
		return json.NewEncoder(s.out).Encode(r)
	}
	r.table(s.out)
	return nil
}

// seconds is the length of a transfer.
func (d *demoCommand) seconds() time.Duration {
	return time.Duration(d.Seconds * float64(time.Second))
}

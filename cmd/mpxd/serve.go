//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/mpxd/mpxd/internal/proxy"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
	"github.com/mpxd/mpxd/xdp"
)

// serveCommand is mpxd serve.
type serveCommand struct {
	Network   `embed:""`
	Multipath `embed:""`
	Paths     `embed:""`

	Listen   ListenPort     `default:":1080" placeholder:":PORT" help:"Port of the SOCKS5 server on every address (${default})."`
	DNS      netip.AddrPort `placeholder:"IP:PORT" help:"DNS server for names in requests, asked over the kernel's network; the host's resolver if not given."`
	Sessions int            `default:"65536" help:"Sessions at once; more are refused (${default})."`
	Idle     time.Duration  `default:"5m" help:"How long a session may stand still (${default})."`
	Upstream bool           `name:"upstream-mptcp" help:"Offer MPTCP to destinations, with further subflows as --subflow and the like say; who does not speak it gets plain TCP."`
	Trace    string         `placeholder:"FILE" help:"Write what happens to MPTCP connections, and why, to a file: a line of JSON for each event. It grows fast."`
	Stats    time.Duration  `placeholder:"DURATION" help:"Log what was done every so often."`

	Supervised bool `hidden:"" help:"Say the XDP mode on standard output when ready, and end when standard input does."`
}

func (c *serveCommand) Run(ctx context.Context, s streams) error {
	r := proxy.NewHostResolver(proxy.ResolverConfig{Server: c.DNS})
	defer r.Close()
	if !c.Supervised {
		return serve(ctx, c, r, s.log, nil)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, s.in) // it ends when the supervisor does
		stop()
	}()
	return serve(ctx, c, r, s.log, func(h *host) { fmt.Fprintln(s.out, h.group.Mode()) })
}

// serve runs the proxy in the network namespace of the calling goroutine's
// thread until ctx ends. ready is called, on the shard's thread, when it
// listens; it may be nil.
func serve(ctx context.Context, c *serveCommand, r proxy.Resolver, log *slog.Logger, ready func(*host)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	records := newRecordLog(log)
	p, err := proxy.New(proxy.Config{
		Listen:      uint16(c.Listen),
		Addresses:   c.prefixes(),
		Resolver:    r,
		MaxSessions: c.Sessions,
		Idle:        tcp.Time(c.Idle),

		UpstreamMPTCP: c.Upstream,
		Record:        records.put,
	})
	if err != nil {
		return usageError{err}
	}
	offer, err := c.offer()
	if err != nil {
		return usageError{fmt.Errorf("serve: %w", err)}
	}
	go records.write(ctx)
	return traced(c.Trace, false, log, func(begin func(*host)) error {
		return run(ctx, c.Network, offer, p, log, func(h *host) {
			begin(h)
			log.Info("listening", "port", c.Listen, "addresses", c.Address)
			if c.Stats > 0 {
				go statistics(ctx, c.Stats, h, p, log)
			}
			if ready != nil {
				ready(h)
			}
		})
	})
}

// offer is what connections may be: with clients, and with destinations.
func (c *serveCommand) offer() (conf mptcp.Config, err error) {
	conf, signals, err := c.Multipath.config(c.prefixes())
	if err != nil {
		return conf, err
	}
	active, pairs, err := c.Paths.policy(c.prefixes())
	switch {
	case err != nil:
		return conf, err
	case c.any() && !c.Upstream:
		return conf, errors.New("--subflow and the like are about destinations: they go with --upstream-mptcp")
	case len(pairs) > 0:
		return conf, errors.New("--subflow: destinations differ: write LOCAL only")
	}
	conf.Enabled, conf.MaxConns = true, 2*c.Sessions // a session is two connections
	conf.Passive.Endpoints, conf.Active = signals, active
	return conf, nil
}

// snapshot is what a shard says about itself.
type snapshot struct {
	proxy   proxy.Counters
	stack   stack.Stats
	sockets []xdp.Stats
	free    int
}

// statistics logs a snapshot now and then, as long as the shard answers.
func statistics(ctx context.Context, every time.Duration, h *host, p *proxy.Proxy, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	answers := make(chan snapshot, 1) // one is asked for at a time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !h.shard.Post(func(s *stack.Shard) { answers <- snapshot{p.Count(), *s.Stats(), h.group.Stats(), h.pool.Free()} }) {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case s := <-answers:
			s.log(log)
		}
	}
}

func (s snapshot) log(log *slog.Logger) {
	c := s.proxy
	log.Info("proxy", "sessions", c.Sessions, "accepted", c.Accepted, "connected", c.Replies[proxy.Succeeded],
		"timeouts", c.Timeouts, "malformed", c.Malformed, "up", c.Moved[0], "down", c.Moved[1], "frames_free", s.free,
		"ports_exhausted", s.stack.PortsExhausted, "syncookies", s.stack.TCP.SyncookiesSent)
	for _, x := range s.sockets {
		log.Info("queue", "interface", x.Interface, "queue", x.Queue,
			"rx", x.Counters.RxPackets, "tx", x.Counters.TxPackets,
			"dropped", x.Kernel.RxDropped+x.Kernel.RxRingFull+x.Kernel.FillRingEmpty+x.Counters.RxInvalid+x.Counters.RxTooLong+x.Counters.TxBusy)
	}
}

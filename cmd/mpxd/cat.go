//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
)

// catCommand is mpxd cat.
type catCommand struct {
	Network   `embed:""`
	Multipath `embed:""`
	Paths     `embed:""`

	Listen  ListenPort `placeholder:"PORT" help:"Wait for one connection to this port."`
	Target  string     `arg:"" optional:"" name:"host:port" help:"Where to connect to; a name is resolved by the host's resolver."`
	TCP     bool       `name:"tcp" xor:"protocol" help:"Plain TCP only."`
	MPTCP   bool       `name:"mptcp" xor:"protocol" help:"MPTCP if the peer speaks it: the default of --listen and of connecting with --subflow and the like, not of connecting else."`
	Trace   string     `placeholder:"FILE" help:"Write what happens to the MPTCP connection, and why, to a file: a line of JSON for each event."`
	Verbose bool       `short:"v" help:"Tell at the end what each path carried, what the connection waited for, and the counters."`
}

// errInterrupted says how a conversation ended that did not end by itself.
var errInterrupted = errors.New("interrupted")

// resolveFor bounds the look-up of the name to connect to.
const resolveFor = 10 * time.Second

func (c *catCommand) Run(ctx context.Context, s streams) error {
	return cat(ctx, c, s.in, s.out, s.log, nil)
}

// cat runs netcat in the network namespace of the calling goroutine's thread
// until the connection is over. ready is called when it listens; it may be nil.
func cat(ctx context.Context, c *catCommand, in io.Reader, out io.Writer, log *slog.Logger, ready func()) error {
	if (c.Listen == 0) == (c.Target == "") {
		return usageError{errors.New("cat: give either --listen PORT or HOST:PORT")}
	}
	var to netip.AddrPort
	if c.Target != "" {
		var err error
		if to, err = c.resolve(ctx); err != nil {
			return err
		}
	}
	offer, paths, err := c.offer()
	if err != nil {
		return usageError{fmt.Errorf("cat: %w", err)}
	}
	ctx, over := context.WithCancelCause(ctx)
	finished := errors.New("the conversation is over")
	p := &pipe{
		Net: stack.NewNet(), listen: uint16(c.Listen), to: to, mptcp: offer.Enabled, paths: paths, backup: c.Backup,
		in: in, out: out, ready: ready, over: func() { over(finished) },
	}
	defer p.over()
	err = traced(c.Trace, c.Verbose, log, func(ready func(*host)) error { return run(ctx, c.Network, offer, p, log, ready) })
	if err != nil {
		return err
	}
	if err := p.wait(); context.Cause(ctx) == finished {
		return err
	}
	return errInterrupted
}

// offer is what the connection may be, and the subflows that are named in so
// many words.
func (c *catCommand) offer() (conf mptcp.Config, paths []Pair, err error) {
	conf, signals, err := c.Multipath.config(c.prefixes())
	if err != nil {
		return conf, nil, err
	}
	conf.Active, paths, err = c.Paths.policy(c.prefixes())
	if err != nil {
		return conf, nil, err
	}
	switch {
	case c.TCP && (c.any() || len(signals) > 0):
		return conf, nil, errors.New("--tcp goes with none of --announce, --subflow and the like")
	case c.Listen != 0 && c.any():
		return conf, nil, errors.New("--listen: who connects opens the subflows; --announce tells it of addresses")
	}
	conf.Enabled = c.MPTCP || c.any() || len(signals) > 0 || c.Listen != 0 && !c.TCP
	conf.MaxConns = 16
	conf.Passive.Endpoints = signals
	conf.Active.Endpoints = append(conf.Active.Endpoints, signals...)
	return conf, paths, nil
}

// resolve finds the address to connect to, of a family that we have.
func (c *catCommand) resolve(ctx context.Context) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(c.Target)
	if err != nil {
		return netip.AddrPort{}, usageError{fmt.Errorf("cat: %w", err)}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, usageError{fmt.Errorf("cat: %q: not a port from 1 to 65535", port)}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveFor)
	defer cancel()
	found, err := new(net.Resolver).LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("cat: %w", err)
	}
	for _, a := range found {
		for _, own := range c.Address {
			if a = a.Unmap(); own.Prefix.Addr().Is4() == a.Is4() {
				return netip.AddrPortFrom(a, uint16(n)), nil
			}
		}
	}
	return netip.AddrPort{}, fmt.Errorf("cat: %s is %v, and --address has no address of that family", host, found)
}

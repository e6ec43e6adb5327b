//go:build linux

package interop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/lab"
)

// patience is how long a step, and each of the beginning and the end, may take.
const patience = 10 * time.Second

// rate is how many bytes per second each side says at most: enough that all
// subflows are busy, and not so much that the hosts' workers, which share the
// machine with the stream, wait for it.
const rate = 50 << 20

// trial is a cell at work.
type trial struct {
	cell  *Cell
	world *world
	host  [2]host // by Side
	conn  [2]conn
	talk  [2]*lab.Talker
}

// Outcome is how a cell went.
type Outcome struct {
	Failures []error // what was not as expected
	Took     time.Duration
	Bytes    int64 // that came, both directions together
	Counts   [2]lab.Counters
	State    [2]string // of the subflows when a step failed
}

// Run runs a cell, in the namespaces it makes. An error is of the laboratory:
// then nothing is said about the hosts.
func Run(ctx context.Context, c *Cell) (out Outcome, err error) {
	began := time.Now()
	t := &trial{cell: c}
	defer func() {
		// Frames that are not free when a host of ours is closed are its failure.
		for _, h := range t.host {
			if h != nil {
				out.failed("at the end", h.close())
			}
		}
		if t.world != nil {
			err = errors.Join(err, t.world.close())
		}
		out.Took = time.Since(began)
	}()
	if t.world, err = build(c); err != nil {
		return out, err
	}
	for s, h := range []*Host{&c.Client, &c.Server} {
		if t.host[s], err = start(c, t.world, Side(s), h); err != nil {
			return out, fmt.Errorf("the %v: %w", Side(s), err)
		}
	}
	out.run(ctx, t)
	return out, nil
}

func start(c *Cell, w *world, s Side, h *Host) (host, error) {
	if h.Kind == Kernel {
		return newKernelHost(c, w, s, h), nil
	}
	o, err := newOurHost(w, s, h)
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (o *Outcome) failed(when string, err error) bool {
	if err != nil {
		o.Failures = append(o.Failures, fmt.Errorf("%s: %w", when, err))
	}
	return err != nil
}

// run goes on to the counters whatever happened: they say why.
func (o *Outcome) run(ctx context.Context, t *trial) {
	if !o.failed("connecting", within(ctx, t.connect)) {
		if o.steps(ctx, t) {
			o.failed("the end", within(ctx, t.end))
		}
		for s, talk := range t.talk {
			o.Bytes += talk.Heard()
			t.conn[s].SetLinger(0) // only what failed is not over yet
			t.conn[s].Close()
		}
		for s, h := range t.host {
			o.failed(fmt.Sprintf("the %v's end", Side(s)), within(ctx, h.settle))
		}
	}
	for s, h := range t.host {
		got, err := h.counters()
		if o.failed("counters", err) {
			continue
		}
		o.Counts[s] = got
		o.compare(Side(s), got, t.cell.expects(Side(s)))
	}
}

func within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f(ctx)
}

// connect opens the connection and lets both sides talk. Endpoints of the
// kernel are there before, as ours are in their policy, so that both do what they
// do by themselves.
func (t *trial) connect(ctx context.Context) error {
	if err := t.host[Server].listen(); err != nil {
		return err
	}
	for s, h := range []*Host{&t.cell.Client, &t.cell.Server} {
		for _, e := range h.Endpoints {
			if h.Kind != Kernel {
				continue
			}
			if err := t.host[s].add(e); err != nil {
				return fmt.Errorf("the %v's endpoint %d: %w", Side(s), e.id(), err)
			}
		}
	}
	type result struct {
		conn
		error
	}
	accepted := make(chan result, 1)
	go func() {
		c, err := t.host[Server].accept(ctx)
		accepted <- result{c, err}
	}()
	var err error
	t.conn[Client], err = t.host[Client].dial(ctx, netip.AddrPortFrom(addr(Server, 0, t.cell.V6), port))
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	r := <-accepted
	if t.conn[Server] = r.conn; r.error != nil {
		return errors.Join(fmt.Errorf("accept: %w", r.error), t.conn[Client].Close())
	}
	for s := range t.talk {
		t.talk[s] = lab.Talk(t.conn[s], uint64(s), uint64(1-s), cmp.Or(t.cell.Rate, rate))
	}
	return Carry(1).do(ctx, t)
}

// steps reports whether all were made.
func (o *Outcome) steps(ctx context.Context, t *trial) bool {
	for i, s := range t.cell.Steps {
		err := within(ctx, func(ctx context.Context) error { return s.do(ctx, t) })
		if o.failed(fmt.Sprintf("step %d, %T%+v", i, s, s), err) {
			for s, h := range t.host {
				o.State[s] = h.describe()
			}
			return false
		}
	}
	return !o.failed("MPTCP", t.protocol())
}

// protocol checks what is spoken, while it is.
func (t *trial) protocol() error {
	for s, c := range t.conn {
		speaks, err := c.MultipathTCP()
		if err != nil || speaks == t.cell.Plain {
			return fmt.Errorf("at the %v: %t, want %t; %v", Side(s), speaks, !t.cell.Plain, err)
		}
	}
	for s, h := range t.host {
		counters, err := h.counters()
		// Linux counts what fell back as well.
		if n := counters["MPTcpExtMPCurrEstab"]; err != nil || n != 1 && !t.cell.Plain {
			return fmt.Errorf("the %v's MPCurrEstab is %d, want 1; %v", Side(s), n, err)
		}
	}
	return nil
}

func (t *trial) end(ctx context.Context) error {
	switch t.cell.End {
	case ClientResets:
		return t.reset(ctx, Client)
	case ServerResets:
		return t.reset(ctx, Server)
	}
	for _, talk := range t.talk {
		talk.Finish()
	}
	if err := t.ended(ctx); err != nil {
		return err
	}
	var errs []error
	for s, talk := range t.talk {
		other := t.talk[1-s]
		if err := talk.Err(); err != nil {
			errs = append(errs, fmt.Errorf("the %v: %w", Side(s), err))
		} else if talk.Heard() != other.Sent() {
			errs = append(errs, fmt.Errorf("the %v heard %d bytes of %d", Side(s), talk.Heard(), other.Sent()))
		}
		errs = append(errs, t.conn[s].Close())
	}
	return errors.Join(errs...)
}

// ended waits until all four directions have.
func (t *trial) ended(ctx context.Context) error {
	for s, talk := range t.talk {
		select {
		case <-talk.Ended():
		case <-ctx.Done():
			return fmt.Errorf("the %v still speaks or listens (said %d, heard %d; the other said %d): %w",
				Side(s), talk.Sent(), talk.Heard(), t.talk[1-s].Sent(), ctx.Err())
		}
	}
	return nil
}

// reset closes one side in mid-transfer. The other must hear of it.
func (t *trial) reset(ctx context.Context, s Side) error {
	if err := errors.Join(t.conn[s].SetLinger(0), t.conn[s].Close()); err != nil {
		return err
	}
	if err := t.ended(ctx); err != nil {
		return err
	}
	if err := t.talk[1-s].Err(); !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("the %v did not hear of the reset: %w", 1-s, err)
	}
	return nil
}

// compare judges a side's counters.
func (o *Outcome) compare(s Side, got lab.Counters, want Counts) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if n := got["MPTcpExt"+name]; !want[name].contains(n) {
			o.Failures = append(o.Failures, fmt.Errorf("the %v's %s is %d, want %v", s, name, n, want[name]))
		}
	}
}

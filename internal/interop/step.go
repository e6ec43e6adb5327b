//go:build linux

package interop

import (
	"context"
	"fmt"
	"time"
)

// Step is something that is done, or waited for, while both sides talk.
type Step interface {
	do(context.Context, *trial) error
}

// The steps.
type (
	// Carry waits until so many more bytes have come to each side.
	Carry int64
	// Subflows waits until both sides count so many.
	Subflows int
	// Spread waits until each subflow has carried new bytes, in some direction.
	Spread struct{}
	// Rests carries so many bytes, hardly any of them on the link: its subflows
	// are backups.
	Rests struct {
		Carry
		Link int
	}
	// Add adds an endpoint, Change gives it other flags.
	Add struct {
		Side
		Endpoint
	}
	Change Add
	// Remove takes an endpoint away by its id.
	Remove struct {
		Side
		ID uint8
	}
	// Flush takes all endpoints away.
	Flush struct{ Side }
	// Cut makes a link swallow everything, Mend lets it carry again.
	Cut  int
	Mend int
	// Rebox gives a link another middlebox.
	Rebox struct {
		Link int
		Box
	}
	// Down lowers a link at a side: both lose the carrier. Up raises it.
	Down struct {
		Side
		Link int
	}
	Up Down
	// Reset kills a subflow of a side: the one from the client's link.
	Reset struct {
		Side
		Link int
	}
	// Count waits until a side's counter is in the range.
	Count struct {
		Side
		Name string
		Range
	}
)

// until polls: a test waits for what shall be, and no longer.
func until(ctx context.Context, holds func() (bool, error)) error {
	const pause = 2 * time.Millisecond
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (n Carry) do(ctx context.Context, t *trial) error {
	var want [2]int64
	for s, talk := range t.talk {
		want[s] = talk.Heard() + int64(n)
	}
	err := until(ctx, func() (bool, error) {
		for s, talk := range t.talk {
			select {
			case <-talk.Ended():
				return false, fmt.Errorf("the %v's stream is over: %w", Side(s), talk.Err())
			default:
			}
		}
		return t.talk[0].Heard() >= want[0] && t.talk[1].Heard() >= want[1], nil
	})
	if err != nil {
		return fmt.Errorf("%w: of %d bytes %d are missing at the client, %d at the server", err, n,
			max(0, want[0]-t.talk[0].Heard()), max(0, want[1]-t.talk[1].Heard()))
	}
	return nil
}

func (n Subflows) do(ctx context.Context, t *trial) error {
	var have [2]int
	err := until(ctx, func() (bool, error) {
		for s, h := range t.host {
			flows, err := h.flows()
			if err != nil {
				return false, err
			}
			have[s] = len(flows)
		}
		return have[0] == int(n) && have[1] == int(n), nil
	})
	if err != nil {
		return fmt.Errorf("%w: %d subflows at the client, %d at the server, want %d", err, have[0], have[1], n)
	}
	return nil
}

// carried are the bytes of the client's subflows, by subflow.
func (t *trial) carried() ([]int64, error) {
	flows, err := t.host[Client].flows()
	var n []int64
	for _, f := range flows {
		n = append(n, f.Acked+f.Received)
	}
	return n, err
}

func (Spread) do(ctx context.Context, t *trial) error {
	before, err := t.carried()
	if err != nil {
		return err
	}
	var now []int64
	err = until(ctx, func() (bool, error) {
		if now, err = t.carried(); err != nil || len(now) != len(before) {
			return false, fmt.Errorf("%d subflows are %d now: %w", len(before), len(now), err)
		}
		for i := range now {
			if now[i] <= before[i] {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("%w: the subflows had carried %d bytes, and now %d", err, before, now)
	}
	return nil
}

// inQueue is what a subflow may still have to send when it becomes a backup.
const inQueue = 4 << 10

func (r Rests) do(ctx context.Context, t *trial) error {
	before, err := t.onLink(r.Link)
	if err != nil {
		return err
	}
	if err := r.Carry.do(ctx, t); err != nil {
		return err
	}
	after, err := t.onLink(r.Link)
	if err != nil {
		return err
	}
	if after-before > inQueue {
		return fmt.Errorf("link %d carried %d bytes", r.Link, after-before)
	}
	return nil
}

// onLink are the payload bytes that the client's established subflows from a
// link have carried.
func (t *trial) onLink(link int) (n int64, err error) {
	flows, err := t.host[Client].flows()
	for _, f := range flows {
		from := f.Local.Addr()
		if prefix(Client, link, from.Is6()).Masked().Contains(from) {
			n += f.Acked + f.Received
		}
	}
	return n, err
}

func (c Change) do(_ context.Context, t *trial) error { return t.host[c.Side].change(c.Endpoint) }

func (a Add) do(_ context.Context, t *trial) error    { return t.host[a.Side].add(a.Endpoint) }
func (r Remove) do(_ context.Context, t *trial) error { return t.host[r.Side].remove(r.ID) }
func (f Flush) do(_ context.Context, t *trial) error  { return t.host[f.Side].flush() }

func (c Cut) do(_ context.Context, t *trial) error  { return t.world.cut(int(c), true) }
func (m Mend) do(_ context.Context, t *trial) error { return t.world.cut(int(m), false) }

func (r Rebox) do(_ context.Context, t *trial) error { return t.world.box(r.Link, r.Box) }

func (d Down) do(_ context.Context, t *trial) error {
	return t.world.space[d.Side].SetUp(linkNames[d.Link], false)
}

func (u Up) do(_ context.Context, t *trial) error {
	return t.world.space[u.Side].SetUp(linkNames[u.Link], true)
}

func (r Reset) do(_ context.Context, t *trial) error {
	flows, err := t.host[r.Side].flows()
	if err != nil {
		return err
	}
	for _, f := range flows {
		client := f.Local.Addr()
		if r.Side == Server {
			client = f.Remote.Addr()
		}
		if prefix(Client, r.Link, client.Is6()).Masked().Contains(client) {
			return t.host[r.Side].destroy(f)
		}
	}
	return fmt.Errorf("the %v has no subflow on link %d: %v", r.Side, r.Link, flows)
}

func (c Count) do(ctx context.Context, t *trial) error {
	var n int64
	err := until(ctx, func() (bool, error) {
		counters, err := t.host[c.Side].counters()
		n = counters["MPTcpExt"+c.Name]
		return c.contains(n), err
	})
	if err != nil {
		return fmt.Errorf("%w: the %v's %s is %d, want %v", err, c.Side, c.Name, n, c.Range)
	}
	return nil
}

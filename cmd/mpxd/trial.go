//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/internal/link/runner"
)

// trial is one run of the demo: its world, its processes, what it found.
type trial struct {
	*demoCommand
	streams
	ctx context.Context

	phone    *phone
	origin   *lab.Origin
	emulator *runner.Runner
	proxy    *lab.Child
	before   lab.Counters
	report   report
}

// startup is how long the proxy may take to come up.
const startup = 20 * time.Second

func (t *trial) run() (r *report, err error) {
	defer func() { err = errors.Join(err, t.close()) }()
	for _, step := range []func() error{t.build, t.serve, t.rates, t.cut, t.finish} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &t.report, nil
}

// say tells what goes on.
func (t *trial) say(format string, args ...any) {
	if !t.JSON {
		fmt.Fprintf(t.err, format+"\n", args...)
	}
}

// build makes the namespaces, the links and the origin.
func (t *trial) build() (err error) {
	t.say("building namespaces: a client with two links, the proxy's host, an origin")
	if t.phone, err = newPhone(); err != nil {
		return err
	}
	// Debian's congestion control, wherever the demo runs.
	if t.origin, err = t.phone.origin.Serve(lab.Listen{Addr: netip.AddrPortFrom(wanOrigin.Addr(), 0), Congestion: "cubic"}); err != nil {
		return err
	}
	return t.phone.emulator.Do(func() error {
		t.emulator, err = runner.Start(t.path(wifi, t.Wifi, t.Seed), t.path(lte, t.LTE, t.Seed+2))
		return err
	})
}

// path is an access link: from A, the client's side, to B, the proxy's, is up.
// The client's interfaces merge what arrives, as a phone's do; the link itself
// carries packets of MTU size.
func (t *trial) path(name string, a access, seed uint64) runner.Path {
	one := link.Config{
		Rate: int64(a.mbps * 1e6), Overhead: link.EthernetOverhead, Delay: int64(a.rttMs * 1e6 / 2),
		Loss: int(float64(t.Loss) * link.Million / 100), Seed: seed,
	}
	other := one
	other.Seed++
	return runner.Path{Name: name, A: name + "-client", B: name + "-proxy", AB: one, BA: other, GRO: true}
}

// wifiPath is wifi's place among the emulator's paths.
const wifiPath = 0

// serve starts the proxy, this program once more.
func (t *trial) serve() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var addrs []string
	for name, p := range map[string]netip.Prefix{wifi: wifiProxy, lte: lteProxy, wan: wanProxy} {
		addrs = append(addrs, fmt.Sprintf("%s=%v", name, p))
	}
	// The emulator's thread is real-time. On two processors an ordinary thread would
	// wait for it even while the other processor has less urgent things to do.
	args := []string{"serve", "--supervised", "--realtime", "--xdp-mode", t.XDPMode.String(),
		"--interface", strings.Join([]string{wifi, lte, wan}, ","),
		"--address", strings.Join(append(addrs, service.String()), ","),
		"--listen", fmt.Sprintf(":%d", servicePort)}
	if t.Pcap != "" {
		args = append(args, "--pcap", t.Pcap)
	}
	if t.proxy, err = t.phone.proxy.Start(t.logs(), self, args...); err != nil {
		return err
	}
	if t.report.XDPMode, err = t.proxy.Line(startup); err != nil {
		return err
	}
	t.report.SHA256OK = true
	t.before, err = t.phone.client.Counters()
	return err
}

// logs is where the proxy's log goes.
func (t *trial) logs() io.Writer {
	if t.JSON {
		return io.Discard
	}
	return t.err
}

// rates measures each path alone and both together, down and up.
func (t *trial) rates() error {
	for _, p := range []struct {
		name string
		access
	}{{wifi, t.Wifi}, {lte, t.LTE}} {
		if err := t.phone.paths(false); err != nil {
			return err
		}
		got, err := t.both(t.phone.on(p.name), p.name+" alone")
		if err != nil {
			return err
		}
		t.report.Paths = append(t.report.Paths, pathReport{p.name, p.mbps, p.rttMs, got})
	}
	if err := t.phone.paths(true); err != nil {
		return err
	}
	var err error
	t.report.Both, err = t.both(t.phone.on(wifi), "both")
	t.report.Efficiency = t.report.Both.DownMbps / (t.report.Paths[0].DownMbps + t.report.Paths[1].DownMbps)
	return err
}

// both measures a download and an upload.
func (t *trial) both(c *lab.Client, what string) (r rates, err error) {
	for _, way := range []struct {
		name string
		move func(context.Context, string, lab.Limit, uint64) (lab.Transfer, error)
		mbps *float64
	}{{"download", c.Download, &r.DownMbps}, {"upload", c.Upload, &r.UpMbps}} {
		t.say("%s, %s for %g s", what, way.name, t.Seconds)
		got, err := way.move(t.ctx, t.origin.Addr.String(), lab.Limit{Time: t.seconds()}, t.Seed)
		if errors.Is(err, lab.ErrDiffers) {
			t.report.SHA256OK = false
		} else if err != nil {
			return r, fmt.Errorf("%s, %s: %w", what, way.name, err)
		}
		*way.mbps = got.Mbps()
	}
	return r, nil
}

// cut silently cuts wifi in the middle of a download over both paths, and
// brings it back.
func (t *trial) cut() error {
	t.say("both, download; wifi is silently cut at %g s and back at %g s", t.Seconds, 2*t.Seconds)
	c := t.phone.on(wifi)
	begin := time.Now()
	got := make(chan transferred, 1)
	go func() {
		tr, err := c.Download(t.ctx, t.origin.Addr.String(), lab.Limit{Time: 3 * t.seconds()}, t.Seed+1)
		got <- transferred{tr, err}
	}()
	if err := t.until(begin.Add(t.seconds())); err != nil {
		return err
	}
	if err := t.emulator.SetPathUp(wifiPath, false); err != nil {
		return err
	}
	if err := t.until(begin.Add(2 * t.seconds())); err != nil {
		return err
	}
	if err := t.emulator.SetPathUp(wifiPath, true); err != nil {
		return err
	}
	back, err := t.back(time.Now(), begin.Add(3*t.seconds()))
	if err != nil {
		return err
	}
	end := <-got
	if errors.Is(end.err, lab.ErrDiffers) {
		t.report.SHA256OK = false
	} else if end.err != nil {
		return fmt.Errorf("the download over the cut: %w", end.err)
	}
	t.report.Cut = cutReport{StallMs: ms(end.Stall), BackInUseMs: ms(back)}
	return nil
}

type transferred struct {
	lab.Transfer
	err error
}

// inUse is how many bytes must have come over a path before it counts as in
// use: more than probes and retransmissions of what was lost in the cut.
const inUse = 256 << 10

// back waits until the client receives over wifi again, at most until end.
func (t *trial) back(from, end time.Time) (time.Duration, error) {
	first, err := t.phone.received(wifi)
	if err != nil {
		return 0, err
	}
	for time.Now().Before(end) {
		n, err := t.phone.received(wifi)
		if err != nil {
			return 0, err
		}
		if n-first >= inUse {
			return time.Since(from), nil
		}
		if err := t.until(time.Now().Add(2 * time.Millisecond)); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("wifi was not used again within %v of its return", end.Sub(from).Round(time.Millisecond))
}

// until waits for a time, or for Ctrl-C.
func (t *trial) until(at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}

// finish reads what the client's kernel and the emulator counted.
func (t *trial) finish() error {
	after, err := t.phone.client.Counters()
	if err != nil {
		return err
	}
	t.report.KernelMPTCP = map[string]int64{}
	for name, n := range after.Since(t.before) {
		if short, ok := strings.CutPrefix(name, "MPTcpExt"); ok {
			t.report.KernelMPTCP[short] = n
		}
	}
	stats, err := t.emulator.Stats()
	if err != nil {
		return err
	}
	t.report.Emulator.LateP99us = stats.LateP99.Microseconds()
	t.say("%v", stats)
	return nil
}

// close ends the processes and removes the namespaces, whatever happened.
func (t *trial) close() error {
	var errs []error
	if t.proxy != nil {
		errs = append(errs, t.proxy.Stop())
	}
	if t.emulator != nil {
		errs = append(errs, t.emulator.Close())
	}
	if t.origin != nil {
		errs = append(errs, t.origin.Close())
	}
	if t.phone != nil {
		errs = append(errs, t.phone.close())
	}
	return errors.Join(errs...)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

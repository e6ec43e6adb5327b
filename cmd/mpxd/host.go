//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
	"github.com/mpxd/mpxd/xdp"
)

// program is what runs on a host. All its methods are called on the shard's
// thread.
type program interface {
	stack.App
	Start(*stack.Shard) error // begins to listen or to dial
	Stop(*stack.Shard)        // ends all connections; the next turns send that
}

// farewell bounds the turns that send the last resets.
const farewell = 8

// host is one shard over all sockets of its interfaces.
type host struct {
	umem    *xdp.Umem
	pool    *frame.Pool
	group   *xdp.Group
	shard   *stack.Shard
	capture *capture
	began   time.Time
}

// run runs a program in the network namespace of the calling goroutine's thread
// until ctx ends. ready is called on the shard's thread when all is attached
// and the program has started; it may be nil.
func run(ctx context.Context, n Network, offer mptcp.Config, p program, log *slog.Logger, ready func(*host)) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n.hurry(log)
	if err := n.verify(); err != nil {
		return usageError{err}
	}
	h, err := openHost(n, offer, p, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close(log)) }()
	if err := p.Start(h.shard); err != nil {
		return err
	}
	h.describe(log)
	if ready != nil {
		ready(h)
	}
	h.loop(ctx)
	p.Stop(h.shard)
	for range farewell {
		h.shard.Turn(h.now())
		h.group.Wait(0)
	}
	return nil
}

// hurry puts the calling thread ahead of ordinary ones: a shard that waits for
// others' time slices, some milliseconds each, is a full ring at the NIC.
func (n *Network) hurry(log *slog.Logger) {
	if n.Realtime {
		// Not SCHED_FIFO: where ordinary threads starve behind one, the kernel
		// takes the processor from it for 50 ms at a time (since Linux 6.12).
		const ms = 1_000_000
		reserve := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedDeadline, Runtime: 9 * ms / 10, Deadline: ms, Period: ms}
		err := unix.SchedSetAttr(0, &reserve, 0) // 0 is this thread
		if err == nil {
			return
		}
		log.Warn("no processor could be reserved for the shard", "why", err)
	}
	const first = -20
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, first); err != nil {
		log.Warn("the shard runs at ordinary priority", "why", err)
	}
}

// schedDeadline has no name in x/sys.
const schedDeadline = 6

// verify finds what is wrong before the NIC is touched.
func (n *Network) verify() error {
	v, err := lookAtKernel()
	if err != nil {
		return err
	}
	return errors.Join(n.check(), n.checkKernel(v))
}

// openHost attaches; what it is refused leaves nothing behind.
func openHost(n Network, offer mptcp.Config, p program, log *slog.Logger) (_ *host, err error) {
	h := &host{began: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close(log))
		}
	}()
	if h.umem, err = xdp.NewUmem(n.Frames); err != nil {
		return nil, err
	}
	h.pool = frame.New(h.umem.Bytes(), 12)
	var own []netip.Addr
	for _, a := range n.prefixes() {
		own = append(own, a.Addr())
	}
	h.group, err = xdp.Open(xdp.Config{Interfaces: n.Interface, Addresses: own, Mode: n.XDPMode}, h.umem, h.pool)
	if err != nil {
		return nil, err
	}
	if n.Pcap != "" {
		if h.capture, err = newCapture(n.Pcap, n.Interface, log); err != nil {
			return nil, err
		}
	}
	conf := stack.Config{Addresses: n.addresses(), Routes: n.routes(), TCP: tcp.DefaultConfig(), MPTCP: offer}
	limit := bufferLimit(n.Frames)
	conf.TCP.RcvBuf, conf.TCP.SndBuf = min(conf.TCP.RcvBuf, limit), min(conf.TCP.SndBuf, limit)
	if n.Congestion.Controller != 0 {
		conf.TCP.Controller = n.Congestion.Controller
	}
	conf.MPTCP.Coupling = n.Congestion.Coupling
	conf.MPTCP.RcvBuf, conf.MPTCP.SndBuf = limit, limit
	conf.MPTCP.Scheduler = uint8(n.Scheduler)
	rand.Read(conf.TCP.Secret[:]) // never fails: it would end the process
	if h.shard, err = stack.New(conf, h.pool, h.links(), p); err != nil {
		return nil, err
	}
	h.shard.SetWake(h.group.Wake)
	if h.capture != nil {
		h.shard.SetTap(h.capture.tap(h.pool))
	}
	return h, nil
}

// maxBuffer carries 1.1 Gbit/s over 60 ms.
const maxBuffer = 8 << 20

// bufferLimit is what a connection may hold of what it received, and of what it
// sends: so much that the four buffers of one relayed session, filled with
// segments of a KiB and more, take no more than half of the frames.
func bufferLimit(frames int) uint32 { return uint32(min(maxBuffer, frames/2/4<<10)) }

// links groups the sockets by interface, in the order the interfaces were given.
func (h *host) links() (out []stack.Link) {
	for _, s := range h.group.Sockets() {
		i := s.Interface()
		if len(out) == 0 || out[len(out)-1].Name != i.Name {
			out = append(out, stack.Link{Name: i.Name, MAC: i.MAC, MTU: i.MTU, Virtual: i.Virtual})
		}
		link := &out[len(out)-1]
		link.Ports = append(link.Ports, s)
	}
	return out
}

// describe says what was granted.
func (h *host) describe(log *slog.Logger) {
	queues := map[string]int{}
	for _, s := range h.group.Sockets() {
		queues[s.Interface().Name]++
	}
	for _, s := range h.group.Sockets() {
		if i := s.Interface(); i.Queue == 0 {
			log.Info("attached", "interface", i.Name, "mode", i.Mode.String(), "queues", queues[i.Name], "mtu", i.MTU, "driver", i.Driver)
		}
	}
}

// now is the shard's clock. It begins after 0, which is before everything.
func (h *host) now() tcp.Time { return tcp.Time(time.Since(h.began)) + 1 }

// loop turns until ctx ends.
func (h *host) loop(ctx context.Context) {
	var stopping atomic.Bool
	defer context.AfterFunc(ctx, func() {
		stopping.Store(true)
		h.group.Wake()
	})()
	for !stopping.Load() {
		next := h.shard.Turn(h.now())
		h.group.Wait(h.until(next))
	}
}

// until is how long to wait in the words of xdp: negative is for ever.
func (h *host) until(next tcp.Time) int64 {
	if next == tcp.Never {
		return -1
	}
	return max(0, int64(next-h.now()))
}

// close gives everything back, in the order that lets no packet into memory
// that is gone.
func (h *host) close(log *slog.Logger) error {
	var errs []error
	if h.group != nil {
		errs = append(errs, h.group.Close())
	}
	if h.capture != nil {
		errs = append(errs, h.capture.close())
	}
	if h.umem != nil {
		errs = append(errs, h.umem.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	return nil
}

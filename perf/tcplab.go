//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/internal/link/runner"
)

// tcpLab is two hosts with an emulated link between them. On each interface live two
// TCPs, with an address each: the kernel's and ours.
//
//	left (sends) --veth-- emulator --veth-- right (receives)
type tcpLab struct {
	left, emulator, right *lab.NS
	mode                  string // XDP mode of ours, as asked for
	granted               string
}

// The addresses of both kinds of hosts, by side.
var (
	tcpKernel = [2]netip.Prefix{netip.MustParsePrefix("10.73.1.1/24"), netip.MustParsePrefix("10.73.1.2/24")}
	tcpOurs   = [2]netip.Prefix{netip.MustParsePrefix("10.73.1.3/24"), netip.MustParsePrefix("10.73.1.4/24")}
)

const (
	tcpPort    = 5201
	tcpInside  = "link" // the hosts' interface
	tcpStartup = 10 * time.Second
)

func newTCPLab(mode string) (l *tcpLab, err error) {
	l = &tcpLab{mode: mode}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	for _, n := range []struct {
		ns   **lab.NS
		name string
	}{{&l.left, "left"}, {&l.emulator, "emulator"}, {&l.right, "right"}} {
		if *n.ns, err = lab.New(n.name); err != nil {
			return l, err
		}
	}
	for i, ns := range []*lab.NS{l.left, l.right} {
		err := lab.Veth(
			lab.End{NS: ns, Name: tcpInside, Addrs: []netip.Prefix{tcpKernel[i]}, Off: lab.AllOffloads, Pfifo: queueLimit},
			lab.End{NS: l.emulator, Name: [2]string{"a", "b"}[i], Bare: true, Pfifo: queueLimit})
		if err != nil {
			return l, err
		}
		// The kernel must not remember what earlier runs came to.
		if err := errors.Join(ns.SetBuffers(chainBuffer, chainBuffer), ns.SetSysctl("net/ipv4/tcp_no_metrics_save", "1")); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *tcpLab) close() (err error) {
	for _, ns := range []*lab.NS{l.left, l.emulator, l.right} {
		if ns != nil {
			err = errors.Join(err, ns.Close())
		}
	}
	return err
}

// emulate starts a link whose way from left to right loses frames.
func (l *tcpLab) emulate(c tcpCell, seed uint64) (r *runner.Runner, err error) {
	way := link.Config{Rate: tcpRate, Overhead: link.EthernetOverhead, Delay: int64(c.rtt) * 1e6 / 2, QueueBytes: c.queue, Seed: seed}
	back := way
	way.Loss = c.loss
	err = l.emulator.Do(func() error {
		r, err = runner.Start(runner.Path{Name: "link", A: "a", B: "b", AB: way, BA: back})
		return err
	})
	return r, err
}

// flow is a transfer under way.
type flow struct {
	moved func() (int64, error) // bytes that have arrived
	ends  []func() error
}

func (f *flow) close() (err error) {
	for i := len(f.ends) - 1; i >= 0; i-- {
		err = errors.Join(err, f.ends[i]())
	}
	return err
}

// Who is an end of a flow.
type tcpEnds struct {
	sender, receiver bool   // ours, not the kernel's
	controller       string // in our words
}

// kernelControllers are the kernel's names of the nearest algorithms.
var kernelControllers = map[string]string{"cubic": "cubic", "newreno": "reno", "bbr": "bbr"}

// open begins a flow from left to right. It has begun when open returns.
func (l *tcpLab) open(e tcpEnds, port uint16) (f *flow, err error) {
	f = &flow{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	to := netip.AddrPortFrom(tcpKernel[1].Addr(), port)
	var sink *tcpSink
	if e.receiver {
		to = netip.AddrPortFrom(tcpOurs[1].Addr(), port)
		err = l.host(f, l.right, tcpOurs[1], "--listen", fmt.Sprint(port))
	} else if sink, err = l.sink(to); err == nil {
		f.ends = append(f.ends, sink.close)
		f.moved = func() (int64, error) { return sink.got.Load(), nil }
	}
	if err != nil {
		return f, err
	}
	if !e.sender {
		return f, l.source(f, to, kernelControllers[e.controller])
	}
	if sink == nil {
		return f, errors.New("one end must be the kernel's")
	}
	if err := l.host(f, l.left, tcpOurs[0], "--send", to.String(), "--controller", e.controller); err != nil {
		return f, err
	}
	return f, sink.wait()
}

// host starts ours.
func (l *tcpLab) host(f *flow, ns *lab.NS, addr netip.Prefix, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args = append([]string{"tcp-host", "--interface", tcpInside, "--address", addr.String(), "--xdp-mode", l.mode}, args...)
	child, err := ns.Start(os.Stderr, self, args...)
	if err != nil {
		return err
	}
	f.ends = append(f.ends, func() error { child.Stop(); return nil }) // by a signal, which is no failure
	l.granted, err = child.Line(tcpStartup)
	return err
}

// source is the kernel as sender. What has arrived is what was acknowledged, unless the receiver counts.
func (l *tcpLab) source(f *flow, to netip.AddrPort, congestion string) error {
	c, err := (&lab.Client{NS: l.left, Congestion: congestion}).Dial(context.Background(), to.String())
	if err != nil {
		return err
	}
	f.ends = append(f.ends, func() error {
		c.SetLinger(0) // what is queued is of no use any more
		return c.Close()
	})
	go func() {
		for {
			if _, err := c.Write(payload[:]); err != nil {
				return // closed
			}
		}
	}()
	if f.moved == nil {
		f.moved = func() (int64, error) { return bytesAcked(c) }
	}
	return nil
}

func bytesAcked(c *net.TCPConn) (n int64, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctl := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int64(info.Bytes_acked)
		}
	})
	return n, errors.Join(ctl, err)
}

// tcpSink is the kernel as receiver of one connection.
type tcpSink struct {
	l    *net.TCPListener
	got  atomic.Int64
	here chan struct{} // closed when the connection has come
	conn *net.TCPConn
}

func (l *tcpLab) sink(at netip.AddrPort) (s *tcpSink, err error) {
	s = &tcpSink{here: make(chan struct{})}
	err = l.right.Do(func() error {
		s.l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
		return err
	})
	if err == nil {
		go s.serve()
	}
	return s, err
}

func (s *tcpSink) serve() {
	var err error
	if s.conn, err = s.l.AcceptTCP(); err != nil {
		return
	}
	close(s.here)
	b := make([]byte, 256<<10)
	for {
		n, err := s.conn.Read(b)
		s.got.Add(int64(n))
		if err != nil {
			return // closed by either side
		}
	}
}

func (s *tcpSink) wait() error {
	select {
	case <-s.here:
		return nil
	case <-time.After(tcpStartup):
		return fmt.Errorf("no connection came in %v", tcpStartup)
	}
}

func (s *tcpSink) close() error {
	err := s.l.Close()
	select {
	case <-s.here:
		s.conn.SetLinger(0)
		err = errors.Join(err, s.conn.Close())
	default:
	}
	return err
}

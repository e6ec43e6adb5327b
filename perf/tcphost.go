//go:build linux

package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
	"github.com/mpxd/mpxd/xdp"
)

// tcpHost is our end of a transfer of tcp: one shard on one interface, with the
// priority and the buffers it has in the proxy, that sends without end or
// discards what comes. It says its XDP mode when it is ready, and ends when its
// standard input does.
type tcpHost struct {
	Interface  string         `required:""`
	Address    netip.Prefix   `required:""`
	XDPMode    xdp.Mode       `name:"xdp-mode" default:"generic"`
	Controller string         `default:"cubic" enum:"cubic,newreno,bbr"`
	Send       netip.AddrPort `help:"Where to connect to and send."`
	Listen     uint16         `help:"Which port to take connections on."`
}

const (
	// What mpxd serve has: 256 MiB, of which a connection's buffer may have
	// 8 MiB.
	tcpFrames = 65536
	tcpBuffer = 8 << 20
)

func (h *tcpHost) Run(*Report) (err error) {
	runtime.LockOSThread() // for good: the process ends with it
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -20); err != nil {
		return fmt.Errorf("the priority of a shard: %w", err)
	}
	umem, err := xdp.NewUmem(tcpFrames)
	if err != nil {
		return err
	}
	pool := frame.New(umem.Bytes(), 12)
	group, err := xdp.Open(xdp.Config{Interfaces: []string{h.Interface}, Addresses: []netip.Addr{h.Address.Addr()}, Mode: h.XDPMode}, umem, pool)
	if err != nil {
		return err
	}
	defer group.Close()
	app := &bulk{source: h.Send.IsValid()}
	shard, err := stack.New(h.config(), pool, tcpLinks(group), app)
	if err != nil {
		return err
	}
	if h.Listen != 0 {
		err = shard.Listen(h.Listen)
	} else {
		_, err = shard.Dial(h.Send, 0)
	}
	if err != nil {
		return err
	}
	fmt.Println(group.Mode())
	return h.loop(shard, group)
}

func (h *tcpHost) config() stack.Config {
	conf := stack.Config{Addresses: []stack.Address{{Prefix: h.Address}}, TCP: tcp.DefaultConfig()}
	conf.TCP.RcvBuf, conf.TCP.SndBuf = tcpBuffer, tcpBuffer
	conf.TCP.Controller, _ = tcp.ControllerByName(h.Controller) // the flag's enum has known names only
	return conf
}

func tcpLinks(g *xdp.Group) []stack.Link {
	i := g.Sockets()[0].Interface()
	l := stack.Link{Name: i.Name, MAC: i.MAC, MTU: i.MTU, Virtual: i.Virtual}
	for _, s := range g.Sockets() {
		l.Ports = append(l.Ports, s)
	}
	return []stack.Link{l}
}

// loop turns until standard input ends.
func (h *tcpHost) loop(s *stack.Shard, g *xdp.Group) error {
	var over atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it, the parent is gone
		over.Store(true)
		g.Wake()
	}()
	s.SetWake(g.Wake)
	began := time.Now()
	now := func() tcp.Time { return tcp.Time(time.Since(began)) + 1 }
	for !over.Load() {
		next := s.Turn(now())
		wait := int64(-1)
		if next != tcp.Never {
			wait = max(0, int64(next-now()))
		}
		g.Wait(wait)
	}
	return nil
}

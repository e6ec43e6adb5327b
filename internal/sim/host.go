package sim

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// HostConfig describes a host. Zero values take their defaults.
type HostConfig struct {
	Name   string
	App    stack.App
	NICs   []NIC
	Routes []stack.Route
	Frames int         // of the pool, beside those in fill rings; 4096
	TCP    *tcp.Config // tcp.DefaultConfig
	MPTCP  mptcp.Config
	// Stack, if set, may change the rest.
	Stack func(*stack.Config)
}

// NIC is a host's place on a network.
type NIC struct {
	Net       *Net
	Addresses []string // with the length of their subnets
	MTU       int      // 1500
	Up, Down  link.Config
	HoldTx    tcp.Time
	// Virtual: partial checksums are taken; Partial: they are sent.
	Virtual, Partial bool
}

// Host is a shard and its NICs.
type Host struct {
	Name  string
	Shard *stack.Shard
	Pool  *frame.Pool
	Ports []*Port

	w    *World
	next tcp.Time // when it wants to run
	busy tcp.Time // until when it runs
}

const (
	defaultFrames = 4096
	frameShift    = 12
)

// Host makes a host. It panics on a bad configuration.
func (w *World) Host(c HostConfig) *Host {
	h := &Host{Name: c.Name, w: w}
	if c.Frames == 0 {
		c.Frames = defaultFrames
	}
	n := c.Frames + fillSize*len(c.NICs)
	h.Pool = frame.New(make([]byte, n<<frameShift), frameShift)
	conf := stack.Config{TCP: tcp.DefaultConfig(), MPTCP: c.MPTCP, Routes: c.Routes}
	if c.TCP != nil {
		conf.TCP = *c.TCP
	}
	for i := range 4 {
		binary.LittleEndian.PutUint64(conf.Seed[8*i:], w.seed())
	}
	var links []stack.Link
	for i, nic := range c.NICs {
		links = append(links, h.plug(i, &nic))
		for _, a := range nic.Addresses {
			conf.Addresses = append(conf.Addresses, stack.Address{Prefix: netip.MustParsePrefix(a), Link: i})
		}
	}
	if c.Stack != nil {
		c.Stack(&conf)
	}
	var err error
	if h.Shard, err = stack.New(conf, h.Pool, links, c.App); err != nil {
		panic(err)
	}
	h.Shard.SetWake(h.wake)
	w.hosts = append(w.hosts, h)
	h.next = w.now
	return h
}

// plug connects a NIC.
func (h *Host) plug(i int, nic *NIC) stack.Link {
	for _, c := range []*link.Config{&nic.Up, &nic.Down} {
		if c.Seed == 0 {
			c.Seed = h.w.seed()
		}
	}
	p := &Port{
		Up: link.New(nic.Up), Down: link.New(nic.Down),
		HoldTx: nic.HoldTx, partial: nic.Partial,
		net: nic.Net, host: h,
	}
	p.Flush()
	h.Ports = append(h.Ports, p)
	nic.Net.ports = append(nic.Net.ports, p)
	if nic.MTU == 0 {
		nic.MTU = 1500
	}
	return stack.Link{
		Name: fmt.Sprintf("%s%d", h.Name, i),
		MAC:  [6]byte{2, 0, 0, 0, byte(len(h.w.hosts) + 1), byte(i)},
		MTU:  nic.MTU, Virtual: nic.Virtual || nic.Partial,
		Ports: []stack.Port{p},
	}
}

// Do runs f in the host's next turn, which is due at once.
func (h *Host) Do(f func(*stack.Shard)) {
	if !h.Shard.Post(f) {
		panic("sim: mailbox full")
	}
}

// wake makes the host run as soon as it can.
func (h *Host) wake() { h.next = min(h.next, max(h.w.now, h.busy)) }

func (h *Host) turn() {
	h.next = tcp.Never
	next := h.Shard.Turn(h.w.now)
	h.busy = h.w.now + turnTime
	for _, p := range h.Ports {
		if len(p.rx) > 0 {
			next = h.w.now
		}
		if len(p.tx) > 0 {
			next = min(next, p.tx[0].until)
		}
	}
	h.next = min(h.next, max(next, h.busy))
}

// SetUp cuts all links of the host's i-th NIC, or mends them.
func (h *Host) SetUp(i int, up bool) {
	h.Ports[i].Up.SetUp(up)
	h.Ports[i].Down.SetUp(up)
}

// leaks tells what is alive on the host.
func (h *Host) leaks() string {
	var out []string
	say := func(n int, what string) {
		if n != 0 {
			out = append(out, fmt.Sprintf("%d %s", n, what))
		}
	}
	conns, flows, waits, timers := h.Shard.Idle()
	say(conns, "connections")
	say(flows, "flows")
	say(waits, "in TIME-WAIT")
	say(timers, "timers")
	say(int(h.Shard.Promised()), "bytes of receive buffers")
	used := h.Pool.Frames() - h.Pool.Free()
	for _, p := range h.Ports {
		used -= len(p.fill)
	}
	say(used, "frames held")
	if used != 0 {
		// Those of fill rings are among them.
		out = append(out, h.Pool.Leaks(used+3)...)
	}
	return strings.Join(out, ", ")
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

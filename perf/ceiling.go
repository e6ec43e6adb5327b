//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/xdp"
)

// ceiling measures what AF_XDP itself can do on this machine, over veth: no
// stack above it can be faster.
//
//	tx       a sender; the other end drops in its XDP program
//	rx_drop  a sender on one core, a receiver on another that drops
//	l2fwd    a sender, and a forwarder from one interface to another that
//	         hands frames over without touching them; the last end drops
//
// veth has no hardware: the receiver's kernel half runs on the sender's core.
type ceiling struct {
	Seconds float64 `default:"0.5" help:"How long each run is measured."`
}

const (
	ceilingFrames = 16384
	ceilingWarmup = 100 * time.Millisecond

	// queueLimit: a qdisc makes a full veth ring hold the sender back instead
	// of losing what it sends.
	queueLimit = 1000
)

// A sender never sleeps: where it got less than leastShare per cent of its
// core, something else ran there and the rates are not those of the machine.
const (
	coreShare  = "sender_core_share"
	leastShare = 80
)

// target is whom the packets are for: nobody's address but the program's.
var target = netip.AddrFrom4([4]byte{10, 9, 0, 2})

func (c *ceiling) Run(r *Report) error {
	if err := lab.CanRoot(); err != nil {
		return err
	}
	if _, err := lab.Sweep(); err != nil {
		return err
	}
	r.Env.Driver, r.Env.Mode = "veth", "generic and native, as the case says"
	var cases []Case
	for _, b := range []struct {
		name string
		run  func(*bench) ([]Quantity, error)
	}{{"tx", (*bench).tx}, {"rx_drop", (*bench).rxDrop}, {"l2fwd", (*bench).forward}} {
		for _, mode := range []xdp.Mode{xdp.Generic, xdp.Native} {
			for _, size := range []int{64, 1500} {
				cases = append(cases, Case{fmt.Sprintf("%s_%d_%v", b.name, size, mode), func() ([]Quantity, error) {
					w := &bench{mode: mode, size: size, span: time.Duration(c.Seconds * float64(time.Second))}
					q, err := b.run(w)
					return q, errors.Join(err, w.close())
				}})
			}
		}
	}
	if err := r.Measure(cases); err != nil {
		return err
	}
	for _, f := range r.Figures {
		if strings.HasSuffix(f.Name, coreShare) && f.Value < leastShare {
			r.Distrust("%s is %.0f %%: something else was running", f.Name, f.Value)
		}
	}
	return nil
}

// bench is one run: what it built, and how to undo it.
type bench struct {
	mode   xdp.Mode
	size   int
	span   time.Duration
	spaces map[string]*lab.NS
	undo   []func() error
}

func (b *bench) close() (err error) {
	for i := len(b.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, b.undo[i]())
	}
	return err
}

func (b *bench) tx() ([]Quantity, error) {
	gen, err := b.sender()
	if err != nil {
		return nil, err
	}
	if err := b.drop("right", "r"); err != nil {
		return nil, err
	}
	g := start(0, gen.generate)
	defer g.stop()
	time.Sleep(ceilingWarmup)
	g.enter(measuring)
	time.Sleep(b.span)
	g.stop()
	q := append(b.quantities(g), Quantity{coreShare, "%", higher, g.share()})
	return q, errors.Join(g.err, gen.lost())
}

func (b *bench) rxDrop() ([]Quantity, error) {
	gen, err := b.sender()
	if err != nil {
		return nil, err
	}
	recv, err := b.open("right", "r")
	if err != nil {
		return nil, err
	}
	return b.against(gen, recv.discard)
}

func (b *bench) forward() ([]Quantity, error) {
	gen, err := b.sender()
	if err != nil {
		return nil, err
	}
	if err := b.wire("right", "r2", "end", "e"); err != nil {
		return nil, err
	}
	if err := b.drop("end", "e"); err != nil {
		return nil, err
	}
	fwd, err := b.open("right", "r", "r2")
	if err != nil {
		return nil, err
	}
	q, err := b.against(gen, fwd.forward)
	return q, errors.Join(err, fwd.lost())
}

// against measures a worker on the second core while gen keeps it busy from
// the first.
func (b *bench) against(gen *end, step func() int) ([]Quantity, error) {
	w := start(1, step)
	defer w.stop()
	g := start(0, gen.generate)
	defer g.stop()
	time.Sleep(ceilingWarmup)
	g.enter(measuring)
	w.enter(measuring)
	time.Sleep(b.span)
	w.stop()
	g.stop()
	q := append(b.quantities(w),
		Quantity{"sender_ns_per_packet", "ns", lower, g.cost()},
		Quantity{coreShare, "%", higher, g.share()},
		Quantity{"loss", "%", lower, 100 * max(0, 1-w.rate()/g.rate())},
	)
	return q, errors.Join(g.err, w.err)
}

func (b *bench) quantities(w *worker) []Quantity {
	return []Quantity{
		{"rate", "packet/s", higher, w.rate()},
		{"throughput", "Gbit/s", higher, w.rate() * float64(b.size) * 8 / 1e9},
		{"ns_per_packet", "ns", lower, w.cost()},
	}
}

// sender builds what every case begins with: left, which sends, and right.
func (b *bench) sender() (*end, error) {
	if err := b.wire("left", "l", "right", "r"); err != nil {
		return nil, err
	}
	e, err := b.open("left", "l")
	if err != nil {
		return nil, err
	}
	return e, e.load(b.size)
}

func (b *bench) wire(from, fromIf, to, toIf string) error {
	l, err := b.space(from)
	if err != nil {
		return err
	}
	r, err := b.space(to)
	if err != nil {
		return err
	}
	return lab.Veth(lab.End{NS: l, Name: fromIf, Pfifo: queueLimit}, lab.End{NS: r, Name: toIf, Pfifo: queueLimit})
}

func (b *bench) space(name string) (*lab.NS, error) {
	if ns := b.spaces[name]; ns != nil {
		return ns, nil
	}
	ns, err := lab.New(name)
	if err != nil {
		return nil, err
	}
	if b.spaces == nil {
		b.spaces = map[string]*lab.NS{}
	}
	b.spaces[name] = ns
	b.undo = append(b.undo, ns.Close)
	return ns, nil
}

// open opens a group on interfaces of a namespace.
func (b *bench) open(space string, interfaces ...string) (*end, error) {
	u, err := xdp.NewUmem(ceilingFrames)
	if err != nil {
		return nil, err
	}
	b.undo = append(b.undo, u.Close)
	e := &end{pool: frame.New(u.Bytes(), 12), batch: make([]frame.Span, 64)}
	c := xdp.Config{Interfaces: interfaces, Addresses: []netip.Addr{target}, Mode: b.mode}
	err = b.spaces[space].Do(func() (err error) {
		e.group, err = xdp.Open(c, u, e.pool)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.undo = append(b.undo, e.group.Close)
	return e, nil
}

// drop puts a program on an interface that drops all it receives.
func (b *bench) drop(space, name string) error {
	const xdpDrop = 1
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()}})
	if err != nil {
		return err
	}
	b.undo = append(b.undo, p.Close)
	flags := link.XDPGenericMode
	if b.mode == xdp.Native {
		flags = link.XDPDriverMode
	}
	return b.spaces[space].Do(func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		at, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: l.Attrs().Index, Flags: flags})
		if err == nil {
			b.undo = append(b.undo, at.Close)
		}
		return err
	})
}

// end is a group and what it does in a loop. Each step returns how many
// packets it dealt with.
type end struct {
	group *xdp.Group
	pool  *frame.Pool
	batch []frame.Span
	ready []frame.Span // packets made once and sent again and again
	next  int
}

// load makes a TX ring full of packets: TCP to the target.
func (e *end) load(size int) error {
	const ethernet, ip = 14, 20
	for range e.group.Sockets()[0].Room() {
		f, ok := e.pool.Get()
		if !ok {
			return errors.New("too few frames")
		}
		s := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(size)}
		p := e.pool.Bytes(s)
		copy(p, lab.MAC("right", "r"))
		copy(p[6:], lab.MAC("left", "l"))
		binary.BigEndian.PutUint16(p[12:], 0x0800)
		h := p[ethernet:]
		h[0], h[8], h[9] = 0x45, 64, 6
		binary.BigEndian.PutUint16(h[2:], uint16(size-ethernet))
		copy(h[12:], []byte{10, 9, 0, 1})
		copy(h[16:], target.AsSlice())
		e.ready = append(e.ready, s)
	}
	return nil
}

func (e *end) generate() int {
	s := e.group.Sockets()[0]
	n := s.Send(e.ready[e.next:min(e.next+len(e.batch), len(e.ready))])
	e.next = (e.next + n) % len(e.ready)
	s.Flush()
	return n
}

func (e *end) discard() int {
	n := e.group.Sockets()[0].Recv(e.batch)
	for _, s := range e.batch[:n] {
		e.pool.Release(s.Frame)
	}
	if n == 0 {
		e.group.Wait(int64(time.Millisecond))
	}
	return n
}

// forward gives every received frame to the other interface as it is.
func (e *end) forward() int {
	from, to := e.group.Sockets()[0], e.group.Sockets()[1]
	n := 0
	if to.Room() >= len(e.batch) {
		n = from.Recv(e.batch)
		to.Send(e.batch[:n])
		for _, s := range e.batch[:n] {
			e.pool.Release(s.Frame)
		}
	}
	to.Flush()
	if n == 0 {
		e.group.Wait(int64(time.Millisecond))
	}
	return n
}

// lost is an error if packets were lost below a sender: then its rate is none.
func (e *end) lost() error {
	var n uint64
	for _, s := range e.group.Stats() {
		n += s.Counters.TxBusy + s.Counters.TxInvalid + s.Kernel.TxInvalidDescs
	}
	if n > 0 {
		return fmt.Errorf("%d packets were lost below the sender", n)
	}
	return nil
}

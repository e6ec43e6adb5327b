//go:build linux

package interop

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/link/runner"
)

// world is two hosts with two links between them. On every link each host has four
// addresses of each family: those of even index are on the first, the others on
// the second.
//
//	client 10.61.L.1I fd61:L::1I -- 10.61.L.2I fd61:L::2I server
//
// A link is a veth pair, or two with something between them in a third namespace:
// a cable (a bridge) or a middlebox (a runner).
type world struct {
	space  [2]*lab.NS // by Side
	middle *lab.NS    // nil: none
	boxes  *runner.Runner
}

const (
	links     = 2
	addresses = 8
	port      = 4433
)

var linkNames = [links]string{"one", "two"}

// addr is a host's address.
func addr(s Side, i int, v6 bool) netip.Addr { return prefix(s, i, v6).Addr() }

func prefix(s Side, i int, v6 bool) netip.Prefix {
	if v6 {
		return netip.MustParsePrefix(fmt.Sprintf("fd61:%d::%d%d/64", i%links+1, s+1, i))
	}
	return netip.MustParsePrefix(fmt.Sprintf("10.61.%d.%d%d/24", i%links+1, s+1, i))
}

// prefixes are all addresses of a host on a link.
func prefixes(s Side, link int) (out []netip.Prefix) {
	for i := link; i < addresses; i += links {
		out = append(out, prefix(s, i, false), prefix(s, i, true))
	}
	return out
}

func build(c *Cell) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	for s, name := range []string{"client", "server"} {
		if w.space[s], err = lab.New(name); err != nil {
			return w, err
		}
	}
	if c.Wire.Cable || c.Wire.Boxes != nil {
		if w.middle, err = lab.New("middle"); err != nil {
			return w, err
		}
	}
	for link := range links {
		if err := w.join(c, link); err != nil {
			return w, err
		}
	}
	if c.Wire.Boxes != nil {
		if err := w.run(c.Wire.Boxes); err != nil {
			return w, err
		}
	}
	for s, h := range []*Host{&c.Client, &c.Server} {
		if h.Kind == Kernel {
			if err := w.configure(Side(s), h); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// join lays a link. The kernel gets no address where ours are.
func (w *world) join(c *Cell, link int) error {
	var ends [2]lab.End
	for s, h := range []*Host{&c.Client, &c.Server} {
		ends[s] = lab.End{NS: w.space[s], Name: linkNames[link], MTU: c.Wire.MTU, Off: c.Wire.Off}
		if c.Wire.Boxes != nil {
			ends[s].Off, ends[s].Pfifo = lab.AllOffloads, queue
		}
		if h.Kind == Kernel {
			ends[s].Addrs = prefixes(Side(s), link)
		}
	}
	if w.middle == nil {
		return lab.Veth(ends[0], ends[1])
	}
	ports := w.ports(link)
	for s, end := range ends {
		if err := lab.Veth(end, lab.End{NS: w.middle, Name: ports[s], MTU: c.Wire.MTU, Bare: true, Pfifo: end.Pfifo}); err != nil {
			return err
		}
	}
	if c.Wire.Boxes != nil {
		return nil
	}
	return w.middle.Bridge(linkNames[link], ports[0], ports[1])
}

// queue is how many packets an interface beside a middlebox may have waiting.
const queue = 1000

// run starts the middleboxes.
func (w *world) run(boxes *[links]Box) error {
	var paths []runner.Path
	for i, b := range boxes {
		ports := w.ports(i)
		paths = append(paths, runner.Path{Name: linkNames[i], A: ports[Client], B: ports[Server], AB: b.ToServer, BA: b.ToClient})
	}
	return w.middle.Do(func() (err error) {
		w.boxes, err = runner.Start(paths...)
		return err
	})
}

// box makes a link's middlebox another one.
func (w *world) box(i int, b Box) error {
	if w.boxes == nil {
		return errors.New("the wire of this cell has no middleboxes")
	}
	return errors.Join(w.boxes.Set(i, runner.AB, b.ToServer), w.boxes.Set(i, runner.BA, b.ToClient))
}

func (w *world) ports(link int) [2]string {
	return [2]string{linkNames[link] + "-client", linkNames[link] + "-server"}
}

// secondTable are a kernel's routes for its addresses on the second link.
const secondTable = 2

// configure sets a kernel up. From its addresses on the second link the other
// host's addresses on the first are reached by the second too.
func (w *world) configure(s Side, h *Host) error {
	ns, other := w.space[s], 1-s
	var errs []error
	for _, v6 := range []bool{false, true} {
		errs = append(errs, ns.AddRoute(lab.Route{
			Dst: prefix(other, 0, v6).Masked(), Via: addr(other, 1, v6), Dev: linkNames[1], Table: secondTable,
		}))
		for i := 1; i < addresses; i += links {
			errs = append(errs, ns.AddSourceRule(addr(s, i, v6), secondTable))
		}
	}
	set := func(key string, value string) { errs = append(errs, ns.SetSysctl(key, value)) }
	if h.Checksum {
		set("net/mptcp/checksum_enabled", "1")
	}
	if h.DenyInitial {
		set("net/mptcp/allow_join_initial_addr_port", "0")
	}
	if h.Cookies {
		set("net/ipv4/tcp_syncookies", "2") // always
	}
	for key, value := range h.Sysctls {
		set(key, value)
	}
	errs = append(errs, ns.SetLimits(addresses, addresses))
	return errors.Join(errs...)
}

func (w *world) close() (err error) {
	if w.boxes != nil {
		err = w.boxes.Close()
	}
	for _, ns := range []*lab.NS{w.space[Client], w.space[Server], w.middle} {
		if ns != nil {
			err = errors.Join(err, ns.Close())
		}
	}
	return err
}

// cut makes a link swallow everything in silence, or carry again.
func (w *world) cut(link int, cut bool) error {
	if w.middle == nil || w.boxes != nil {
		return errors.New("the wire of this cell is no cable")
	}
	ports := w.ports(link)
	return w.middle.Cut(ports[0], ports[1], cut)
}

package sim

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/link"
)

// Net is a switch, with a link to each NIC. With two NICs it is a wire between them.
type Net struct {
	Name  string
	w     *World
	ports []*Port
	table map[[6]byte]*Port // what the switch has learned
	// Mangle, if set, sees each frame in the switch and may change it; false: it is lost.
	Mangle func(from *Port, b []byte) bool
}

// Net makes a network.
func (w *World) Net(name string) *Net {
	n := &Net{Name: name, w: w, table: make(map[[6]byte]*Port)}
	w.nets = append(w.nets, n)
	return n
}

// arrival is a frame at the end of one link: up at the switch, or down at a NIC.
type arrival struct {
	link.Delivery
	port *Port
	up   bool
	b    []byte
}

// launch puts a frame, which it owns from now on, on a link.
func (w *World) launch(p *Port, up bool, b []byte) {
	l := p.Down
	if up {
		l = p.Up
	}
	f := l.Push(int64(w.now), len(b))
	if f.N == 0 {
		if c := l.Config(); f.Drop == link.TooLong && c.TellTooBig {
			w.tooBig(p, up, b, c.MTU)
		}
		return
	}
	if f.Flip >= 0 && !slipped(b, f.Flip) {
		p.FCSDrops++
		return
	}
	if f.Mark {
		link.MarkCE(b)
	}
	f.Corrupt(b)
	l.Config().Strip.Apply(b, p.partial)
	for i, d := range f.Out[:f.N] {
		if i > 0 {
			b = append([]byte(nil), b...)
		}
		if !w.flight.Push(d.At, arrival{d, p, up, b}) {
			w.TooMany++
		}
	}
}

// tooBig answers the sender of a frame that did not fit, in the place of the
// router in front of the link.
func (w *World) tooBig(p *Port, up bool, b []byte, mtu int) {
	answer := make([]byte, link.MaxTooBig)
	answer = answer[:link.TooBig(answer, b, mtu)]
	if len(answer) == 0 {
		return
	}
	if up {
		w.launch(p, false, answer)
		return
	}
	if to, ok := p.net.table[[6]byte(answer[:6])]; ok && to != p {
		w.launch(to, false, answer)
	}
}

// slipped reports whether a flipped bit can have passed the checks of an
// Ethernet: in a router's memory, where the frame check sequence does not see. There, link headers
// are not carried on, nor is ARP.
func slipped(b []byte, bit int32) bool {
	return bit >= 14*8 && len(b) > 14 && binary.BigEndian.Uint16(b[12:]) != 0x0806
}

func (w *World) arrive(a arrival) {
	if a.up {
		if a.port.Up.Arrive(a.Delivery, len(a.b)) {
			a.port.net.forward(a.port, a.b)
		}
	} else if a.port.Down.Arrive(a.Delivery, len(a.b)) {
		a.port.deliver(a.b)
	}
}

// forward is what a switch does.
func (n *Net) forward(from *Port, b []byte) {
	if len(b) < 14 || n.Mangle != nil && !n.Mangle(from, b) {
		return
	}
	n.table[[6]byte(b[6:12])] = from
	if to, ok := n.table[[6]byte(b[:6])]; ok && b[0]&1 == 0 {
		if to != from {
			n.w.launch(to, false, b)
		}
		return
	}
	for _, to := range n.ports {
		if to != from {
			n.w.launch(to, false, append([]byte(nil), b...))
		}
	}
}

package mptcp

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// send queues n bytes on a connection without the application's bookkeeping.
func (h *host) send(a *app, n int) {
	for n > 0 {
		f, ok := h.env.Pool.Get()
		if !ok {
			return
		}
		d := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(min(n, 1400))}
		ok = h.set.Send(&h.env, a.c, d)
		h.env.Pool.Release(f)
		if !ok {
			return
		}
		n -= int(d.Len)
	}
}

// direct moves segments between the hosts of a world at once and without
// allocating.
type direct struct {
	there map[Flow]Flow // the other end of a flow, by who has it
	back  map[Flow]Flow
	w     *world
	out   tcp.Segment
	in    tcp.Segment
	buf   [tcp.MaxHeader]byte
	spans [1]frame.Span
}

func newDirect(w *world) *direct {
	d := &direct{w: w, there: map[Flow]Flow{}, back: map[Flow]Flow{}}
	for f, t := range w.srv.tuples {
		g := w.cli.flows[tcp.Tuple{Local: t.Remote, Remote: t.Local, LocalPort: t.RemotePort, RemotePort: t.LocalPort}]
		d.there[f], d.back[g] = g, f
	}
	return d
}

// move carries what one host has to say; false: nothing.
func (d *direct) move(from, to *host) (any bool) {
	ends := d.there
	if from == d.w.cli {
		ends = d.back
	}
	for {
		f, ok := from.set.NextDirty(&from.env)
		if !ok {
			break
		}
		for from.set.Output(&from.env, f, &d.out) {
			any = true
			d.carry(from, to, ends[f])
		}
	}
	for _, ok := from.set.NextDirtyConn(); ok; _, ok = from.set.NextDirtyConn() {
	}
	return any
}

func (d *direct) carry(from, to *host, f Flow) {
	n := d.out.HeaderLen()
	d.out.Put(d.buf[:n], 1, 2)
	d.in.Parse(d.buf[:n])
	d.in.Len, d.in.Data = d.out.Len, nil
	if d.out.Len > 0 {
		i, ok := to.env.Pool.Get()
		if !ok {
			return
		}
		d.spans[0] = frame.Span{Frame: i, Off: frame.Headroom, Len: uint16(d.out.Len)}
		from.env.Nodes.Gather(from.env.Pool, d.out.Run, to.env.Pool.Bytes(d.spans[0]))
		d.in.Data = d.spans[:]
	}
	to.set.Input(&to.env, f, &d.in)
	if d.out.Len > 0 {
		to.env.Pool.Release(d.spans[0].Frame)
	}
}

package mptcp

import (
	"math/rand/v2"

	"github.com/mpxd/mpxd/tcp"
)

// A box is a middlebox on a path: it gives on what it lets through of each
// segment. Segments are borrowed.
type box interface {
	pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte))
}

// chain is several boxes in a row, the first nearest to the client.
type chain []box

func (c chain) pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte)) {
	if len(c) == 0 {
		out(seg, payload)
		return
	}
	first, rest := c[0], c[1:]
	if !toServer {
		first, rest = c[len(c)-1], c[:len(c)-1]
	}
	first.pass(w, seg, payload, toServer, func(seg *tcp.Segment, payload []byte) {
		rest.pass(w, seg, payload, toServer, out)
	})
}

// renumber is a box that replaces initial sequence numbers.
type renumber struct{ client, server tcp.Seq } // added

func (r renumber) pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte)) {
	c := *seg
	ours, theirs := r.client, r.server
	if !toServer {
		ours, theirs = theirs, ours
	}
	c.Seq += ours
	acks(&c, func(a tcp.Seq) tcp.Seq { return a - theirs })
	out(&c, payload)
}

// acks maps all acknowledgement numbers of a segment.
func acks(seg *tcp.Segment, f func(tcp.Seq) tcp.Seq) {
	if seg.Flags&tcp.ACK == 0 {
		return
	}
	seg.Ack = f(seg.Ack)
	for i := range seg.Opts.NSACK {
		b := &seg.Opts.SACK[i]
		b.From, b.To = f(b.From), f(b.To)
	}
}

// splitter cuts every payload in two. Both halves have the options.
type splitter struct{ both bool } // or the first half only

func (s splitter) pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte)) {
	if len(payload) < 2 {
		out(seg, payload)
		return
	}
	n := len(payload) / 2
	a, b := *seg, *seg
	a.Flags &^= tcp.FIN | tcp.PSH
	b.Seq += tcp.Seq(n)
	if !s.both {
		b.RawLen = 0
	}
	out(&a, payload[:n])
	out(&b, payload[n:])
}

// merger makes one segment of two that follow each other, and keeps the options
// of the first or of the last. What nothing follows within a millisecond goes
// as it is.
type merger struct {
	last bool
	side [2]struct {
		out     func(*tcp.Segment, []byte)
		seg     tcp.Segment
		payload []byte
		turn    int
	}
}

func (m *merger) pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte)) {
	d := &m.side[0]
	if toServer {
		d = &m.side[1]
	}
	if d.out != nil && len(payload) > 0 && seg.Flags&^tcp.PSH == tcp.ACK && seg.Seq == d.seg.Seq+tcp.Seq(len(d.payload)) && len(d.payload)+len(payload) < 1900 {
		if m.last {
			first := d.seg.Seq
			d.seg = *seg
			d.seg.Seq = first
		}
		d.payload = append(d.payload, payload...)
		m.flush(toServer)
		return
	}
	m.flush(toServer)
	if len(payload) == 0 || seg.Flags&^tcp.PSH != tcp.ACK {
		out(seg, payload)
		return
	}
	d.out, d.seg, d.payload = out, *seg, payload
	d.turn++
	turn := d.turn
	w.after(tcp.Millisecond, func() {
		if d.turn == turn {
			m.flush(toServer)
		}
	})
}

func (m *merger) flush(toServer bool) {
	d := &m.side[0]
	if toServer {
		d = &m.side[1]
	}
	if d.out != nil {
		out := d.out
		d.out = nil
		out(&d.seg, d.payload)
	}
}

// stripper removes the MPTCP options of the segments that match.
type stripper func(seg *tcp.Segment, toServer bool) bool

func (s stripper) pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte)) {
	c := *seg
	if s(&c, toServer) {
		c.RawLen = 0
	}
	out(&c, payload)
}

// editor changes n bytes at a place of one direction's stream, or puts more of
// them in, or takes them out, and adapts the sequence numbers, as an
// application-level gateway does.
type editor struct {
	toServer bool
	at       uint32 // of the stream
	insert   uint32
	delete   uint32
	change   uint32
	isn      tcp.Seq
	known    bool
	seen     uint32 // end of the stream as the sender sent it
}

const editMark = 0xa5

// byte is what arrives at a place, of a stream f.
func (x *editor) byte(at int64, f func(int64) byte) byte {
	from := int64(x.at)
	switch {
	case at < from:
		return f(at)
	case at < from+int64(x.insert):
		return editMark
	case at < from+int64(x.change):
		return f(at) ^ editMark
	}
	return f(at - int64(x.insert) + int64(x.delete))
}

// forward maps a place of the stream to what the receiver sees.
func (x *editor) forward(o uint32) uint32 {
	switch {
	case o <= x.at:
		return o
	case o < x.at+x.delete:
		return x.at
	}
	return o + x.insert - x.delete
}

// back maps what the receiver acknowledges to what the sender sent.
func (x *editor) back(o uint32) uint32 {
	switch {
	case x.delete > 0 && o >= x.at && x.seen >= x.at+x.delete:
		return o + x.delete
	case x.delete > 0 || o <= x.at:
		return o
	}
	return max(x.at, o-x.insert)
}

func (x *editor) pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte)) {
	c := *seg
	if toServer != x.toServer {
		if x.known {
			acks(&c, func(a tcp.Seq) tcp.Seq {
				if o := int32(a - x.isn - 1); o >= 0 {
					return x.isn + 1 + tcp.Seq(x.back(uint32(o)))
				}
				return a
			})
		}
		out(&c, payload)
		return
	}
	if seg.Flags&tcp.SYN != 0 {
		x.isn, x.known = seg.Seq, true
		out(&c, payload)
		return
	}
	o := uint32(seg.Seq - x.isn - 1)
	if int32(o) < 0 { // a probe
		out(&c, payload)
		return
	}
	x.seen = max(x.seen, o+uint32(len(payload)))
	c.Seq = x.isn + 1 + tcp.Seq(x.forward(o))
	var b []byte
	for i, v := range payload {
		at := o + uint32(i)
		if at == x.at {
			for range x.insert {
				b = append(b, editMark)
			}
		}
		switch {
		case at >= x.at && at < x.at+x.delete:
		case at >= x.at && at < x.at+x.change:
			b = append(b, v^editMark)
		default:
			b = append(b, v)
		}
	}
	out(&c, b)
}

// noise changes payload at random.
type noise struct {
	rng   *rand.Rand
	share float64
}

func (n noise) pass(w *world, seg *tcp.Segment, payload []byte, toServer bool, out func(*tcp.Segment, []byte)) {
	if len(payload) > 0 && n.rng.Float64() < n.share {
		payload[n.rng.IntN(len(payload))] ^= byte(1 + n.rng.IntN(255))
	}
	out(seg, payload)
}

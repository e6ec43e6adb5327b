package tcp

import (
	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
)

// A frame is pinned by every span in it, be it one byte. So that bytes, and not
// segments, use a shard's frames up (CVE-2018-5390), spans are packed: their
// bytes move behind those of their predecessor in the queue, into its frame.
// That takes no frame, and changes nothing but where bytes lie. Small spans are packed
// as they come; larger ones when frames are short, by Pack.

// smallSpan is the length below which a span is not worth a frame: what it
// costs at least of a buffer. To copy it costs less than to touch one more frame later.
const smallSpan = 512

// small reports whether d is to be put behind span to: a small one behind a
// small one, or where others were. A span that fills a segment stays alone, as
// only then it can go without a copy.
func (e *Env) small(to, d frame.Span) bool {
	return d.Len < smallSpan && (to.Len < smallSpan || e.Pool.Packed(to.Frame))
}

// Join appends span d, which follows the span of node prev in the stream, to
// that span, if d is small and can be put behind it, and both are at most most
// bytes: a segment, since who sends them on would split more. d stays with the
// caller.
func (e *Env) Join(prev uint32, d frame.Span, most uint32) bool {
	n := e.Nodes.At(prev)
	to := n.Span
	if to.Len == 0 || uint32(to.Len)+uint32(d.Len) > most || !e.small(to, d) {
		return false
	}
	off, ok := e.Pool.Tail(to, d.Len)
	if !ok || off != to.Off+to.Len {
		return false
	}
	e.copy(d, to.Frame, off)
	if to.Flags&d.Flags&frame.SumKnown != 0 {
		n.Span.Sum = checksum.Append(to.Sum, int(to.Len), d.Sum)
	} else {
		n.Span.Flags &^= frame.SumKnown
	}
	n.Span.Len += d.Len
	e.Count.Coalesced++
	return true
}

// Hold makes a borrowed span one that is kept: its frame is held, or if it is
// small and there is room, that of node prev, whose bytes it is put behind.
func (e *Env) Hold(prev uint32, d frame.Span) frame.Span {
	if prev != 0 {
		if to := e.Nodes.At(prev).Span; to.Len > 0 && e.small(to, d) && e.move(to, &d) {
			e.Count.Coalesced++
			return d
		}
	}
	e.Pool.Retain(d.Frame)
	return d
}

// move puts the bytes of d behind those of span to. d is then there, its frame
// held once more, and what d was before is still held by whoever did.
func (e *Env) move(to frame.Span, d *frame.Span) bool {
	off, ok := e.Pool.Tail(to, d.Len)
	if !ok || to.Frame == d.Frame {
		return false
	}
	e.copy(*d, to.Frame, off)
	e.Pool.Retain(to.Frame)
	e.Pool.Share(to.Frame)
	d.Frame, d.Off = to.Frame, off
	return true
}

func (e *Env) copy(d frame.Span, f uint32, off uint16) {
	to := frame.Span{Frame: f, Off: off, Len: d.Len}
	copy(e.Pool.Bytes(to), e.Pool.Bytes(d))
	e.Pool.Fill(f, off+d.Len)
}

// Walk is a walk over the nodes of queues that packs their spans. It is
// resumed where its budget ended.
type Walk struct {
	Left   int    // nodes it may still look at
	Freed  int    // frames it has freed
	Frames uint32 // frames that the queues it went through hold
	Nodes  uint32 // nodes that it looked at
	at     uint64 // handle of the node it goes on with
}

// moveCost is what moving a span of half a frame costs, in visits of nodes that
// are not in cache.
const moveCost = 8

// Pack packs the spans of the list that begins with node head, or goes on where
// it stopped. False: the walk's budget is used up before the end.
//
// Only a frame that is free then is worth the copy. Two halves of a frame fit
// into one; what is longer stays.
func (e *Env) Pack(head uint32, w *Walk) bool {
	if w.at != 0 {
		if e.Nodes.Get(w.at) != nil {
			head = uint32(w.at)
		}
		w.at = 0
	}
	half := uint16(e.Pool.FrameSize() / 2)
	var last frame.Span
	for id := head; id != 0; id = e.Nodes.At(id).Next {
		if w.Left <= 0 {
			w.at = e.Nodes.Handle(id)
			return false
		}
		w.Left--
		w.Nodes++
		n := e.Nodes.At(id)
		if n.Span.Len == 0 {
			continue // a FIN
		}
		old := n.Span.Frame
		if last.Len > 0 && n.Span.Len <= half && e.Pool.Sole(old) && e.move(last, &n.Span) {
			e.Pool.Release(old)
			w.Freed++
			w.Left -= moveCost
		}
		if last.Len == 0 || n.Span.Frame != last.Frame {
			w.Frames++
		}
		last = n.Span
	}
	return true
}

// Unread is for how long the oldest byte has been waiting to be read.
func (c *Conn) Unread(e *Env) Time { return e.Nodes.Waits(c.rcvq.head, e.Now) }

// Stuck is for how long nothing has moved of what the flow keeps: it is not read,
// a gap before it is not filled, or the peer does not take it.
func (c *Conn) Stuck(e *Env) Time {
	return max(c.Unread(e), e.Nodes.Waits(c.ofoq.head, e.Now), c.stall.Waited(e.Now))
}

// Untaken is for how long the peer has not taken what waits for it.
func (c *Conn) Untaken(e *Env) Time { return c.stall.Waited(e.Now) }

// Lists are the heads of the flow's queues, for Pack: what waits to be read,
// what came out of order, what is not acknowledged.
func (c *Conn) Lists() [3]uint32 { return [...]uint32{c.rcvq.head, c.ofoq.head, c.sndq.head} }

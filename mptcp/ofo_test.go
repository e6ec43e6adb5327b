package mptcp

import (
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// early brings up a connection with two subflows at the server, and returns
// what delivers bytes to it by their place in the stream behind the next byte.
func early(t *testing.T) (w *world, c *conn, put func(sf *subflow, at uint64, n int)) {
	w, _, b := twoPaths(t, 60, nil)
	end := w.now + 500*tcp.Millisecond
	w.run(10*tcp.Second, func() bool { return w.now >= end })
	h := w.srv
	c = h.set.conn(b.c)
	f, ok := h.env.Pool.Get()
	if c == nil || c.nsub != 2 || !ok {
		t.Fatal("no connection with two subflows, or no frame")
	}
	c.rcv.End(&h.env.Windows)
	c.rcv.Begin(&h.env.Windows, 4<<20, 4<<20)
	from := c.rcvNxt
	put = func(sf *subflow, at uint64, n int) {
		h.env.Pool.Retain(f)
		h.set.deliver(&h.env, c, sf, frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(n)}, from+at)
	}
	return w, c, put
}

// TestEarlyAnywhere: behind a hole, one subflow's data is far from both ends
// of what the other one brought. None of it may be dropped: it was
// acknowledged on its subflow, and Linux repairs that at 64 KiB a timeout.
func TestEarlyAnywhere(t *testing.T) {
	w, c, put := early(t)
	a := w.srv.set.flows.At(c.first)
	b := w.srv.set.flows.At(a.next)
	const size, run = 100, 2500
	for i := range uint64(run) {
		put(a, size*(1+i), size)
	}
	for i := range uint64(run) {
		put(a, size*(1+2*run+i), size)
	}
	for i := range uint64(run) {
		put(b, size*(1+run+i), size)
		put(a, size*(1+3*run+i), size)
	}
	if n := w.srv.set.Count.OFODrops; n != 0 {
		t.Errorf("%d spans were dropped", n)
	}
	put(a, 0, size)
	if n := c.rq.bytes; n != (1+4*run)*size || c.ofo.head != 0 {
		t.Errorf("%d bytes in order, %d not; want %d", n, c.ofo.bytes, (1+4*run)*size)
	}
}

// TestEarlyScattered: a peer that scatters its data cannot make every search a
// long one.
func TestEarlyScattered(t *testing.T) {
	w, c, put := early(t)
	a := w.srv.set.flows.At(c.first)
	const n = 6000
	for i := range uint64(n) {
		put(a, 10+20*i, 10)
	}
	before := w.srv.set.Count.OFODrops
	for i := range uint64(n) {
		put(a, 20+20*(i*2477%n), 10) // far from the one before, and from both ends
	}
	if w.srv.set.Count.OFODrops == before {
		t.Error("every search went as far as it liked")
	}
}

// TestBeyondTheWindow: data beyond what was promised is taken as far as one more
// buffer, and no further.
func TestBeyondTheWindow(t *testing.T) {
	w, c, put := early(t)
	c.rcv.End(&w.srv.env.Windows)
	c.rcv.Begin(&w.srv.env.Windows, 64<<10, 64<<10)
	c.rcvEdge = c.rcvNxt + 1000
	a := w.srv.set.flows.At(c.first)
	for at := uint64(0); at < 1<<20; at += 1000 {
		put(a, at, 1000)
	}
	if c.rq.bytes < 120<<10 || c.rq.bytes > 128<<10 || w.srv.set.Count.OutOfWindow == 0 {
		t.Errorf("%d bytes were taken, %d spans refused", c.rq.bytes, w.srv.set.Count.OutOfWindow)
	}
}

// TestCrowded: one subflow scattered so much that the queue is full, and the other one has
// still to deliver what fills the hole, behind data that nobody waits for.
// Whatever the queue refuses, the hole is filled.
func TestCrowded(t *testing.T) {
	w, c, put := early(t)
	c.rcv.End(&w.srv.env.Windows)
	c.rcv.Begin(&w.srv.env.Windows, 64<<10, 64<<10)
	c.rcvEdge = c.rcvNxt + 64<<10
	a := w.srv.set.flows.At(c.first)
	for at := uint64(1000); at < 1000+20*400; at += 20 {
		put(a, at, 10)
	}
	if !c.crowded() || w.srv.set.Count.OFODrops == 0 {
		t.Fatal("the queue is not full")
	}
	from := c.rcvNxt
	put(a, 500, 100) // not now
	put(a, 0, 1100)  // reaches over some of what is there, and up to 10 more
	if c.rcvNxt != from+1110 {
		t.Errorf("%d bytes are in order, want 1110", c.rcvNxt-from)
	}
	next := tcp.Segment{Seq: a.irs + tcp.Seq(a.rd+a.tcp.Readable()), Len: 100}
	if a.beyond(&next) {
		t.Error("what is next in its subflow is refused, and so is all behind it")
	}
	if next.Seq++; !a.beyond(&next) {
		t.Error("what leaves a hole in its subflow is taken")
	}
}

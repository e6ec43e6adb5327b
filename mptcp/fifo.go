package mptcp

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// fifo is a list of spans in the shard's nodes. Every node holds its frame.
// Mark is the data sequence number of a node's first byte.
type fifo struct {
	head, tail uint32
	nodes      uint32
	bytes      uint32
}

// push appends a span whose hold passes to the list; false: the nodes are
// used up, and the hold stays with the caller.
func (q *fifo) push(e *tcp.Env, d frame.Span, dsn uint64) (uint32, bool) {
	i, n, ok := e.Nodes.Alloc()
	if !ok {
		return 0, false
	}
	n.Span, n.Mark = e.Hold(q.tail, d), dsn
	n.Came(e.Now)
	e.Pool.Release(d.Frame)
	q.link(e, i)
	return i, true
}

// maxJoined is what small spans are joined to: no more than any path takes in a
// segment.
const maxJoined = 1024

// join appends a borrowed span to the last one, if it is small and follows it.
func (q *fifo) join(e *tcp.Env, d frame.Span) bool {
	if q.tail == 0 || !e.Join(q.tail, d, maxJoined) {
		return false
	}
	q.bytes += uint32(d.Len)
	return true
}

// extend appends a borrowed span at dsn to that of node at, if it is small and
// follows it.
func (q *fifo) extend(e *tcp.Env, at uint32, d frame.Span, dsn uint64) bool {
	if at == 0 {
		return false
	}
	if n := e.Nodes.At(at); n.Mark+uint64(n.Span.Len) != dsn || !e.Join(at, d, maxJoined) {
		return false
	}
	q.bytes += uint32(d.Len)
	return true
}

// put is push, or join if that will do.
func (q *fifo) put(e *tcp.Env, d frame.Span, dsn uint64) bool {
	if q.join(e, d) {
		e.Pool.Release(d.Frame)
		return true
	}
	_, ok := q.push(e, d, dsn)
	return ok
}

// link appends node i.
func (q *fifo) link(e *tcp.Env, i uint32) { q.insert(e, q.tail, i) }

// insert puts node i behind node at; 0 is the front.
func (q *fifo) insert(e *tcp.Env, at, i uint32) {
	n := e.Nodes.At(i)
	n.Prev, n.Next = at, q.head
	if at == 0 {
		q.head = i
	} else {
		p := e.Nodes.At(at)
		n.Next, p.Next = p.Next, i
	}
	if n.Next == 0 {
		q.tail = i
	} else {
		e.Nodes.At(n.Next).Prev = i
	}
	q.nodes++
	q.bytes += uint32(n.Span.Len)
}

// unlink takes node i out; it stays allocated.
func (q *fifo) unlink(e *tcp.Env, i uint32) {
	n := e.Nodes.At(i)
	if n.Prev == 0 {
		q.head = n.Next
	} else {
		e.Nodes.At(n.Prev).Next = n.Next
	}
	if n.Next == 0 {
		q.tail = n.Prev
	} else {
		e.Nodes.At(n.Next).Prev = n.Prev
	}
	q.nodes--
	q.bytes -= uint32(n.Span.Len)
}

// pop takes the first span; the caller holds its frame.
func (q *fifo) pop(e *tcp.Env) (frame.Span, bool) {
	i := q.head
	if i == 0 {
		return frame.Span{}, false
	}
	d := e.Nodes.At(i).Span
	q.unlink(e, i)
	e.Nodes.Free(i)
	return d, true
}

// clear releases everything.
func (q *fifo) clear(e *tcp.Env) {
	for {
		d, ok := q.pop(e)
		if !ok {
			return
		}
		e.Pool.Release(d.Frame)
	}
}

package tcp

import (
	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/slab"
)

// Node is one span in a queue, linked by index.
type Node struct {
	Span frame.Span
	Seq  Seq    // of the span's first byte
	Next uint32 // 0 ends the list
	Prev uint32
	Mark uint64

	// Of a send queue's node: when it was last sent, and its links in the
	// list of nodes in flight or in that of lost ones. Of a SACKed node after
	// is 0 or a later one, with none but SACKed ones between. Of a node out of
	// order: what tree says. Of a received node stamp.at is when it came, in ms.
	sent         Time
	stamp        stamp
	after, prior uint32
	flags        nodeFlags
}

// nodeFlags say what became of a node of a send queue. A node that was never
// sent has neither inFlight, lost nor sacked; a sent one exactly one of them.
type nodeFlags uint16

const (
	inFlight nodeFlags = 1 << iota // in the list of nodes in flight
	lost                           // in the list of lost nodes
	sacked                         // the peer holds it
	again                          // it was retransmitted: no RTT sample (Karn)
	fin                            // it stands for our FIN and has no span
	limited                        // when it was sent the application had left the path idle
	doubtful                       // its retransmission was needless: what arrives is the original
	joined                         // it was sent in one segment with the node before it
	probing                        // its segment tries whether the path takes more than pathMSS
)

// len is what the node takes of the sequence space.
func (n *Node) len() uint32 {
	if n.flags&fin != 0 {
		return 1
	}
	return uint32(n.Span.Len)
}

// end is the sequence number after the node.
func (n *Node) end() Seq { return n.Seq + Seq(n.len()) }

// Nodes is a shard's population of queue nodes.
type Nodes struct{ slab.Slab[Node] }

// Whole reports whether r is exactly the span of one node, and that span.
func (ns *Nodes) Whole(r Run) (frame.Span, bool) {
	if r.Len == 0 {
		return frame.Span{}, false
	}
	n := ns.At(r.Node)
	return n.Span, r.Off == 0 && r.Len == uint32(n.Span.Len)
}

// Gather copies the bytes of r to dst, which must hold them, and returns
// their sum.
func (ns *Nodes) Gather(p *frame.Pool, r Run, dst []byte) uint16 {
	var sum uint16
	done, off := 0, r.Off
	for id := r.Node; done < int(r.Len); {
		n := ns.At(id)
		src := p.Bytes(n.Span)[off:]
		src = src[:min(len(src), int(r.Len)-done)]
		sum = checksum.Append(sum, done, checksum.Copy(dst[done:done+len(src)], src))
		done += len(src)
		off, id = 0, n.Next
	}
	return sum
}

// release gives a node and its frame back.
func (e *Env) release(id uint32) {
	if n := e.Nodes.At(id); n.flags&fin == 0 {
		e.Pool.Release(n.Span.Frame)
	}
	e.Nodes.Free(id)
}

// Came notes, of a node of a wrapper's queue of received data, when it came.
func (n *Node) Came(now Time) { n.stamp.at = millis(now) }

// Waits is for how long the list that begins with node id has not moved: since
// its first node came; 0 if it is empty.
func (ns *Nodes) Waits(id uint32, now Time) Time {
	if id == 0 {
		return 0
	}
	return Time(millis(now)-ns.At(id).stamp.at) * Millisecond
}

// queue is a list of nodes linked by Next and Prev.
type queue struct {
	head, tail uint32
	nodes      uint32
}

// insert puts node id behind node at; 0 is the front.
func (q *queue) insert(ns *Nodes, at, id uint32) {
	n := ns.At(id)
	n.Prev, n.Next = at, q.head
	if at != 0 {
		n.Next = ns.At(at).Next
		ns.At(at).Next = id
	} else {
		q.head = id
	}
	if n.Next != 0 {
		ns.At(n.Next).Prev = id
	} else {
		q.tail = id
	}
	q.nodes++
}

// pop takes the head off the list; the queue is not empty.
func (q *queue) pop(ns *Nodes) uint32 {
	id := q.head
	n := ns.At(id)
	if q.head = n.Next; q.head == 0 {
		q.tail = 0
	} else {
		ns.At(q.head).Prev = 0
	}
	n.Next, n.Prev = 0, 0
	q.nodes--
	return id
}

// remove takes node id out of the list.
func (q *queue) remove(ns *Nodes, id uint32) {
	n := ns.At(id)
	if n.Prev != 0 {
		ns.At(n.Prev).Next = n.Next
	} else {
		q.head = n.Next
	}
	if n.Next != 0 {
		ns.At(n.Next).Prev = n.Prev
	} else {
		q.tail = n.Prev
	}
	q.nodes--
}

// free releases all of it.
func (q *queue) free(e *Env) {
	for q.head != 0 {
		e.release(q.pop(e.Nodes))
	}
}

// chain is a list of a send queue's nodes linked by after and prior.
type chain struct{ head, tail uint32 }

// insert puts node id behind node at; 0 is the front.
func (l *chain) insert(ns *Nodes, at, id uint32) {
	n := ns.At(id)
	n.prior, n.after = at, l.head
	if at != 0 {
		n.after = ns.At(at).after
		ns.At(at).after = id
	} else {
		l.head = id
	}
	if n.after != 0 {
		ns.At(n.after).prior = id
	} else {
		l.tail = id
	}
}

func (l *chain) remove(ns *Nodes, id uint32) {
	n := ns.At(id)
	if n.prior != 0 {
		ns.At(n.prior).after = n.after
	} else {
		l.head = n.after
	}
	if n.after != 0 {
		ns.At(n.after).prior = n.prior
	} else {
		l.tail = n.prior
	}
	n.after, n.prior = 0, 0
}

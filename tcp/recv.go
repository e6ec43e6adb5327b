package tcp

import (
	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
)

// quickAcks is how many ACKs are not delayed when a flow begins and after
// loss or reordering: the sender's window is then small, or it needs to
// know.
const quickAcks = 16

// Recv takes the next in-order span: the caller now holds its frame. at is
// the sequence number of its first byte.
func (c *Conn) Recv(e *Env) (d frame.Span, at Seq, ok bool) {
	if c.rcvq.head == 0 {
		return d, 0, false
	}
	id := c.rcvq.pop(e.Nodes)
	n := e.Nodes.At(id)
	d, at = n.Span, n.Seq
	e.Nodes.Free(id) // but not the frame: it goes to the caller
	c.rcvBytes -= uint32(d.Len)
	c.fit(e, uint32(d.Len))
	c.offerWindow(e)
	return d, at, true
}

// Readable is how many in-order bytes wait for Recv.
func (c *Conn) Readable() uint32 { return c.rcvBytes }

// recv takes the payload of an acceptable segment, and remembers its FIN.
func (c *Conn) recv(e *Env, seg *Segment) {
	old, hole := c.rcvNxt, c.ofoq.head != 0
	edge := c.rcvNxt + Seq(c.acceptable())
	if c.has(finKnown) && c.finSeq.Before(edge) {
		edge = c.finSeq // nothing follows a FIN
	}
	at := seg.Seq
	for _, d := range seg.Data {
		if d.Len > 0 {
			c.take(e, at, d, edge)
			at += Seq(d.Len)
		}
	}
	end := seg.Seq + Seq(seg.Len)
	if seg.Flags&FIN != 0 && !c.has(finKnown) && !end.After(edge) && !end.Before(c.rcvNxt) {
		c.flags |= finKnown
		c.finSeq = end
		if end.After(c.rcvNxt) {
			c.noteBlock(end, end+1) // it is held, and takes a sequence number
		}
	}
	if c.rcvNxt != old {
		c.events |= Readable
		c.measureRcvRTT(e, seg)
	}
	hole = hole || c.ofoq.head != 0 || c.has(finKnown) && c.rcvNxt != c.finSeq
	c.scheduleAck(e, hole || c.has(hasDSACK), seg.Len > 0 && c.rcvNxt == old)
}

// scheduleAck decides when what came is acknowledged (RFC 5681, 4.2). hole:
// the peer must know at once; nothing: no payload was of use.
func (c *Conn) scheduleAck(e *Env, hole, nothing bool) {
	switch n := uint32(c.rcvNxt - c.lastAck); {
	case hole || nothing:
		c.owe |= oweACK
		c.quick = quickAcks
		if nothing && !c.has(useSACK) && c.dupOwed < 1<<8-1 {
			c.dupOwed++ // the peer counts them (RFC 5681, 3.2)
		}
	case c.quick > 0:
		c.quick--
		c.owe |= oweACK
	case n >= 2*uint32(c.rcvMSS):
		c.owe |= oweACK
	case n > 0 && c.ackAt == 0:
		c.ackAt = e.Now + e.Conf.DelAck
	}
}

// take takes one span that begins at sequence number at, as far as it lies
// before edge and is new.
func (c *Conn) take(e *Env, at Seq, d frame.Span, edge Seq) {
	d.Flags &= frame.SumKnown
	if n := min(d.Len, max(c.ourMSS, 1)); n > c.rcvMSS {
		c.rcvMSS = n
	}
	if over := (at + Seq(d.Len)).Sub(edge); over > 0 {
		if over >= int32(d.Len) {
			e.Count.OutOfWindow++
			return
		}
		trimBack(e.Pool, &d, uint16(over))
	}
	if old := c.rcvNxt.Sub(at); old > 0 {
		c.noteDuplicate(at, at+Seq(min(old, int32(d.Len))))
		if old >= int32(d.Len) {
			e.Count.Duplicate++
			return
		}
		if !planted {
			trimFront(e.Pool, &d, uint16(old))
		}
		at = c.rcvNxt
	}
	switch {
	case at != c.rcvNxt || c.ofoq.head != 0 && (at+Seq(d.Len)).After(e.Nodes.At(c.ofoq.head).Seq):
		c.takeEarly(e, at, d)
	case c.rcvq.nodes+c.ofoq.nodes >= c.maxNodes():
		e.Count.NoRoomDrops++
		return
	default:
		if c.keep(e, &c.rcvq, c.rcvq.tail, at, d) == 0 {
			return
		}
		c.advance(d)
	}
	c.drain(e)
}

// maxNodes bounds the nodes, and so the frames, of the receive queues: a peer
// that sends tiny segments must not pin a frame for each (CVE-2018-5390). It
// is what the buffer holds at 512 bytes a frame, and no less than a small
// buffer needs. Out-of-order data may have half of it.
func (c *Conn) maxNodes() uint32 {
	if c.has(ownWindow) {
		return 64 + c.rcv.limit>>9 // the wrapper has a bound of its own
	}
	return 64 + c.rcv.Bound()>>9
}

// keep makes a node behind node prev of q, or lets that one grow; 0: there is
// none left.
func (c *Conn) keep(e *Env, q *queue, prev uint32, at Seq, d frame.Span) uint32 {
	if prev != 0 && e.Nodes.At(prev).end() == at && e.Join(prev, d, uint32(c.ourMSS)) {
		c.retell(e.Nodes, prev)
		return prev
	}
	id, n, ok := e.Nodes.Alloc()
	if !ok {
		e.Count.NoRoomDrops++
		return 0
	}
	near := prev
	if near == 0 {
		near = q.head
	}
	n.Span, n.Seq = e.Hold(near, d), at
	n.Came(e.Now)
	q.insert(e.Nodes, prev, id)
	return id
}

// advance moves RCV.NXT over a span that joined the in-order queue.
func (c *Conn) advance(d frame.Span) {
	c.rcvNxt += Seq(d.Len)
	c.rcvBytes += uint32(d.Len)
	if c.rcvAdv.Before(c.rcvNxt) {
		c.rcvAdv = c.rcvNxt
	}
}

// drain moves what became in order.
func (c *Conn) drain(e *Env) {
	for c.ofoq.head != 0 && e.Nodes.At(c.ofoq.head).Seq == c.rcvNxt {
		id := c.ofoq.pop(e.Nodes)
		c.early.pop(e.Nodes)
		c.unlist(e.Nodes, id)
		c.rcvq.insert(e.Nodes, c.rcvq.tail, id)
		c.advance(e.Nodes.At(id).Span)
	}
	c.trimBlocks()
}

// takeEarly puts a span where it belongs among the out-of-order ones. What was
// there first stays (RFC 9293 leaves it open; overwriting would let a blind
// attacker replace data).
func (c *Conn) takeEarly(e *Env, at Seq, d frame.Span) {
	prev := c.early.find(e.Nodes, at)
	from, end, pieces := at, at+Seq(d.Len), 0
	for at.Before(end) {
		next := c.ofoq.head
		if prev != 0 {
			n := e.Nodes.At(prev)
			if dup := n.end().Sub(at); dup > 0 {
				dup = min(dup, end.Sub(at))
				c.noteDuplicate(at, at+Seq(dup))
				c.retell(e.Nodes, prev)
				trimFront(e.Pool, &d, uint16(dup))
				at += Seq(dup)
				continue
			}
			next = n.Next
		}
		piece := d
		if next != 0 {
			room := e.Nodes.At(next).Seq.Sub(at)
			if room <= 0 {
				prev = next
				continue
			}
			if room < int32(d.Len) {
				trimBack(e.Pool, &piece, d.Len-uint16(room))
			}
		}
		if c.ofoq.nodes >= c.maxNodes()/2 && at != c.rcvNxt {
			e.Count.OfoDrops++
			break
		}
		if pieces++; pieces > 1 {
			e.Pool.Share(d.Frame)
		}
		kept := c.ofoq.nodes
		if prev = c.keep(e, &c.ofoq, prev, at, piece); prev == 0 {
			break
		}
		if c.ofoq.nodes > kept {
			c.early.insert(e.Nodes, prev, Time(e.Rand.Uint64()>>1))
			c.list(e.Nodes, prev)
		}
		c.noteBlock(at, at+Seq(piece.Len))
		at += Seq(piece.Len)
		if at.Before(end) {
			trimFront(e.Pool, &d, piece.Len)
		}
	}
	if pieces == 0 && at == end && from != end {
		e.Count.Duplicate++
		c.noteBlock(from, end) // its island is the most recent (RFC 2018, 4)
	}
}

func distance(a, b Seq) uint32 {
	d := a.Sub(b)
	return uint32(max(d, -d))
}

// trimFront cuts n of d's bytes, fewer than all or all, off its front.
func trimFront(p *frame.Pool, d *frame.Span, n uint16) {
	if d.Flags&frame.SumKnown != 0 {
		cut := *d
		cut.Len = n
		d.Sum = checksum.Sub(d.Sum, checksum.Sum(p.Bytes(cut)))
		if n&1 != 0 {
			d.Sum = checksum.Swap(d.Sum)
		}
	}
	d.Off += n
	d.Len -= n
	// The borrowed span still begins where it did.
	p.Share(d.Frame)
}

// trimBack cuts n bytes off the end of d.
func trimBack(p *frame.Pool, d *frame.Span, n uint16) {
	if d.Flags&frame.SumKnown != 0 {
		cut := *d
		cut.Off += d.Len - n
		cut.Len = n
		sum := checksum.Sum(p.Bytes(cut))
		if (d.Len-n)&1 != 0 {
			sum = checksum.Swap(sum)
		}
		d.Sum = checksum.Sub(d.Sum, sum)
	}
	d.Len -= n
}

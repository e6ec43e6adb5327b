package mptcp

import (
	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// maxBurst is the most one mapping can cover: its length has 16 bits.
const maxBurst = 1<<16 - 1

// enqueue appends a span to the connection's queue (retaining its frame).
func (s *Set) enqueue(e *tcp.Env, c *conn, d frame.Span) bool {
	d.Flags &= frame.SumKnown
	if c.cur == 0 || !c.sq.join(e, d) { // what was scheduled stays as it is
		e.Pool.Retain(d.Frame)
		i, ok := c.sq.push(e, d, c.sndEnd)
		if !ok {
			e.Pool.Release(d.Frame)
			return false
		}
		if c.cur == 0 {
			c.cur = i
		}
	}
	c.sndEnd += uint64(d.Len)
	c.stall.Waits(e.Now, uint32(c.sndUna), uint32(c.sndEnd))
	return true
}

// sendRoom is how many bytes enqueue may take: what waits to be scheduled is at
// most what the paths take in the next round trip, and all that is kept is at
// most the buffer. Nodes are bounded as if each span were not small.
func (c *conn) sendRoom() uint32 {
	if c.sq.nodes >= 64+2*c.ahead/smallest {
		return 0
	}
	used := max(c.sq.bytes, c.sq.nodes*smallest)
	return min(c.sndBuf-min(c.sndBuf, used), c.ahead-min(c.ahead, c.waiting()))
}

// minAhead may wait however small the congestion windows are.
const minAhead = 64 << 10

// waiting is how much was not scheduled yet.
func (c *conn) waiting() uint32 { return uint32(max(int64(c.sndEnd-c.sndNxt), 0)) }

// await lines a connection up for scheduling: once for all that happens until the
// flows are asked for what they send, so that bursts are large. Segments are then full,
// and the peer's GRO can merge them.
func (s *Set) await(c *conn) {
	if !c.waits {
		c.waits = true
		s.waiters.push(uint64(s.connHandle(c)))
	}
}

// schedule pushes for each connection that awaits it.
func (s *Set) schedule(e *tcp.Env) {
	for h, ok := s.waiters.pop(); ok; h, ok = s.waiters.pop() {
		c := s.conn(Conn(h))
		if c == nil {
			continue
		}
		c.waits = false
		s.push(e, c)
		if s.deadline(c) < c.reported {
			s.markConn(c)
		}
	}
}

// open is how much the peer's window takes: negative if it is exceeded. A Linux receiver
// reckons in the memory that full segments take, and takes nothing any more, not
// even what fills a hole, once what it holds out of order exceeds it: a short
// segment counts as a full one.
func (c *conn) open() int64 { return int64(c.wndEnd-c.sndNxt) - int64(c.lack) }

// push schedules what may go: first what was lost with a path, then new data.
// Every round gives a burst to a subflow or ends, and bursts are bounded by
// the congestion windows.
func (s *Set) push(e *tcp.Env, c *conn) {
	if !c.keyed || c.plain || c.over {
		return
	}
	if c.again == 0 && (c.cur == 0 || s.untold(c) || !c.joined && !after(c.wndEnd, c.sndNxt)) {
		s.pushFin(c)
		s.watch(e, c)
		return
	}
	before := c.waiting()
	sched := schedulers[c.sched]
	d, subs := s.look(e, c)
	for c.again != 0 && s.pushAgain(e, c, d, subs) {
	}
	for c.cur != 0 {
		open := c.open()
		if open <= 0 {
			break
		}
		d.Waits = c.waiting()
		d.Want = uint32(min(int64(d.Waits), open, maxBurst))
		i, burst := sched.Pick(&c.memo, d, subs)
		if i < 0 {
			break
		}
		sf := s.flows.At(subs[i].index)
		n, next := s.burst(e, c, sf, c.cur, c.sndNxt, min(burst, d.Want))
		if n == 0 {
			break
		}
		s.chosen(e, c, subs, i, n, c.sndNxt)
		c.sndNxt += uint64(n)
		c.spare = min(c.spare+n/spareShare, maxSpare)
		c.cur = next
		if len(subs) > 1 {
			c.lack += subs[i].lack(n)
		}
		subs[i].used(n)
	}
	if c.joined && c.cur != 0 && c.again == 0 && c.open() <= 0 && sched.Repeats() {
		s.unblock(e, c, d, subs)
	}
	if half := c.ahead / 2; before >= half && c.waiting() < half && !c.shut {
		s.tell(c, tcp.Writable) // the next DATA_ACK may be long in coming
	}
	s.pushFin(c)
	s.watch(e, c)
}

// unblock is for a connection that is stopped by the peer's window while a
// path has nothing to do: what holds the window up, the oldest data on a slower
// path, is sent there too, each mapping once. It costs what would stay idle, and
// at most a share of all that is sent.
func (s *Set) unblock(e *tcp.Env, c *conn, d Demand, subs []View) {
	d.Want = maxBurst
	i, _ := schedulers[c.sched].Pick(&c.memo, d, subs)
	if i < 0 || subs[i].Unsent > 0 {
		return
	}
	for j := range subs {
		if j == i || !faster(&subs[i], &subs[j]) {
			continue
		}
		sf := s.flows.At(subs[j].index)
		s.settled(c, sf)
		m := s.oldest(c, sf)
		if m == nil || m.resent || m.len > c.spare {
			continue
		}
		m.resent = true
		c.spare -= m.len
		s.Count.Unblocked++
		s.pushRange(c, m.dsn, m.len, m.node, sf.self, CauseWindow)
		for c.again != 0 && s.pushAgain(e, c, d, subs) {
		}
		return
	}
}

const (
	// spareShare: a byte in 16 may be repeated that was not lost.
	spareShare = 16
	// maxSpare is what a long time without repeating anything adds up to.
	maxSpare = 1 << 20
)

// oldest is the mapping of a subflow that holds the byte at sndUna, or nil.
func (s *Set) oldest(c *conn, sf *subflow) *mapping {
	i := sf.tx.head
	for range maxWalk {
		if i == 0 {
			return nil
		}
		m := s.maps.At(i)
		if !after(m.dsn, c.sndUna) && after(m.endDSN(), c.sndUna) {
			return m
		}
		i = m.next
	}
	return nil
}

// burst gives up to n bytes from dsn on, which lie in node i and its
// successors, to a subflow under one mapping. It returns how many were taken
// and the node of the byte after them.
//
// The burst ends with a span rather than within one, so that a span goes out
// as it is; only a window smaller than the first span splits it.
func (s *Set) burst(e *tcp.Env, c *conn, sf *subflow, i uint32, dsn uint64, n uint32) (uint32, uint32) {
	mi, m, ok := s.maps.Alloc()
	if !ok {
		return 0, i
	}
	*m = mapping{dsn: dsn, ssn: sf.wr, node: i, sum: c.csum}
	mark := s.maps.Handle(mi)
	var total uint16
	for i != 0 && m.len < n {
		node := e.Nodes.At(i)
		off := uint32(dsn + uint64(m.len) - node.Mark)
		left := uint32(node.Span.Len) - off
		d := node.Span
		if take := min(left, n-m.len); take < left && m.len > 0 {
			break
		} else if take < uint32(d.Len) {
			d = cut(e.Pool, d, off, take)
		}
		if m.sum {
			d.Sum = sum(e.Pool, d)
			d.Flags |= frame.SumKnown
			total = checksum.Append(total, int(m.len), d.Sum)
			if d.Len == node.Span.Len {
				node.Span = d // for a reinjection
			}
		}
		if !sf.tcp.Send(e, d, mark) {
			break
		}
		m.len += uint32(d.Len)
		if uint32(d.Len) == left {
			i = node.Next
		}
	}
	if m.len == 0 {
		s.maps.Free(mi)
		return 0, i
	}
	m.wire = uint16(m.len)
	m.csum = ^checksum.Add(total, pseudo(m))
	s.link(&sf.tx, sf.tx.tail, mi)
	sf.wr += m.len
	sf.tcp.Credit(m.len)
	s.markFlow(sf)
	s.Count.SchedulerBursts++
	s.Count.BurstBytes += uint64(m.len)
	return m.len, i
}

// pushAgain sends the oldest range that was lost with a path on another one,
// or a part of it. It reports whether there may be more to do.
func (s *Set) pushAgain(e *tcp.Env, c *conn, d Demand, subs []View) bool {
	ai := c.again
	a := s.maps.At(ai)
	if !after(a.endDSN(), c.sndUna) {
		s.popAgain(c)
		return true
	}
	if skip := c.sndUna - a.dsn; after(c.sndUna, a.dsn) {
		a.dsn, a.len, a.node = c.sndUna, a.len-uint32(skip), c.sq.head
	}
	bar(subs, a.origin)
	d.Want = a.len
	i, burst := schedulers[c.sched].Pick(&c.memo, d, subs)
	bar(subs, 0)
	if i < 0 {
		return false
	}
	sf := s.flows.At(subs[i].index)
	n, next := s.burst(e, c, sf, a.node, a.dsn, min(burst, a.len))
	if n == 0 {
		return false
	}
	s.Count.MPTCPRetrans++
	s.record(e, c, sf, Record{Kind: KindReinject, ID: a.from, Code: uint8(a.why), Values: [2]uint64{uint64(n), a.dsn}})
	c.resent = true
	subs[i].used(n)
	if n == a.len {
		s.popAgain(c)
	} else {
		a.dsn, a.len, a.node = a.dsn+uint64(n), a.len-n, next
	}
	return true
}

// reinject queues what a subflow has not delivered to the connection, once
// for each mapping, with the boundaries it had (RFC 8684, 3.3.6).
func (s *Set) reinject(c *conn, sf *subflow, why Cause) {
	for i := sf.tx.head; i != 0; {
		m := s.maps.At(i)
		i = m.next
		if m.resent || !after(m.endDSN(), c.sndUna) {
			continue
		}
		m.resent = true
		s.pushRange(c, m.dsn, m.len, m.node, sf.self, why)
	}
}

// pushRange queues a range for reinjection.
func (s *Set) pushRange(c *conn, dsn uint64, n, node, origin uint32, why Cause) {
	ai, a, ok := s.maps.Alloc()
	if !ok {
		return
	}
	*a = mapping{dsn: dsn, len: n, node: node, origin: origin, why: why}
	if origin != 0 {
		a.from = s.flows.At(origin).remoteID
	}
	if c.again == 0 {
		c.again = ai
	} else {
		s.maps.At(c.againTail).next = ai
	}
	c.againTail = ai
}

func (s *Set) popAgain(c *conn) {
	i := c.again
	c.again = s.maps.At(i).next
	s.maps.Free(i)
}

func (s *Set) clearAgain(c *conn) {
	for c.again != 0 {
		s.popAgain(c)
	}
}

// acked takes a DATA_ACK and the window's right edge that came with it.
func (s *Set) acked(e *tcp.Env, c *conn, ack, edge uint64) {
	if after(ack, c.sndNxt) {
		s.Count.DataAckBeyond++
		return
	}
	if after(edge, c.wndEnd) { // the largest counts (RFC 8684, 3.3.5)
		c.wndEnd = edge
		c.probeAt = tcp.Never
	}
	if !after(ack, c.sndUna) {
		return
	}
	c.lack = uint32(uint64(c.lack) * (c.sndNxt - ack) / (c.sndNxt - c.sndUna)) // as if they were spread evenly
	c.sndUna = ack
	c.stall.Acked(e.Now, uint32(ack), uint32(c.sndEnd))
	c.backoff = 0
	if c.finSent && ack == c.sndNxt {
		c.finAcked = true
		s.tell(c, tcp.Writable) // who lingers waits for it
	}
	freed := false
	for c.sq.head != 0 {
		n := e.Nodes.At(c.sq.head)
		if after(n.Mark+uint64(n.Span.Len), ack) {
			break
		}
		d, _ := c.sq.pop(e)
		e.Pool.Release(d.Frame)
		freed = true
	}
	c.retransAt = tcp.Never
	if c.sndUna != c.sndNxt {
		c.retransAt = e.Now + c.rto
	}
	if freed && !c.shut {
		s.tell(c, tcp.Writable)
	}
}

// pushFin sends the DATA_FIN behind the last byte: it takes one DSN and no
// window (RFC 8684, 3.3.3).
func (s *Set) pushFin(c *conn) {
	if c.shut && !c.finSent && c.sndNxt == c.sndEnd {
		c.finSent = true
		c.sndNxt++
		s.update(c)
	}
}

// finDue reports whether ACKs carry the DATA_FIN.
func (c *conn) finDue() bool { return c.finSent && !c.finAcked }

// watch starts the data-level timers that are needed.
func (s *Set) watch(e *tcp.Env, c *conn) {
	s.explain(e, c)
	if c.sndUna == c.sndNxt && !c.failed {
		c.retransAt = tcp.Never
	} else if c.retransAt == tcp.Never {
		c.retransAt = e.Now + c.rto<<c.backoff
	}
	if c.cur == 0 || after(c.wndEnd, c.sndNxt) || c.sndUna != c.sndNxt {
		c.probeAt = tcp.Never
	} else if c.probeAt == tcp.Never {
		c.probeAt = e.Now + c.rto<<c.backoff
	}
}

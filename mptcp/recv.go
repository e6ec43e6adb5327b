package mptcp

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// maxUnmapped is how much data may wait on a subflow for its mapping: a
// mapping covers at most 64 KiB, so what waits longer will get none
// (RFC 8684, 3.3.1).
const maxUnmapped = 64 << 10

// pull places what a subflow has in order in the connection's stream. It
// reports whether the subflow is still good.
func (s *Set) pull(e *tcp.Env, c *conn, sf *subflow) bool {
	for !c.failed {
		m := s.covering(sf)
		if m == nil && s.skip(e, sf) {
			continue
		}
		if m == nil {
			break
		}
		d, ok := s.take(e, sf)
		if !ok {
			return true
		}
		n := m.end() - sf.rd
		if uint32(d.Len) > n {
			sf.held = spanAt{cut(e.Pool, d, n, uint32(d.Len)-n), sf.rd + n}
			e.Pool.Retain(d.Frame)
			d = cut(e.Pool, d, 0, n)
		}
		at := sf.rd
		sf.rd += uint32(d.Len)
		if !m.sum {
			s.deliver(e, c, sf, d, m.dsn+uint64(at-m.ssn))
		} else if !s.gather(e, c, sf, m, d) {
			return false
		}
	}
	if !c.failed && uint32(sf.held.d.Len)+sf.tcp.Readable() > maxUnmapped {
		// A hole was filled, and what lies behind it has come without options.
		s.Count.NoDSSInWindow++
		s.fallback(e, c, sf, &s.Count.DssFallback)
		return false
	}
	return true
}

// skip drops a span whose mapping was lost: a middlebox that coalesces segments
// keeps the options of one. The data of the next mapping has come, so no
// segment that could bring the lost one is under way but a retransmission; what
// is not DATA_ACKed is sent again (RFC 8684, 3.3.1). It reports whether it did.
func (s *Set) skip(e *tcp.Env, sf *subflow) bool {
	if sf.rx.head == 0 {
		return false
	}
	n := s.maps.At(sf.rx.head).ssn - sf.rd
	if uint32(sf.held.d.Len)+sf.tcp.Readable() <= n {
		return false
	}
	d, ok := s.take(e, sf)
	if !ok {
		return false
	}
	if uint32(d.Len) > n {
		sf.held = spanAt{cut(e.Pool, d, n, uint32(d.Len)-n), sf.rd + n}
		d.Len = uint16(n)
	} else {
		e.Pool.Release(d.Frame)
	}
	sf.rd += uint32(d.Len)
	s.Count.Unmapped += uint64(d.Len)
	return true
}

// take is the next span of the subflow.
func (s *Set) take(e *tcp.Env, sf *subflow) (frame.Span, bool) {
	if sf.held.d.Len > 0 {
		d := sf.held.d
		sf.held = spanAt{}
		return d, true
	}
	d, _, ok := sf.tcp.Recv(e)
	return d, ok
}

// cut is n bytes of d from off on. The rest lives on elsewhere. Of the larger
// part the sum follows from that of the rest; of the smaller one it is taken when
// it is needed.
func cut(p *frame.Pool, d frame.Span, off, n uint32) frame.Span {
	if off == 0 && n == uint32(d.Len) {
		return d
	}
	p.Share(d.Frame)
	k := frame.Span{Frame: d.Frame, Off: d.Off + uint16(off), Len: uint16(n), Flags: d.Flags &^ (frame.SumKnown | frame.More)}
	if d.Flags&frame.SumKnown == 0 || n <= uint32(d.Len)/2 {
		return k
	}
	b, end := p.Bytes(d), off+n
	k.Flags |= frame.SumKnown
	k.Sum = checksum.Sub(d.Sum, checksum.Sum(b[:off]))
	k.Sum = checksum.Sub(k.Sum, checksum.Append(0, int(end), checksum.Sum(b[end:])))
	if off&1 != 0 {
		k.Sum = checksum.Swap(k.Sum)
	}
	return k
}

// sum is the sum of a span, known or taken now.
func sum(p *frame.Pool, d frame.Span) uint16 {
	if d.Flags&frame.SumKnown != 0 {
		return d.Sum
	}
	return checksum.Sum(p.Bytes(d))
}

// gather collects the data of a mapping until its checksum can be verified,
// and delivers it then (RFC 8684, 3.3.1: data must not be passed on before).
func (s *Set) gather(e *tcp.Env, c *conn, sf *subflow, m *mapping, d frame.Span) bool {
	sf.pendSum = checksum.Append(sf.pendSum, int(sf.pend.bytes), sum(e.Pool, d))
	if !sf.pend.put(e, d, 0) {
		e.Pool.Release(d.Frame)
		s.kill(e, c, sf, LackOfResources)
		return false
	}
	if sf.pend.bytes < m.len {
		return true
	}
	total := checksum.Add(checksum.Add(sf.pendSum, pseudo(m)), m.csum)
	sf.pendSum = 0
	if total != 1<<16-1 {
		s.corrupt(e, c, sf, m.dsn)
		return c.failed
	}
	for dsn := m.dsn; ; {
		d, ok := sf.pend.pop(e)
		if !ok {
			return true
		}
		s.deliver(e, c, sf, d, dsn)
		dsn += uint64(d.Len)
	}
}

// pseudo is the sum of a mapping's pseudo-header: the DSN in its 64 bits
// whatever the option has, SSN, length with the DATA_FIN, zero (RFC 8684,
// 3.3.1, Figure 10).
func pseudo(m *mapping) uint16 {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], m.dsn)
	binary.BigEndian.PutUint32(b[8:], m.ssn)
	binary.BigEndian.PutUint16(b[12:], m.wire)
	return checksum.Sum(b[:])
}

// deliver puts a span, whose hold it takes, at dsn of the stream. The first
// copy of a byte wins (RFC 8684, 3.3.1).
func (s *Set) deliver(e *tcp.Env, c *conn, sf *subflow, d frame.Span, dsn uint64) {
	end := dsn + uint64(d.Len)
	switch {
	case !after(end, c.rcvNxt):
		s.Count.DuplicateData++
		if d.Len == 1 {
			sf.probes++
		}
		if !planted {
			e.Pool.Release(d.Frame)
		}
		return
	case after(end, c.limit()) || c.finKnown && after(end, c.rcvFin):
		s.Count.OutOfWindow++
		e.Pool.Release(d.Frame)
		return
	case before(dsn, c.rcvNxt):
		skip := uint32(c.rcvNxt - dsn)
		d = cut(e.Pool, d, skip, uint32(d.Len)-skip)
		dsn = c.rcvNxt
	}
	if c.released {
		// Nobody reads: the peer must not go on for ever (RFC 1122,
		// 4.2.2.13).
		e.Pool.Release(d.Frame)
		s.abort(e, c, tcp.Aborted)
		return
	}
	if dsn != c.rcvNxt || c.ofo.head != 0 && after(end, e.Nodes.At(c.ofo.head).Mark) {
		s.early(e, c, sf, d, dsn)
	} else if c.rq.put(e, d, dsn) {
		c.rcvNxt = end
	} else {
		s.Count.RcvPressure++
		e.Pool.Release(d.Frame)
		return
	}
	s.drain(e, c)
}

// limit is the first DSN that is not taken. It is one buffer beyond the window:
// Linux adds a subflow's last window, which it does not lower on duplicate
// ACKs, to the newest DATA_ACK, and so sends more than was promised. What is
// dropped here was acknowledged on its subflow, and Linux would repair it by one
// data-level timeout for each 64 KiB.
func (c *conn) limit() uint64 {
	read := c.rcvNxt - uint64(c.rq.bytes)
	if slack := read + 2*uint64(c.rcv.Bound()); after(slack, c.rcvEdge) {
		return slack
	}
	return c.rcvEdge
}

// free is the room of the receive buffer. The queue out of order lies inside
// the window and takes nothing from it; but small spans pay for the frames
// they pin.
func (c *conn) free(e *tcp.Env) uint32 {
	used := max(c.rq.bytes, c.rq.nodes*smallest)
	return e.Windows.Open(c.rcv.Size() - min(c.rcv.Size(), used))
}

// smallest is what a span costs at least of a buffer.
const smallest = 512

// crowded reports whether small spans use the buffer up.
func (c *conn) crowded() bool { return (c.rq.nodes+c.ofo.nodes)*smallest > 2*c.rcv.Bound() }

// dataFin takes a DATA_FIN at dsn.
func (s *Set) dataFin(e *tcp.Env, c *conn, sf *subflow, dsn uint64) {
	sf.tcp.AckNow() // also when it is one more copy: our DATA_ACK was lost
	if c.finKnown || before(dsn, c.rcvNxt) {
		return
	}
	c.finKnown, c.rcvFin = true, dsn
	s.drain(e, c)
}

// window is what to announce now, relative to the DATA_ACK. Its right edge
// never moves back (RFC 8684, 3.3.4).
func (c *conn) window(e *tcp.Env) uint32 {
	promised := max(int64(c.rcvEdge-c.rcvNxt), 0)
	return uint32(max(promised, int64(c.free(e))))
}

// fit adjusts the receive buffer after n bytes were read: it is to hold twice
// what all paths deliver in the longest round trip among them (RFC 8684, 3.3.1).
func (s *Set) fit(e *tcp.Env, c *conn, n uint32) {
	if !c.rcv.Took(e.Now, n, max(c.rcvRTT, tcp.Millisecond)) {
		return
	}
	c.rcvRTT = 0
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.usable() && !sf.stale {
			c.rcvRTT = max(c.rcvRTT, sf.tcp.RcvRTT())
		}
	}
	if c.rcv.Took(e.Now, 0, c.rcvRTT) {
		c.rcv.Fit(e, c.rcvRTT, c.rq.bytes+uint32(max(int64(c.rcvEdge-c.rcvNxt), 0)))
	}
}

// opened reports whether the window grew so much since it was last announced
// that the peer should hear of it unasked: it was nearly closed and doubled,
// or it grew by a quarter of the buffer.
func (c *conn) opened(e *tcp.Env) bool {
	left := int64(c.rcvEdge - c.rcvNxt)
	grown := int64(c.free(e)) - left
	size := int64(c.rcv.Size())
	if grown >= size/4 {
		return true
	}
	return left < size/8 && grown >= max(left, 2*1460)
}

// update sends a window update. Every subflow carries it: the peer may have
// remembered a smaller one for each (RFC 8684, 3.3.5).
func (s *Set) update(c *conn) {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if sf.usable() {
			sf.owesFin = c.finDue() // also if data goes first, and takes the ACK along
			sf.tcp.AckNow()
			s.markFlow(sf)
		}
	}
}

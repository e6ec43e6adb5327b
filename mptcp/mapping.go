package mptcp

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// mapping places a run of a subflow in the connection's sequence space
// (RFC 8684, 3.3.1). Its byte i has SSN ssn+i and DSN dsn+i.
type mapping struct {
	dsn  uint64
	ssn  uint32
	len  uint32 // bytes of payload, without a DATA_FIN
	next uint32
	prev uint32

	node   uint32 // sending: the node of the connection's queue with its first byte
	origin uint32 // reinjection: the subflow it was sent on, not to be used again
	csum   uint16
	wire   uint16 // length in the option: counts a DATA_FIN (for the checksum)
	sum    bool   // csum is to be checked
	resent bool   // sending: it was queued for another subflow
	why    Cause  // reinjection
	from   uint8  // reinjection: the remote id of origin
}

func (m *mapping) end() uint32    { return m.ssn + m.len }
func (m *mapping) endDSN() uint64 { return m.dsn + uint64(m.len) }

// offset is the same for mappings that agree.
func (m *mapping) offset() uint64 { return m.dsn - uint64(m.ssn) }

// mappings is a list ordered by SSN.
type mappings struct {
	head, tail uint32
	hint       uint32 // touched last: the next one is near
	n          uint32
}

// spanAt is a span and the SSN of its first byte.
type spanAt struct {
	d  frame.Span
	at uint32
}

// maxMappings bounds what a peer may declare ahead of its data: a window of
// 4 MiB with a mapping for each segment.
const maxMappings = 4096

// maxWalk bounds the search for the place of a mapping, and on average that for
// the place of a span. Honest
// peers are within a few steps of the hint.
const maxWalk = 1024

func (s *Set) clear(l *mappings) {
	for i := l.head; i != 0; {
		next := s.maps.At(i).next
		s.maps.Free(i)
		i = next
	}
	*l = mappings{}
}

// link puts mapping i behind mapping at; 0 is the front.
func (s *Set) link(l *mappings, at, i uint32) {
	m := s.maps.At(i)
	m.prev = at
	if at == 0 {
		m.next, l.head = l.head, i
	} else {
		p := s.maps.At(at)
		m.next, p.next = p.next, i
	}
	if m.next == 0 {
		l.tail = i
	} else {
		s.maps.At(m.next).prev = i
	}
	l.hint = i
	l.n++
}

// drop takes mapping i out and frees it.
func (s *Set) drop(l *mappings, i uint32) {
	m := s.maps.At(i)
	if m.prev == 0 {
		l.head = m.next
	} else {
		s.maps.At(m.prev).next = m.next
	}
	if m.next == 0 {
		l.tail = m.prev
	} else {
		s.maps.At(m.next).prev = m.prev
	}
	if l.hint == i {
		l.hint = l.head
	}
	l.n--
	s.maps.Free(i)
}

// outcome of declare.
type outcome uint8

const (
	taken outcome = iota
	known
	useless  // all of it was read already
	conflict // it contradicts an earlier one, which stays (RFC 8684, 3.3.1: "MUST NOT be changed")
	overflow
)

// declare adds a mapping of the peer. Those without checksum that continue
// each other become one; with checksum each must be kept as it was made.
func (s *Set) declare(sf *subflow, m mapping) outcome {
	l := &sf.rx
	if int32(m.end()-sf.rd) <= 0 || m.len == 0 {
		return useless
	}
	at, ok := s.find(l, m.ssn)
	if !ok {
		return overflow
	}
	if at != 0 {
		p := s.maps.At(at)
		if !m.sum && !p.sum && p.offset() == m.offset() && int32(m.ssn-p.end()) <= 0 {
			return s.extend(l, p, m.end())
		}
		if int32(p.end()-m.ssn) > 0 {
			return agree(p, &m)
		}
	}
	next := l.head
	if at != 0 {
		next = s.maps.At(at).next
	}
	if next != 0 {
		if n := s.maps.At(next); int32(m.end()-n.ssn) > 0 {
			if m.sum || n.sum || n.offset() != m.offset() {
				return agree(n, &m)
			}
			end := m.end()
			n.dsn, n.len, n.ssn = m.dsn, n.end()-m.ssn, m.ssn
			return s.extend(l, n, end)
		}
	}
	if l.n >= maxMappings {
		return overflow
	}
	i, v, ok := s.maps.Alloc()
	if !ok {
		return overflow
	}
	*v = m
	s.link(l, at, i)
	return taken
}

// agree tells a repetition from a contradiction. A sender that ended meanwhile
// counts its DATA_FIN in what it repeats: the length on the wire is one more, and
// the checksum covers it (RFC 8684, 3.3.3). Either goes with its own length.
func agree(old, m *mapping) outcome {
	if old.ssn == m.ssn && old.dsn == m.dsn && old.len == m.len && (old.wire != m.wire || old.csum == m.csum) {
		return known
	}
	return conflict
}

// extend lets p reach up to end, or to the next mapping.
func (s *Set) extend(l *mappings, p *mapping, end uint32) outcome {
	if int32(end-p.end()) <= 0 {
		return known
	}
	for p.next != 0 {
		n := s.maps.At(p.next)
		if int32(end-n.ssn) < 0 {
			break
		}
		if n.sum || n.offset() != p.offset() {
			p.len = n.ssn - p.ssn
			if end == n.ssn {
				return taken
			}
			return conflict
		}
		if int32(n.end()-end) > 0 {
			end = n.end()
		}
		s.drop(l, p.next)
	}
	p.len = end - p.ssn
	return taken
}

// find is the last mapping that begins at or before ssn; 0: none does. It
// walks from the hint.
func (s *Set) find(l *mappings, ssn uint32) (uint32, bool) {
	i := l.hint
	if i == 0 {
		i = l.tail
	}
	if l.tail != 0 && int32(s.maps.At(l.tail).ssn-ssn) <= 0 {
		return l.tail, true
	}
	for range maxWalk {
		if i == 0 {
			return 0, true
		}
		m := s.maps.At(i)
		if int32(m.ssn-ssn) > 0 {
			i = m.prev
			continue
		}
		if m.next == 0 || int32(s.maps.At(m.next).ssn-ssn) > 0 {
			return i, true
		}
		i = m.next
	}
	return 0, false
}

// covering is the mapping that places the next byte of the subflow; those
// that are behind it are freed.
func (s *Set) covering(sf *subflow) *mapping {
	for sf.rx.head != 0 {
		m := s.maps.At(sf.rx.head)
		if int32(m.end()-sf.rd) > 0 {
			if int32(m.ssn-sf.rd) > 0 {
				return nil
			}
			return m
		}
		s.drop(&sf.rx, sf.rx.head)
	}
	return nil
}

// settled frees our own mappings of a subflow, oldest first, that are
// acknowledged on it and at the connection.
func (s *Set) settled(c *conn, sf *subflow) {
	acked := uint32(sf.una - sf.iss)
	for i := sf.tx.head; i != 0; i = sf.tx.head {
		m := s.maps.At(i)
		if int32(m.end()-acked) > 0 || after(m.endDSN(), c.sndUna) {
			return
		}
		s.drop(&sf.tx, i)
	}
}

// ssnOf is the subflow sequence number of seq.
func ssnOf(isn, seq tcp.Seq) uint32 { return uint32(seq - isn) }

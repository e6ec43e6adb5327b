package mptcp

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/tcp"
)

// room is how many bytes an outgoing segment's header still has for options.
func room(seg *tcp.Segment) int { return tcp.MaxHeader - seg.HeaderLen() }

// begin takes n bytes of seg's raw options and writes kind, length and
// subtype. The caller has made sure that they fit.
func begin(seg *tcp.Segment, t subtype, low uint8, n int) []byte {
	b := seg.Raw[seg.RawLen:][:n]
	seg.RawLen += uint8(n)
	b[0], b[1], b[2] = tcp.KindMPTCP, uint8(n), uint8(t)<<4|low
	return b
}

// put writes an MP_CAPABLE of c.size bytes.
func (c *capableOption) put(seg *tcp.Segment) {
	b := begin(seg, subCapable, c.version, int(c.size))
	b[3] = c.flags
	if c.size >= 12 {
		binary.BigEndian.PutUint64(b[4:], c.sender)
	}
	if c.size >= 20 {
		binary.BigEndian.PutUint64(b[12:], c.receiver)
	}
	if c.size >= 22 {
		binary.BigEndian.PutUint16(b[20:], c.length)
	}
	if c.size == 24 {
		binary.BigEndian.PutUint16(b[22:], c.csum)
	}
}

// put writes an MP_JOIN of j.size bytes.
func (j *joinOption) put(seg *tcp.Segment) {
	b := begin(seg, subJoin, bit(j.backup), int(j.size))
	b[3] = j.id
	switch j.size {
	case 12:
		binary.BigEndian.PutUint32(b[4:], j.token)
		binary.BigEndian.PutUint32(b[8:], j.nonce)
	case 16:
		copy(b[4:12], j.mac[:])
		binary.BigEndian.PutUint32(b[12:], j.nonce)
	case 24:
		b[2], b[3] = uint8(subJoin)<<4, 0 // reserved (RFC 8684, 3.2)
		copy(b[4:], j.mac[:])
	}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// size is how many bytes put writes.
func (d *dssOption) size() int {
	n := 4
	if d.flags&dssAck != 0 {
		n += width(d.flags & dssAck64)
	}
	if d.flags&dssMap != 0 {
		n += width(d.flags&dssDSN64) + 6
		if d.sum {
			n += 2
		}
	}
	return n
}

// put writes a DSS.
func (d *dssOption) put(seg *tcp.Segment) {
	b := begin(seg, subDSS, 0, d.size())
	b[3] = d.flags
	b = b[4:]
	if d.flags&dssAck != 0 {
		b = putNumber(b, d.ack, width(d.flags&dssAck64))
	}
	if d.flags&dssMap == 0 {
		return
	}
	b = putNumber(b, d.dsn, width(d.flags&dssDSN64))
	binary.BigEndian.PutUint32(b, d.ssn)
	binary.BigEndian.PutUint16(b[4:], d.length)
	if d.sum {
		binary.BigEndian.PutUint16(b[6:], d.csum)
	}
}

func putNumber(b []byte, v uint64, w int) []byte {
	if w == 8 {
		binary.BigEndian.PutUint64(b, v)
	} else {
		binary.BigEndian.PutUint32(b, uint32(v))
	}
	return b[w:]
}

// size is how many bytes put writes.
func (a *addrOption) size() int {
	n := 4 + len(a.addr.Bytes())
	if a.hasPort {
		n += 2
	}
	if a.signed {
		n += 8
	}
	return n
}

// put writes an ADD_ADDR.
func (a *addrOption) put(seg *tcp.Segment, p profile) {
	low := bit(a.echo)
	if p == v0 {
		low = a.family()
	}
	b := begin(seg, subAddAddr, low, a.size())
	b[3] = a.id
	n := 4 + copy(b[4:], a.addr.Bytes())
	if a.hasPort {
		binary.BigEndian.PutUint16(b[n:], a.port)
		n += 2
	}
	if a.signed {
		binary.BigEndian.PutUint64(b[n:], a.mac)
	}
}

// put writes a REMOVE_ADDR.
func (r *removeOption) put(seg *tcp.Segment) {
	copy(begin(seg, subRemoveAddr, 0, 3+int(r.n))[3:], r.ids[:r.n])
}

// put writes an MP_PRIO; only one of version 0 has an id.
func (r prioOption) put(seg *tcp.Segment) {
	if r.hasID {
		begin(seg, subPrio, bit(r.backup), 4)[3] = r.id
		return
	}
	begin(seg, subPrio, bit(r.backup), 3)
}

func putFail(seg *tcp.Segment, dsn uint64) {
	b := begin(seg, subFail, 0, 12)
	b[3] = 0
	binary.BigEndian.PutUint64(b[4:], dsn)
}

func putFastclose(seg *tcp.Segment, key uint64) {
	b := begin(seg, subFastclose, 0, 12)
	b[3] = 0
	binary.BigEndian.PutUint64(b[4:], key)
}

func (r resetOption) put(seg *tcp.Segment) {
	begin(seg, subReset, bit(r.transient), 4)[3] = uint8(r.reason)
}

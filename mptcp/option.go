package mptcp

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/tcp"
)

// subtype is the kind of an MPTCP option (RFC 8684, 8.2).
type subtype uint8

const (
	subCapable subtype = iota
	subJoin
	subDSS
	subAddAddr
	subRemoveAddr
	subPrio
	subFail
	subFastclose
	subReset
)

// Flags of MP_CAPABLE (RFC 8684, 3.1).
const (
	capChecksum  = 0x80 // A
	capExtension = 0x40 // B
	capNoJoin    = 0x20 // C
	capHMAC      = 0x01 // H: HMAC-SHA256, or HMAC-SHA1 in version 0
)

// Flags of DSS (RFC 8684, 3.3).
const (
	dssAck    = 0x01 // A
	dssAck64  = 0x02 // a
	dssMap    = 0x04 // M
	dssDSN64  = 0x08 // m
	dssFin    = 0x10 // F
	dssLegend = 0x1f
)

// options are the MPTCP options of one segment, as they stand on the wire. Of
// several with one subtype the first counts.
type options struct {
	has uint16 // bits by subtype
	bad uint8  // options that were malformed or unknown

	cap   capableOption
	join  joinOption
	dss   dssOption
	add   addrOption
	rm    removeOption
	fail  uint64 // DSN
	close uint64 // key
	reset resetOption
	prio  prioOption
}

type capableOption struct {
	version uint8
	flags   uint8
	size    uint8  // of the option: tells the segments of the handshake apart
	length  uint16 // of the data, size 22 and 24
	csum    uint16 // size 24
	sender,
	receiver uint64
}

type joinOption struct {
	size   uint8 // 12: SYN, 16: SYN-ACK, 24: ACK
	backup bool
	id     uint8
	token  uint32
	nonce  uint32
	mac    [20]byte // 8 bytes in a SYN-ACK
}

type dssOption struct {
	flags  uint8
	sum    bool // a checksum is there
	length uint16
	csum   uint16
	ssn    uint32
	ack    uint64
	dsn    uint64
}

type addrOption struct {
	echo    bool
	signed  bool // mac is there
	hasPort bool
	id      uint8
	port    uint16
	addr    tcp.Addr
	mac     uint64
}

// prioOption asks to use a path last, or no longer so. With an id, which only
// version 0 has, it means all subflows of that address of the sender.
type prioOption struct {
	backup bool
	hasID  bool
	id     uint8
}

// removeOption holds address ids: as many as an option can carry.
type removeOption struct {
	n   uint8
	ids [37]uint8
}

type resetOption struct {
	transient bool
	reason    Reset
}

func (o *options) is(t subtype) bool { return o.has&(1<<t) != 0 }

// parse reads the options of kind 30 that tcp kept raw, of a connection with
// profile p; those that begin a connection or join one have the same form in all. Malformed options are
// skipped and counted in bad.
func (o *options) parse(p profile, raw []byte) {
	o.has, o.bad = 0, 0
	for len(raw) >= 2 && int(raw[1]) >= 2 && int(raw[1]) <= len(raw) {
		b := raw[:raw[1]]
		raw = raw[raw[1]:]
		if len(b) < 3 {
			o.bad++
			continue
		}
		t := subtype(b[2] >> 4)
		if o.is(t) {
			continue
		}
		if o.one(p, t, b) {
			o.has |= 1 << t
		} else {
			o.bad++
		}
	}
}

// one reads option b of subtype t.
func (o *options) one(p profile, t subtype, b []byte) bool {
	switch t {
	case subCapable:
		return o.cap.parse(b)
	case subJoin:
		return o.join.parse(b)
	case subDSS:
		return o.dss.parse(b)
	case subAddAddr:
		return o.add.parse(p, b)
	case subRemoveAddr:
		o.rm.n = uint8(copy(o.rm.ids[:], b[3:]))
		return len(b) > 3
	case subPrio:
		return o.prio.parse(p, b)
	case subFail:
		if len(b) == 12 {
			o.fail = binary.BigEndian.Uint64(b[4:])
		}
		return len(b) == 12
	case subFastclose:
		if len(b) == 12 {
			o.close = binary.BigEndian.Uint64(b[4:])
		}
		return len(b) == 12
	case subReset:
		if len(b) == 4 {
			o.reset = resetOption{transient: b[2]&1 != 0, reason: Reset(b[3])}
		}
		return len(b) == 4
	}
	return false
}

func (c *capableOption) parse(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	*c = capableOption{version: b[2] & 0xf, flags: b[3], size: uint8(len(b))}
	switch len(b) {
	case 4:
	case 12:
		c.sender = binary.BigEndian.Uint64(b[4:])
	case 20, 22, 24:
		c.sender = binary.BigEndian.Uint64(b[4:])
		c.receiver = binary.BigEndian.Uint64(b[12:])
		if len(b) >= 22 {
			c.length = binary.BigEndian.Uint16(b[20:])
		}
		if len(b) == 24 {
			c.csum = binary.BigEndian.Uint16(b[22:])
		}
	default:
		return false
	}
	return true
}

func (j *joinOption) parse(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	*j = joinOption{size: uint8(len(b)), backup: b[2]&1 != 0, id: b[3]}
	switch len(b) {
	case 12:
		j.token = binary.BigEndian.Uint32(b[4:])
		j.nonce = binary.BigEndian.Uint32(b[8:])
	case 16:
		copy(j.mac[:8], b[4:])
		j.nonce = binary.BigEndian.Uint32(b[12:])
	case 24:
		copy(j.mac[:], b[4:])
	default:
		return false
	}
	return true
}

func (d *dssOption) parse(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	*d = dssOption{flags: b[3] & dssLegend}
	n := 4
	if d.flags&dssAck != 0 {
		w := width(d.flags & dssAck64)
		if len(b) < n+w {
			return false
		}
		d.ack = number(b[n : n+w])
		n += w
	}
	if d.flags&dssMap != 0 {
		w := width(d.flags & dssDSN64)
		if len(b) < n+w+6 {
			return false
		}
		d.dsn = number(b[n : n+w])
		n += w
		d.ssn = binary.BigEndian.Uint32(b[n:])
		d.length = binary.BigEndian.Uint16(b[n+4:])
		n += 6
		if len(b) == n+2 {
			d.sum = true
			d.csum = binary.BigEndian.Uint16(b[n:])
			n += 2
		}
	}
	return len(b) == n
}

// width is how many bytes a sequence number of a DSS takes.
func width(long uint8) int {
	if long != 0 {
		return 8
	}
	return 4
}

func number(b []byte) uint64 {
	if len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return uint64(binary.BigEndian.Uint32(b))
}

// parse reads MP_PRIO (RFC 8684, 3.3.8; RFC 6824, 3.3.8).
func (r *prioOption) parse(p profile, b []byte) bool {
	*r = prioOption{backup: b[2]&1 != 0}
	if p == v0 && len(b) == 4 {
		r.hasID, r.id = true, b[3]
		return true
	}
	return len(b) == 3
}

// parse reads ADD_ADDR. In version 1 the low bits beside the subtype are flags,
// and the family follows from the length (RFC 8684, 3.4.1); in version 0 they
// are the family's number, and no HMAC follows (RFC 6824, 3.4.1).
func (a *addrOption) parse(p profile, b []byte) bool {
	n, low := len(b), b[2]&0xf
	if n < 8 {
		return false
	}
	*a = addrOption{id: b[3]}
	if p != v0 {
		a.echo, a.signed = low&1 != 0, low&1 == 0
	}
	if a.signed {
		if n < 16 {
			return false
		}
		n -= 8
		a.mac = binary.BigEndian.Uint64(b[n:])
	}
	switch n {
	case 8, 10:
		a.addr = tcp.AddrFrom4([4]byte(b[4:8]))
	case 20, 22:
		a.addr = tcp.Addr(b[4:20])
	default:
		return false
	}
	if n == 10 || n == 22 {
		a.hasPort = true
		a.port = binary.BigEndian.Uint16(b[n-2:])
	}
	return p != v0 || low == a.family()
}

// family is the IP version, as version 0 has it in ADD_ADDR.
func (a *addrOption) family() uint8 {
	if a.addr.Is4() {
		return 4
	}
	return 6
}

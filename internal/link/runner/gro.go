package runner

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
)

// Receive offload. The interface at a path's end may merge what arrives, as the
// drivers of NICs and radios do for their kernels (GRO): consecutive segments of one flow
// that leave the link in one round become one super-packet. Linux cannot do it on
// veth at a bearable price, where each packet is a round of its own. The link itself, its
// queue, loss and lateness included, knows nothing of it.

const (
	ethLen    = 14
	maxHeader = ethLen + 40 + 60 // without extension headers
	// maxSuper is the longest super-packet: what IPv4's length can tell, less a
	// margin for headers.
	maxSuper = 65000

	vnetHdrLen  = 2
	vnetGSOSize = 4
	vnetStart   = 6
	vnetOffset  = 8

	gsoTCPv4 = 1
	gsoTCPv6 = 4

	flagsPSH = 8
	flagsACK = 16
)

// super is a super-packet in the making: the last message of a batch.
type super struct {
	segment        // the first of it
	frames  int    // 0: nothing may join
	next    uint32 // sequence number of what may join
	bytes   int    // payload so far
}

// segment is where the parts of a TCP segment lie in its frame.
type segment struct {
	frame    []byte
	tcp      int // offset of the TCP header
	data     int // offset of the payload
	seq      uint32
	last     bool // nothing may follow: PSH
	verified bool // its checksum is right
}

// merge has a frame join the last message of the batch, or reports false.
func (b *batch) merge(from *port, a *arrived) bool {
	s := parse(from.frame(a))
	if s.data == 0 || from.partial(a) {
		b.last.frames = 0
		return false
	}
	if !b.last.takes(&s) {
		b.last = super{segment: s, frames: 1, next: s.seq + uint32(s.payload()), bytes: s.payload()}
		if s.last {
			b.last.frames = 0
		}
		return false
	}
	l := &b.last
	if l.frames == 1 {
		b.open()
	}
	b.part(s.frame[s.data:])
	l.frames++
	b.frames[b.n-1]++
	l.next += uint32(s.payload())
	l.bytes += s.payload()
	b.head(s.last)
	if s.last || s.payload() < l.payload() {
		l.frames = 0
	}
	return true
}

func (s *segment) payload() int { return len(s.frame) - s.data }

// takes tells whether s is the next segment of the super-packet: of the same flow,
// with the same acknowledgement, window and options, and intact.
func (l *super) takes(s *segment) bool {
	if l.frames == 0 || s.seq != l.next || s.tcp != l.tcp || s.data != l.data ||
		s.payload() > l.payload() || l.bytes+s.payload() > maxSuper {
		return false
	}
	a, b := l.frame, s.frame
	ip := l.tcp - ethLen
	same := string(a[:ethLen]) == string(b[:ethLen]) &&
		string(a[l.tcp:l.tcp+4]) == string(b[l.tcp:l.tcp+4]) && // ports
		string(a[l.tcp+8:l.tcp+13]) == string(b[l.tcp+8:l.tcp+13]) && // ACK, data offset
		(a[l.tcp+13]^b[l.tcp+13])&^flagsPSH == 0 &&
		string(a[l.tcp+14:l.tcp+16]) == string(b[l.tcp+14:l.tcp+16]) && // window
		string(a[l.tcp+20:l.data]) == string(b[l.tcp+20:l.data]) // options
	if ip == 20 {
		same = same && a[15] == b[15] && string(a[20:24]) == string(b[20:24]) && string(a[26:34]) == string(b[26:34])
	} else {
		same = same && string(a[14:18]) == string(b[14:18]) && string(a[20:54]) == string(b[20:54])
	}
	return same && l.verify() && s.verify()
}

// verify computes the checksum once. A damaged frame must reach its kernel as it is.
func (s *segment) verify() bool {
	if !s.verified {
		s.verified = checksum.Add(s.pseudo(len(s.frame)-s.tcp), checksum.Sum(s.frame[s.tcp:])) == 0xffff
	}
	return s.verified
}

func (s *segment) pseudo(n int) uint16 {
	if s.tcp == ethLen+20 {
		return checksum.Pseudo(s.frame[26:30], s.frame[30:34], 6, n)
	}
	return checksum.Pseudo(s.frame[22:38], s.frame[38:54], 6, n)
}

// open gives the last message, so far a frame, a header of its own.
func (b *batch) open() {
	l := &b.last
	b.parts--
	head := b.heads[b.n-1][:vnetLen+l.data]
	clear(head[:vnetLen])
	copy(head[vnetLen:], l.frame[:l.data])
	b.part(head)
	b.part(l.frame[l.data:])
}

// head brings the header of the last message up to date.
func (b *batch) head(push bool) {
	l := &b.last
	m := &b.msgs[b.n-1]
	m.hdr.SetIovlen(1 + l.frames)
	v := b.heads[b.n-1][:vnetLen+l.data]
	h := v[vnetLen:]
	v[vnetFlags] = vnetPartial
	binary.LittleEndian.PutUint16(v[vnetHdrLen:], uint16(l.data))
	binary.LittleEndian.PutUint16(v[vnetGSOSize:], uint16(l.payload()))
	binary.LittleEndian.PutUint16(v[vnetStart:], uint16(l.tcp))
	binary.LittleEndian.PutUint16(v[vnetOffset:], 16)
	n := l.data - l.tcp + l.bytes
	if l.tcp == ethLen+20 {
		v[vnetGSO] = gsoTCPv4
		binary.BigEndian.PutUint16(h[16:], uint16(20+n))
		binary.BigEndian.PutUint16(h[24:], 0)
		binary.BigEndian.PutUint16(h[24:], ^checksum.Sum(h[14:34]))
	} else {
		v[vnetGSO] = gsoTCPv6
		binary.BigEndian.PutUint16(h[18:], uint16(n))
	}
	if push {
		h[l.tcp+13] |= flagsPSH
	}
	// What is left to be done is added to the pseudo-header's sum.
	binary.BigEndian.PutUint16(h[l.tcp+16:], l.pseudo(n))
}

// parse finds the segment in a frame if it is one that may be merged: TCP with
// payload, no flag but ACK and PSH, no IP options or fragments, no padding.
func parse(f []byte) (s segment) {
	if len(f) < ethLen+20 {
		return s
	}
	tcp := 0
	switch {
	case f[12] == 0x08 && f[13] == 0x00 && f[14] == 0x45 && f[23] == 6 && f[20]&0x3f == 0 && f[21] == 0 &&
		int(binary.BigEndian.Uint16(f[16:])) == len(f)-ethLen:
		tcp = ethLen + 20
	case f[12] == 0x86 && f[13] == 0xdd && f[14]>>4 == 6 && f[20] == 6 && len(f) >= ethLen+40 &&
		int(binary.BigEndian.Uint16(f[18:])) == len(f)-ethLen-40:
		tcp = ethLen + 40
	default:
		return s
	}
	if len(f) < tcp+20 {
		return s
	}
	data := tcp + int(f[tcp+12]>>4)*4
	if data < tcp+20 || data >= len(f) || f[tcp+12]&0xf != 0 || f[tcp+13]&^flagsPSH != flagsACK {
		return s
	}
	return segment{frame: f, tcp: tcp, data: data, seq: binary.BigEndian.Uint32(f[tcp+4:]), last: f[tcp+13]&flagsPSH != 0}
}

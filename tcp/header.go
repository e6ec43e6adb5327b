package tcp

import "encoding/binary"

// MinHeader and MaxHeader bound a header's length.
const (
	MinHeader = 20
	MaxHeader = 60
)

//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	|          Source port          |       Destination port        |
//	|                        Sequence number                        |
//	|                     Acknowledgement number                    |
//	| Offset| Rsrvd |    Flags      |            Window             |
//	|           Checksum            |         Urgent pointer        |
//	|                     Options, 0 to 40 bytes                    |
//
// (RFC 9293, 3.1)

// Parse reads the header at the start of b into seg and returns its length.
// It overwrites all that is said of an incoming segment but Data and Len. It
// reports false when the header is cut short or its offset lies. Malformed
// options are not an error: those before the bad one count.
func (seg *Segment) Parse(b []byte) (n int, ok bool) {
	if len(b) < MinHeader {
		return 0, false
	}
	n = int(b[12]>>4) * 4
	if n < MinHeader || n > len(b) {
		return 0, false
	}
	seg.Seq = Seq(binary.BigEndian.Uint32(b[4:]))
	seg.Ack = Seq(binary.BigEndian.Uint32(b[8:]))
	seg.Flags = Flags(b[13])
	seg.Wnd = binary.BigEndian.Uint16(b[14:])
	seg.Urg = binary.BigEndian.Uint16(b[18:])
	seg.RawLen = 0
	seg.Opts.Has, seg.Opts.NSACK = 0, 0
	seg.NoDup, seg.NoRoom = false, false
	if n > MinHeader {
		seg.parse(b[MinHeader:n])
	}
	return n, true
}

// Ports of a header that Parse accepted.
func Ports(b []byte) (src, dst uint16) {
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}

// HeaderLen is how many bytes Put writes.
func (seg *Segment) HeaderLen() int {
	if seg.tight() {
		return MinHeader + (lenTS+int(seg.RawLen)+3)&^3
	}
	return MinHeader + seg.padded()
}

// padded is the length of the options as they stand by default.
func (seg *Segment) padded() int { return seg.Opts.size() + (int(seg.RawLen)+3)&^3 }

// tight reports whether the options fit only without the two NOPs in front of
// the timestamps (RFC 7323, appendix A recommends them): an ADD_ADDR with an IPv6 address
// and a port takes 30 bytes, and timestamps must stand in every segment.
func (seg *Segment) tight() bool {
	return seg.padded() > MaxOptions && seg.Opts.Has == HasTS && seg.Opts.NSACK == 0
}

// Put writes the header into b, HeaderLen bytes, with a zero checksum. The
// options must fit: HeaderLen at most MaxHeader.
func (seg *Segment) Put(b []byte, src, dst uint16) {
	n := seg.HeaderLen()
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	binary.BigEndian.PutUint32(b[4:], uint32(seg.Seq))
	binary.BigEndian.PutUint32(b[8:], uint32(seg.Ack))
	b[12], b[13] = uint8(n/4)<<4, uint8(seg.Flags)
	binary.BigEndian.PutUint16(b[14:], seg.Wnd)
	binary.BigEndian.PutUint16(b[16:], 0)
	binary.BigEndian.PutUint16(b[18:], seg.Urg)
	m := MinHeader
	if seg.tight() {
		m += seg.Opts.putTS(b[m:])
	} else {
		m += seg.Opts.put(b[m:n])
	}
	m += copy(b[m:], seg.Raw[:seg.RawLen])
	for ; m < n; m++ {
		b[m] = optNop
	}
}

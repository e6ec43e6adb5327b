package script

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mpxd/mpxd/internal/checksum"
)

// The numbers of the protocols spoken here.
const (
	etherIPv4, etherARP, etherIPv6 = 0x0800, 0x0806, 0x86dd
	protoICMP, protoTCP, protoICM6 = 1, 6, 58
	etherLen, ipv4Len, ipv6Len     = 14, 20, 40
)

// The stations of the one link: the host under test, and the script, which
// plays every other station and router.
var (
	ourMAC  = [6]byte{2, 0, 0, 0, 0, 1}
	peerMAC = [6]byte{2, 0, 0, 0, 0, 2}
)

// datagram is an IP packet taken out of its frame.
type datagram struct {
	src, dst netip.Addr
	proto    uint8
	ecn      uint8
	body     []byte
}

// parseFrame checks a frame from the host under test as strictly as a
// receiver would, and returns what it carries. An ARP frame has the protocol 0.
func parseFrame(b []byte) (etherType uint16, d datagram, err error) {
	if len(b) < etherLen {
		return 0, d, errors.New("a frame without Ethernet header")
	}
	if [6]byte(b[6:]) != ourMAC {
		return 0, d, fmt.Errorf("the source address of a frame is %x", b[6:12])
	}
	etherType = binary.BigEndian.Uint16(b[12:])
	b = b[etherLen:]
	switch etherType {
	case etherIPv4:
		err = d.parse4(b)
	case etherIPv6:
		err = d.parse6(b)
	case etherARP:
		d.body = b
	default:
		err = fmt.Errorf("a frame of type %#04x", etherType)
	}
	return etherType, d, err
}

func (d *datagram) parse4(b []byte) error {
	if len(b) < ipv4Len || b[0] != 0x45 {
		return errors.New("an IPv4 header that is short, of another version, or has options")
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case n < ipv4Len || n > len(b):
		return fmt.Errorf("an IPv4 packet of length %d in %d bytes", n, len(b))
	case checksum.Sum(b[:ipv4Len]) != 0xffff:
		return errors.New("an IPv4 header with a wrong checksum")
	case binary.BigEndian.Uint16(b[6:])&0x3fff != 0:
		return errors.New("an IPv4 fragment")
	}
	d.ecn, d.proto = b[1]&3, b[9]
	d.src, d.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	d.body = b[ipv4Len:n]
	return nil
}

func (d *datagram) parse6(b []byte) error {
	if len(b) < ipv6Len || b[0]>>4 != 6 {
		return errors.New("an IPv6 header that is short or of another version")
	}
	n := ipv6Len + int(binary.BigEndian.Uint16(b[4:]))
	if n > len(b) {
		return fmt.Errorf("an IPv6 packet of length %d in %d bytes", n, len(b))
	}
	d.ecn, d.proto = b[1]>>4&3, b[6]
	d.src, d.dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	d.body = b[ipv6Len:n]
	return nil
}

// sum is the checksum's sum over the body and the pseudo-header.
func (d *datagram) sum() uint16 {
	return checksum.Add(checksum.Pseudo(d.src.AsSlice(), d.dst.AsSlice(), d.proto, len(d.body)), checksum.Sum(d.body))
}

// header writes the IP header of a body of n bytes.
func (d *datagram) header(n int) []byte {
	if d.src.Is4() {
		b := make([]byte, ipv4Len)
		b[0], b[1], b[6], b[8], b[9] = 0x45, d.ecn, 0x40, 64, d.proto
		binary.BigEndian.PutUint16(b[2:], uint16(ipv4Len+n))
		copy(b[12:], d.src.AsSlice())
		copy(b[16:], d.dst.AsSlice())
		binary.BigEndian.PutUint16(b[10:], ^checksum.Sum(b))
		return b
	}
	b := make([]byte, ipv6Len)
	b[0], b[1], b[6], b[7] = 0x60, d.ecn<<4, d.proto, 255
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	copy(b[8:], d.src.AsSlice())
	copy(b[24:], d.dst.AsSlice())
	return b
}

// frame puts the datagram into a frame to the host under test.
func (d *datagram) frame() []byte {
	t := uint16(etherIPv4)
	if !d.src.Is4() {
		t = etherIPv6
	}
	b := append(ethernet(t), d.header(len(d.body))...)
	return append(b, d.body...)
}

func ethernet(etherType uint16) []byte {
	b := append(append([]byte{}, ourMAC[:]...), peerMAC[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

// tcpHeader is a header without its options.
type tcpHeader struct {
	src, dst uint16
	seq, ack uint32
	flags    Flags
	win, urg uint16
}

func (h *tcpHeader) put(options, payload []byte) []byte {
	b := make([]byte, 20, 20+len(options)+len(payload))
	binary.BigEndian.PutUint16(b, h.src)
	binary.BigEndian.PutUint16(b[2:], h.dst)
	binary.BigEndian.PutUint32(b[4:], h.seq)
	binary.BigEndian.PutUint32(b[8:], h.ack)
	b[12] = uint8((20+len(options))/4)<<4 | uint8(h.flags>>8)&1
	b[13] = uint8(h.flags)
	binary.BigEndian.PutUint16(b[14:], h.win)
	binary.BigEndian.PutUint16(b[18:], h.urg)
	return append(append(b, options...), payload...)
}

func (h *tcpHeader) parse(b []byte) (options, payload []byte, err error) {
	if len(b) < 20 {
		return nil, nil, errors.New("a short TCP header")
	}
	n := int(b[12]>>4) * 4
	if n < 20 || n > len(b) {
		return nil, nil, fmt.Errorf("a TCP header of %d bytes in %d", n, len(b))
	}
	h.src, h.dst = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	h.seq, h.ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	h.flags = Flags(b[13]) | Flags(b[12]&1)<<8
	h.win, h.urg = binary.BigEndian.Uint16(b[14:]), binary.BigEndian.Uint16(b[18:])
	return b[20:n], b[n:], nil
}

// finish sets the checksum of a TCP segment or an ICMPv6 message at offset off.
func (d *datagram) finish(off int) {
	d.body[off], d.body[off+1] = 0, 0
	binary.BigEndian.PutUint16(d.body[off:], ^d.sum())
}

// answerARP is the reply to a request for anybody's address, or nil: the
// script's side plays every station but the host under test.
func answerARP(b []byte) []byte {
	if len(b) < 28 || binary.BigEndian.Uint16(b[6:]) != 1 || [4]byte(b[14:]) == [4]byte(b[24:]) {
		return nil
	}
	f := append(ethernet(etherARP), b[:6]...)
	f = append(f, 0, 2)
	f = append(append(f, peerMAC[:]...), b[24:28]...)
	return append(f, b[8:18]...)
}

// Neighbour discovery (RFC 4861).
const (
	ndSolicit, ndAdvert = 135, 136
)

// answerND is the advertisement that answers a solicitation, or nil.
func answerND(d *datagram) []byte {
	if len(d.body) < 24 || d.body[0] != ndSolicit || d.src.IsUnspecified() {
		return nil
	}
	target := netip.AddrFrom16([16]byte(d.body[8:]))
	a := datagram{src: target, dst: d.src, proto: protoICM6}
	a.body = append([]byte{ndAdvert, 0, 0, 0, 0x60, 0, 0, 0}, d.body[8:24]...) // solicited, override
	a.body = append(append(a.body, 2, 1), peerMAC[:]...)
	a.finish(2)
	return a.frame()
}

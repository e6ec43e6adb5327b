package proxy

import (
	"encoding/binary"
	"net/netip"
)

// Code is the REP field of a reply (RFC 1928, 6).
type Code uint8

const (
	Succeeded Code = iota
	GeneralFailure
	NotAllowed
	NetworkUnreachable
	HostUnreachable
	ConnectionRefused
	TTLExpired // of the packet, in RFC 1928's words; what hosts mean by it is a time-out
	CommandNotSupported
	AddressTypeNotSupported

	codes
)

func (c Code) String() string {
	return [...]string{
		"succeeded", "general failure", "not allowed", "network unreachable", "host unreachable",
		"connection refused", "timed out", "command not supported", "address type not supported",
	}[c]
}

const (
	version = 5

	methodNone         = 0x00 // no authentication required
	methodUnacceptable = 0xff

	commandConnect = 1

	typeIPv4   = 1
	typeDomain = 3
	typeIPv6   = 4

	// maxMessage is the longest message of a client: a request for a name of
	// 255 bytes. The longest greeting has 257.
	maxMessage = 4 + 1 + 255 + 2
	maxReply   = 4 + 16 + 2
)

// verdict says how far a message got.
type verdict uint8

const (
	incomplete verdict = iota
	complete
	malformed // not SOCKS5; no answer is defined
)

// greeting is what a client offers first (RFC 1928, 3):
//
//	VER | NMETHODS | METHODS (1 to 255)
//
// n is its length and method the one we choose.
func greeting(b []byte) (n int, method byte, v verdict) {
	if len(b) > 0 && b[0] != version {
		return 0, 0, malformed
	}
	if len(b) < 2 {
		return 0, 0, incomplete
	}
	n = 2 + int(b[1])
	if len(b) < n {
		return 0, 0, incomplete
	}
	for _, m := range b[2:n] {
		if m == methodNone {
			return n, methodNone, complete
		}
	}
	return n, methodUnacceptable, complete
}

// destination is what a request asks for: an address or a name, and a port.
type destination struct {
	addr netip.Addr
	name []byte // aliases the request
	port uint16
}

// request is what a client wants (RFC 1928, 4):
//
//	VER | CMD | RSV | ATYP | DST.ADDR | DST.PORT
//
// n is its length. A code other than Succeeded refuses it; what follows such a
// request has no meaning, and n is 0.
func request(b []byte) (d destination, n int, code Code, v verdict) {
	if len(b) > 0 && b[0] != version {
		return d, 0, 0, malformed
	}
	if len(b) < 5 { // as far as the length of a name
		return d, 0, 0, incomplete
	}
	if b[1] != commandConnect {
		return d, 0, CommandNotSupported, complete
	}
	var addr []byte
	switch b[3] {
	case typeIPv4:
		n = 4 + 4
	case typeIPv6:
		n = 4 + 16
	case typeDomain:
		if b[4] == 0 {
			return d, 0, 0, malformed
		}
		n = 4 + 1 + int(b[4])
	default:
		return d, 0, AddressTypeNotSupported, complete
	}
	if len(b) < n+2 {
		return d, 0, 0, incomplete
	}
	if addr = b[4:n]; b[3] == typeDomain {
		d.name = addr[1:]
	} else {
		d.addr, _ = netip.AddrFromSlice(addr)
	}
	d.port = binary.BigEndian.Uint16(b[n:])
	return d, n + 2, Succeeded, complete
}

// appendReply appends a reply to a request (RFC 1928, 6):
//
//	VER | REP | RSV | ATYP | BND.ADDR | BND.PORT
//
// A bound address that is not valid, as that of a refusal, is written 0.0.0.0:0.
func appendReply(b []byte, code Code, bound netip.AddrPort) []byte {
	b = append(b, version, byte(code), 0)
	a := bound.Addr().Unmap()
	switch {
	case a.Is6():
		p := a.As16()
		b = append(append(b, typeIPv6), p[:]...)
	case a.Is4():
		p := a.As4()
		b = append(append(b, typeIPv4), p[:]...)
	default:
		b = append(b, typeIPv4, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint16(b, bound.Port())
}

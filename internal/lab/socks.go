package lab

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// SOCKSError is a proxy's refusal: the reply code of RFC 1928, section 6.
type SOCKSError uint8

var socksReplies = [...]string{"succeeded", "general SOCKS server failure", "connection not allowed by ruleset",
	"network unreachable", "host unreachable", "connection refused", "TTL expired", "command not supported", "address type not supported"}

func (e SOCKSError) Error() string {
	if int(e) < len(socksReplies) {
		return "SOCKS: " + socksReplies[e]
	}
	return fmt.Sprintf("SOCKS: reply %d", uint8(e))
}

// socksConnect asks the proxy on conn for a connection to target: an IPv4 or
// IPv6 address or a domain name, and a port. It reads nothing beyond the reply.
func socksConnect(conn io.ReadWriter, target string) error {
	request, err := socksRequest(target)
	if err != nil {
		return err
	}
	if _, err := conn.Write([]byte{5, 1, 0}); err != nil { // one method: no authentication
		return err
	}
	var b [4 + 256 + 2]byte
	if _, err := io.ReadFull(conn, b[:2]); err != nil {
		return fmt.Errorf("SOCKS method: %w", err)
	}
	if b[0] != 5 || b[1] != 0 {
		return fmt.Errorf("SOCKS: method %x refused", b[:2])
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, b[:4]); err != nil {
		return fmt.Errorf("SOCKS reply: %w", err)
	}
	if b[0] != 5 {
		return fmt.Errorf("SOCKS: reply of version %d", b[0])
	}
	if b[1] != 0 {
		return SOCKSError(b[1])
	}
	return skipBound(conn, b[3], b[:])
}

// skipBound reads the bound address, which nobody needs.
func skipBound(conn io.Reader, kind uint8, b []byte) error {
	var n int
	switch kind {
	case 1:
		n = 4
	case 4:
		n = 16
	case 3:
		if _, err := io.ReadFull(conn, b[:1]); err != nil {
			return fmt.Errorf("SOCKS reply: %w", err)
		}
		n = int(b[0])
	default:
		return fmt.Errorf("SOCKS: reply with address type %d", kind)
	}
	if _, err := io.ReadFull(conn, b[:n+2]); err != nil {
		return fmt.Errorf("SOCKS reply: %w", err)
	}
	return nil
}

func socksRequest(target string) ([]byte, error) {
	host, service, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, err
	}
	b := []byte{5, 1, 0} // CONNECT
	if a, err := netip.ParseAddr(host); err == nil {
		kind := byte(1)
		if a.Is6() {
			kind = 4
		}
		b = append(append(b, kind), a.AsSlice()...)
	} else {
		if len(host) > 255 {
			return nil, fmt.Errorf("a domain name of %d bytes", len(host))
		}
		b = append(append(b, 3, byte(len(host))), host...)
	}
	return binary.BigEndian.AppendUint16(b, uint16(port)), nil
}

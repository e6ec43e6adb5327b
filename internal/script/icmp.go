package script

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mpxd/mpxd/internal/checksum"
)

// icmpNumbers are type and code in ICMP (RFC 792) and ICMPv6 (RFC 4443).
var icmpNumbers = map[[2]string]struct{ v4, v6 [2]uint8 }{
	{"unreachable", ""}:                     {[2]uint8{3, 0}, [2]uint8{1, 0}},
	{"unreachable", "net_unreachable"}:      {[2]uint8{3, 0}, [2]uint8{1, 0}},
	{"unreachable", "no_route"}:             {[2]uint8{3, 0}, [2]uint8{1, 0}},
	{"unreachable", "host_unreachable"}:     {[2]uint8{3, 1}, [2]uint8{1, 3}},
	{"unreachable", "protocol_unreachable"}: {[2]uint8{3, 2}, [2]uint8{4, 1}},
	{"unreachable", "port_unreachable"}:     {[2]uint8{3, 3}, [2]uint8{1, 4}},
	{"unreachable", "frag_needed"}:          {[2]uint8{3, 4}, [2]uint8{2, 0}},
	{"unreachable", "source_route_failed"}:  {[2]uint8{3, 5}, [2]uint8{1, 5}},
	{"unreachable", "net_prohibited"}:       {[2]uint8{3, 9}, [2]uint8{1, 1}},
	{"unreachable", "host_prohibited"}:      {[2]uint8{3, 10}, [2]uint8{1, 1}},
	{"unreachable", "pkt_filtered"}:         {[2]uint8{3, 13}, [2]uint8{1, 1}},
	{"unreachable", "admin_prohibited"}:     {[2]uint8{3, 13}, [2]uint8{1, 1}},
	{"packet_too_big", ""}:                  {[2]uint8{3, 4}, [2]uint8{2, 0}},
	{"time_exceeded", ""}:                   {[2]uint8{11, 0}, [2]uint8{3, 0}},
	{"source_quench", ""}:                   {[2]uint8{4, 0}, [2]uint8{1, 0}},
}

// build writes the error with the start of our segment in it: IP header and
// eight bytes, all that a router must quote (RFC 792).
func (m *ICMP) build(router netip.Addr, quoted *datagram, payload int) ([]byte, error) {
	n, ok := icmpNumbers[[2]string{m.Type, m.Code}]
	if !ok {
		return nil, fmt.Errorf("icmp %s %s is not understood", m.Type, m.Code)
	}
	quote := append(quoted.header(20+payload), quoted.body[:8]...)
	b := make([]byte, 8, 8+len(quote))
	d := datagram{src: router, dst: quoted.src, proto: protoICMP}
	if quoted.src.Is4() {
		b[0], b[1] = n.v4[0], n.v4[1]
		binary.BigEndian.PutUint16(b[6:], uint16(m.MTU)) // RFC 1191, 4
		d.body = append(b, quote...)
		binary.BigEndian.PutUint16(d.body[2:], ^checksum.Sum(d.body))
		return d.frame(), nil
	}
	b[0], b[1] = n.v6[0], n.v6[1]
	if n.v6 != [2]uint8{4, 1} { // parameter problem has a pointer there
		binary.BigEndian.PutUint32(b[4:], m.MTU)
	}
	d.proto, d.body = protoICM6, append(b, quote...)
	d.finish(2)
	return d.frame(), nil
}

package link

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
)

// MarkCE does what a router with a long queue does to a frame of IPv4 or IPv6
// (without a VLAN tag) whose sender understands marks: it sets the ECN field to
// "congestion experienced" (RFC 3168, 5). It reports whether it did; other
// frames stay as they are.
func MarkCE(frame []byte) bool {
	const ip = 14
	const mask, ce = 3, 3
	if len(frame) < ip+20 {
		return false
	}
	b := frame[ip:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		if b[1]&mask == 0 {
			return false
		}
		old := binary.BigEndian.Uint16(b)
		b[1] |= ce
		sum := ^binary.BigEndian.Uint16(b[10:]) // RFC 1624, section 3
		sum = checksum.Add(checksum.Sub(sum, old), binary.BigEndian.Uint16(b))
		binary.BigEndian.PutUint16(b[10:], ^sum)
	case 0x86dd:
		if b[1]>>4&mask == 0 {
			return false
		}
		b[1] |= ce << 4
	default:
		return false
	}
	return true
}

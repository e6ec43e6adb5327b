package link

import (
	"encoding/binary"
	"slices"

	"github.com/mpxd/mpxd/internal/checksum"
)

// Strip is a middlebox that removes TCP options: it overwrites them with NOPs
// (RFC 9293, 3.2), as such boxes do, and corrects the checksum.
type Strip struct {
	Kinds   []uint8 // option kinds to remove, such as 30 for MPTCP; nil: none
	SYNOnly bool    // only from segments with SYN
}

// Apply edits a frame (Ethernet with at most one VLAN tag, IPv4 or IPv6, TCP)
// in place and tells whether it changed. partial says that the frame carries
// only the sum of its pseudo-header yet, which options are no part of.
// Anything else, and anything malformed, passes as it is.
func (s Strip) Apply(frame []byte, partial bool) bool {
	if len(s.Kinds) == 0 {
		return false
	}
	tcp := tcpHeader(frame)
	if tcp == nil || s.SYNOnly && tcp[13]&2 == 0 {
		return false
	}
	opts := tcp[20:]
	before := checksum.Sum(opts)
	if !s.erase(opts) {
		return false
	}
	if !partial {
		// RFC 1624, section 3: HC' = ~(~HC + ~m + m')
		sum := ^binary.BigEndian.Uint16(tcp[16:])
		sum = checksum.Add(checksum.Sub(sum, before), checksum.Sum(opts))
		binary.BigEndian.PutUint16(tcp[16:], ^sum)
	}
	return true
}

func (s Strip) erase(opts []byte) (changed bool) {
	const end, nop = 0, 1
	for len(opts) > 0 && opts[0] != end {
		if opts[0] == nop {
			opts = opts[1:]
			continue
		}
		if len(opts) < 2 || opts[1] < 2 || int(opts[1]) > len(opts) {
			return changed
		}
		n := int(opts[1])
		if slices.Contains(s.Kinds, opts[0]) {
			for i := range opts[:n] {
				opts[i] = nop
			}
			changed = true
		}
		opts = opts[n:]
	}
	return changed
}

// tcpHeader is the TCP header with its options in a frame, or nil. Fragments
// and IPv6 extension headers are not looked into.
func tcpHeader(frame []byte) []byte {
	if len(frame) < 14 {
		return nil
	}
	kind, p := binary.BigEndian.Uint16(frame[12:]), frame[14:]
	if kind == 0x8100 && len(p) >= 4 {
		kind, p = binary.BigEndian.Uint16(p[2:]), p[4:]
	}
	const protoTCP = 6
	switch {
	case kind == 0x0800 && len(p) >= 20 && p[0]>>4 == 4 && p[9] == protoTCP && binary.BigEndian.Uint16(p[6:])&0x3fff == 0:
		n := int(p[0]&15) * 4
		if n < 20 || n > len(p) {
			return nil
		}
		p = p[n:]
	case kind == 0x86dd && len(p) >= 40 && p[0]>>4 == 6 && p[6] == protoTCP:
		p = p[40:]
	default:
		return nil
	}
	if len(p) < 20 {
		return nil
	}
	n := int(p[12]>>4) * 4
	if n < 20 || n > len(p) {
		return nil
	}
	return p[:n]
}

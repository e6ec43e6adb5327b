package script

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/mpxd/mpxd/tcp"
)

// flow is one TCP flow: what turns the script's numbers into those on the
// wire and back. Local is the host under test.
type flow struct {
	local, remote netip.AddrPort

	// iss is to be added to the script's numbers for the host's sequence
	// space. It is learnt from each first SYN. The peer's space needs none: the script
	// says what is on the wire.
	iss     uint32
	issSet  bool
	peerSYN uint32 // sequence number of the script's last SYN
	synSeen bool

	tsShift uint32 // likewise for the host's timestamps
	tsKnown bool
	lastTS  uint32 // the host's last timestamp, on the wire

	lastOut datagram // the host's last segment, for ICMP errors to quote

	keys           *keys
	nonceA, nonceB uint32
	in, out        mapping
}

// mapping places payload in the connection's stream. Without one, the flow's
// sequence numbers do.
type mapping struct {
	dsn   uint64
	ssn   uint32
	known bool
}

func (m *mapping) offset(seq uint32) uint64 {
	if !m.known {
		return uint64(seq - 1)
	}
	return m.dsn - 1 + uint64(seq-m.ssn)
}

// pattern is the byte at an offset of either stream: payload is compared
// everywhere, and no two places of it look alike.
func pattern(off uint64) byte { return byte(uint32(off) * 2654435761 >> 24) }

func fill(b []byte, off uint64) []byte {
	for i := range b {
		b[i] = pattern(off + uint64(i))
	}
	return b
}

// differs is the first index at which b is not the pattern, or -1.
func differs(b []byte, off uint64) int {
	for i := range b {
		if b[i] != pattern(off+uint64(i)) {
			return i
		}
	}
	return -1
}

// maxBody is what an IPv4 packet can carry.
const maxBody = 1<<16 - 1 - ipv4Len

// build makes the segment the script sends.
func (f *flow) build(p *Packet) ([]byte, error) {
	options, err := f.encode(p.Options)
	if err != nil {
		return nil, err
	}
	if p.Flags&Flags(tcp.SYN) != 0 {
		if f.synSeen && p.Seq != f.peerSYN {
			f.issSet, f.tsKnown, f.tsShift = false, false, 0 // a new incarnation
		}
		f.peerSYN, f.synSeen = p.Seq, true
	}
	h := tcpHeader{src: f.remote.Port(), dst: f.local.Port(), seq: p.Seq, flags: p.Flags, win: p.Win, urg: p.Urg}
	if p.HasAck {
		h.ack = p.Ack + f.iss
	}
	first := p.Seq
	if p.Flags&Flags(tcp.SYN) != 0 {
		first++
	}
	payload := fill(make([]byte, p.Len), f.in.offset(first-f.peerSYN))
	d := datagram{src: f.remote.Addr(), dst: f.local.Addr(), proto: protoTCP, ecn: ecnBits[p.ECN]}
	d.body = h.put(options, payload)
	if len(d.body) > maxBody {
		return nil, fmt.Errorf("a segment of %d bytes does not fit into an IP packet", p.Len)
	}
	d.finish(16)
	return d.frame(), nil
}

var ecnBits = map[string]uint8{"": 0, "noecn": 0, "ect1": 1, "ect0": 2, "ect01": 2, "ce": 3}

var ecnNames = [4]string{"noecn", "ect1", "ect0", "ce"}

// read turns a segment of the host into the script's numbers. err says what
// is wrong with it whatever the script expects.
func (f *flow) read(d *datagram, want *Packet) (*Packet, error) {
	if d.sum() != 0xffff {
		return nil, fmt.Errorf("a TCP segment with a wrong checksum")
	}
	var h tcpHeader
	options, payload, err := h.parse(d.body)
	if err != nil {
		return nil, err
	}
	p := &Packet{Flags: h.flags, Len: uint32(len(payload)), Win: h.win, HasWin: true, Urg: h.urg, ECN: ecnNames[d.ecn]}
	if h.flags&Flags(tcp.SYN) != 0 && !f.issSet && want != nil {
		f.iss, f.issSet = h.seq-want.Seq, true
	}
	p.Seq = h.seq - f.iss
	if p.HasAck = h.flags&Flags(tcp.ACK) != 0; p.HasAck {
		p.Ack = h.ack
	}
	p.Options = f.decode(options, p.Seq)
	f.lastOut = *d
	if i := differs(payload, f.out.offset(p.Seq)); i >= 0 {
		return p, fmt.Errorf("wrong payload: byte %d of the segment is not what was written", i)
	}
	return p, nil
}

// compare says how got differs from want; nothing if it does not. slack is
// for timestamps, in ticks of a millisecond.
func (f *flow) compare(want, got *Packet, slack uint32) (diff []string) {
	differ := func(what string, is bool) {
		if is {
			diff = append(diff, what)
		}
	}
	differ("flags", want.Flags != got.Flags)
	differ("sequence number", want.Seq != got.Seq)
	differ("length", want.Len != got.Len)
	differ("acknowledgement", want.HasAck != got.HasAck || want.Ack != got.Ack)
	differ("window", want.HasWin && want.Win != got.Win)
	differ("urgent pointer", want.Urg != got.Urg)
	differ("ECN", want.ECN != "" && want.ECN != got.ECN && !(want.ECN == "ect01" && strings.HasPrefix(got.ECN, "ect")))
	if !want.AnyOptions {
		have := got.Options
		if want.MoreOptions {
			have = have[:min(len(have), len(want.Options))]
		}
		differ("options", !f.sameOptions(want.Options, have, slack))
	}
	return diff
}

func (f *flow) sameOptions(want, got []Option, slack uint32) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !f.matches(&want[i], &got[i], slack) {
			return false
		}
	}
	return true
}

package script

import (
	"fmt"
	"strings"

	"github.com/mpxd/mpxd/tcp"
)

// Script is a parsed script.
type Script struct {
	Name    string // of the file, as given
	Flags   []Flag // the --name=value lines
	Events  []Event
	Ignored []string // flags and commands that mean nothing here, said once
}

// Flag is one --name=value line.
type Flag struct {
	Line        int
	Name, Value string
}

// Event is one line of the script. Exactly one of the pointers is set.
type Event struct {
	Line int
	Col  int // of what happens, behind the time
	When When
	// Blocks says that the call may return later: at Until, on the same
	// scale as When.
	Blocks  bool
	Until   tcp.Time
	Packet  *Packet
	ICMP    *ICMP
	Call    *Call
	Command *string
	Code    *string
}

// When is the time of an event. Times are relative to the event before, or to
// the start of the script.
type When struct {
	Any      bool // "*": whenever it happens
	Relative bool
	From, To tcp.Time // equal, unless a range was given
}

// Packet is a TCP segment in the script's own numbers: sequence numbers count
// from the SYN's.
type Packet struct {
	Line     int
	Inbound  bool
	Src, Dst End // zero: the flow of the packet before
	ECN      string
	Flags    Flags
	Seq, Len uint32
	HasAck   bool
	Ack      uint32
	HasWin   bool
	Win      uint16
	Urg      uint16
	// AnyOptions is "<...>": options are not compared. MoreOptions is
	// "<mss 1460, ...>": those that follow are not.
	AnyOptions  bool
	MoreOptions bool
	Options     []Option
}

// End is one side of a flow: an address by name (caddr0, saddr1, ...) or in
// numbers, and maybe a port.
type End struct {
	Addr string
	Port uint16
}

func (e End) String() string {
	s := e.Addr
	if e.Addr != "" && strings.Trim(e.Addr, "0123456789.:abcdefABCDEF") != "" {
		s = "addr[" + e.Addr + "]"
	}
	if e.Port != 0 {
		s += fmt.Sprintf(":%d", e.Port)
	}
	return s
}

// ICMP is an ICMP error about one of our segments.
type ICMP struct {
	Line       int
	Type, Code string // in the words of the notation
	MTU        uint32
	Src, Dst   End
	// The quoted segment.
	Quoted   bool
	Seq, Len uint32
}

// Flags are the control bits, and AE (bit 8) for RFC 9768.
type Flags uint16

const flagAE Flags = 1 << 8

// flagLetters are in the order they are printed.
var flagLetters = []struct {
	c byte
	f Flags
}{
	{'S', Flags(tcp.SYN)}, {'F', Flags(tcp.FIN)}, {'R', Flags(tcp.RST)}, {'P', Flags(tcp.PSH)},
	{'E', Flags(tcp.ECE)}, {'W', Flags(tcp.CWR)}, {'U', Flags(tcp.URG)}, {'A', flagAE}, {'.', Flags(tcp.ACK)},
}

func (f Flags) String() string {
	var s []byte
	for _, l := range flagLetters {
		if f&l.f != 0 {
			s = append(s, l.c)
		}
	}
	if len(s) == 0 {
		return "-"
	}
	return string(s)
}

func parseFlags(s string) (f Flags, ok bool) {
	if s == "-" {
		return 0, true
	}
next:
	for i := range len(s) {
		c := s[i]
		if c == 'C' { // the older letter
			c = 'W'
		}
		for _, l := range flagLetters {
			if l.c == c {
				f |= l.f
				continue next
			}
		}
		return 0, false
	}
	return f, s != ""
}

// String is the packet in the notation.
func (p *Packet) String() string {
	var b strings.Builder
	b.WriteString(p.direction())
	if p.Src.Addr != "" || p.Dst.Addr != "" {
		fmt.Fprintf(&b, " %v > %v", p.Src, p.Dst)
	}
	if p.ECN != "" && p.ECN != "noecn" {
		fmt.Fprintf(&b, " [%s]", p.ECN)
	}
	fmt.Fprintf(&b, " %v %d:%d(%d)", p.Flags, p.Seq, p.Seq+p.Len, p.Len)
	if p.HasAck {
		fmt.Fprintf(&b, " ack %d", p.Ack)
	}
	if p.HasWin {
		fmt.Fprintf(&b, " win %d", p.Win)
	}
	if p.Urg != 0 {
		fmt.Fprintf(&b, " urg %d", p.Urg)
	}
	if p.AnyOptions {
		b.WriteString(" <...>")
	} else if len(p.Options) > 0 {
		more := ""
		if p.MoreOptions {
			more = ", ..."
		}
		fmt.Fprintf(&b, " <%s%s>", optionList(p.Options), more)
	}
	return b.String()
}

func (p *Packet) direction() string {
	if p.Inbound {
		return "<"
	}
	return ">"
}

func (m *ICMP) String() string {
	s := "< "
	if m.Quoted {
		s += fmt.Sprintf("[%d:%d(%d)] ", m.Seq, m.Seq+m.Len, m.Len)
	}
	s += "icmp " + m.Type
	if m.Code != "" {
		s += " " + m.Code
	}
	if m.MTU != 0 {
		s += fmt.Sprintf(" mtu %d", m.MTU)
	}
	return s
}

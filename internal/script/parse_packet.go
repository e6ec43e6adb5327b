package script

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// isICMP looks ahead: the word icmp follows, maybe after a quoted segment.
func (p *parser) isICMP() bool {
	line := p.peek().line
	for n := 1; p.peekAt(n).line == line && p.peekAt(n).kind != tokEOF; n++ {
		if t := p.peekAt(n); t.kind == tokWord && t.text == "icmp" {
			return true
		}
		if p.peekAt(n).is("<") {
			return false
		}
	}
	return false
}

func (p *parser) packet() *Packet {
	k := &Packet{Line: p.peek().line, Inbound: p.take().is("<")}
	k.Src, k.Dst = p.ends()
	if p.accept("[") {
		k.ECN = p.word("ect0, ect1, ect01, ce or noecn")
		switch k.ECN {
		case "ect0", "ect1", "ce", "noecn", "ect01":
		default:
			p.needs("[%s]: only the ECN field can be set between brackets", k.ECN)
		}
		p.want("]")
	}
	k.Flags = p.flags()
	k.Seq, k.Len = p.span()
	for {
		switch {
		case p.acceptWord("ack"):
			k.HasAck, k.Ack = true, uint32(p.number("ack", 32))
		case p.acceptWord("win"):
			if !p.accept("*") {
				k.HasWin, k.Win = true, uint16(p.number("win", 16))
			}
		case p.acceptWord("urg"):
			k.Urg = uint16(p.number("urg", 16))
		case p.peek().is("<") && p.peek().line == k.Line:
			p.optionsInto(k)
			return k
		default:
			return k
		}
	}
}

// ends reads "addr[caddr0] > addr[saddr0]", "192.0.2.1:4000 > 192.0.2.2:80",
// or one of them after ">" alone.
func (p *parser) ends() (src, dst End) {
	src = p.end()
	if src.Addr != "" || p.peek().is(">") {
		p.want(">")
		dst = p.end()
		if dst.Addr == "" {
			p.fail("an address expected, found %v", p.peek())
		}
	}
	return src, dst
}

func (p *parser) end() (e End) {
	switch t := p.peek(); {
	case t.kind == tokWord && t.text == "addr":
		p.take()
		p.want("[")
		e.Addr = p.word("the name of an address")
		p.want("]")
		if p.accept(":") {
			e.Port = uint16(p.number("port", 16))
		}
	case t.kind == tokNumber && (p.peekAt(1).is(".") || strings.Contains(t.text, ".")), t.is("["):
		if t.is("[") && p.peekAt(2).is("]") { // [ect0]
			return e
		}
		ap, err := netip.ParseAddrPort(p.gluedText())
		if err != nil {
			p.fail("an address with a port expected: %v", err)
		}
		e.Addr, e.Port = ap.Addr().String(), ap.Port()
	}
	return e
}

// gluedText joins tokens without space between them.
func (p *parser) gluedText() string {
	s := p.take().text
	for p.peek().glued && p.peek().kind != tokEOF {
		s += p.take().text
	}
	return s
}

func (p *parser) flags() Flags {
	if t := p.peek(); t.kind != tokWord && !t.is(".") && !t.is("-") {
		p.fail("flags expected, found %v", t)
	}
	s := p.gluedText()
	f, ok := parseFlags(s)
	if !ok {
		p.fail("%q is no set of flags: letters of S F R P E W U A and . for ACK", s)
	}
	return f
}

// span reads first:end(len).
func (p *parser) span() (seq, n uint32) {
	seq = uint32(p.number("sequence number", 32))
	p.want(":")
	end := uint32(p.number("sequence number", 32))
	p.want("(")
	n = uint32(p.number("length", 16))
	p.want(")")
	if seq+n != end {
		p.fail("%d:%d(%d): the length should be %d", seq, end, n, end-seq)
	}
	return seq, n
}

// icmpTypes are the types and their codes.
var icmpTypes = map[string]string{
	"unreachable":    "net_unreachable host_unreachable protocol_unreachable port_unreachable frag_needed source_route_failed net_prohibited host_prohibited pkt_filtered no_route admin_prohibited",
	"time_exceeded":  "",
	"packet_too_big": "",
	"source_quench":  "",
}

func (p *parser) icmp() *ICMP {
	m := &ICMP{Line: p.peek().line}
	if !p.take().is("<") {
		p.needs("ICMP sent by the host: errors can only come in")
	}
	if t := p.peek(); !t.is("[") {
		m.Src, m.Dst = p.ends()
	}
	p.quote(m)
	p.acceptWord("icmp")
	m.Type = p.word("an ICMP type")
	codes, ok := icmpTypes[m.Type]
	if !ok {
		p.fail("ICMP type %q is not understood", m.Type)
	}
	if t := p.peek(); t.kind == tokWord && t.text != "mtu" && t.line == m.Line {
		m.Code = p.take().text
		if m.Code == "" || !strings.Contains(" "+codes+" ", " "+m.Code+" ") {
			p.fail("ICMP code %q of %q is not understood", m.Code, m.Type)
		}
	}
	if p.acceptWord("mtu") {
		m.MTU = uint32(p.number("mtu", 32))
	}
	p.quote(m)
	return m
}

// quote reads [seq:end(len)], before or behind the rest.
func (p *parser) quote(m *ICMP) {
	if p.peek().line == m.Line && p.accept("[") {
		m.Quoted = true
		m.Seq, m.Len = p.span()
		p.want("]")
	}
}

func (p *parser) optionsInto(k *Packet) {
	p.want("<")
	if p.accept("...") {
		p.want(">")
		k.AnyOptions = true
		return
	}
	for !p.accept(">") {
		if len(k.Options) > 0 {
			p.want(",")
		}
		if p.accept("...") { // <mss 1460, ...>
			p.want(">")
			k.MoreOptions = true
			return
		}
		k.Options = append(k.Options, p.option())
	}
}

func (p *parser) option() Option {
	name := p.word("an option")
	if a, ok := optionAliases[name]; ok {
		name = a
	}
	o := Option{Kind: name}
	switch {
	case name == "nop" || name == "eol" || name == "sackOK":
	case name == "mss" || name == "wscale":
		o.Args = []Arg{{"", []Term{num(p.number(name, 16))}}}
	case name == "TS":
		for _, w := range []string{"val", "ecr"} {
			if !p.acceptWord(w) {
				p.fail("%q expected, found %v", w, p.peek())
			}
			o.Args = append(o.Args, Arg{w, []Term{p.term()}})
		}
	case name == "sack":
		for p.peek().kind == tokNumber {
			from := p.number("sequence number", 32)
			p.want(":")
			o.Args = append(o.Args, Arg{"", []Term{num(from), num(p.number("sequence number", 32))}})
		}
	case name == "raw":
		b, err := hex.DecodeString(p.take().text)
		if err != nil || len(b) == 0 {
			p.fail("raw wants the option's bytes in hexadecimal, in quotes")
		}
		o.Raw = b
	case o.isMPTCP():
		p.mptcpArgs(&o)
	case absentOptions[name] != "":
		p.pos-- // the name
		p.needs("%s (option %s)", absentOptions[name], name)
	default:
		p.pos--
		p.fail("option %q is not understood", name)
	}
	return o
}

// mptcpArgs reads words, numbers, name=value, "name value" and name[values]
// up to the next option.
func (p *parser) mptcpArgs(o *Option) {
	for !p.peek().is(",") && !p.peek().is(">") {
		if t := p.peek(); t.kind == tokNumber {
			o.Args = append(o.Args, Arg{"", []Term{p.term()}})
			continue
		}
		a := Arg{Name: p.word("an argument of " + o.Kind)}
		switch {
		case p.accept("="):
			if p.accept("[") {
				a.Terms = p.terms("]")
			} else {
				a.Terms = []Term{p.term()}
			}
		case p.accept("["):
			a.Terms = p.terms("]")
		case a.Name == "mpcdatalen":
			a.Terms = []Term{p.term()}
		}
		o.Args = append(o.Args, a)
	}
}

func (p *parser) terms(end string) (ts []Term) {
	for !p.accept(end) {
		if len(ts) > 0 {
			p.want(",")
		}
		ts = append(ts, p.term())
	}
	return ts
}

func (p *parser) term() Term {
	t := p.peek()
	switch {
	case p.accept("*"):
		return Term{Any: true}
	case t.kind == tokNumber:
		return num(p.number("a value", 64))
	case t.kind == tokString:
		return Term{Text: p.take().text}
	case t.kind != tokWord:
		p.fail("a value expected, found %v", t)
	}
	name := p.take().text
	switch {
	case p.accept("("):
		arg := p.take().text
		p.want(")")
		if name == "inet_addr" || name == "inet6_addr" {
			return Term{Text: arg}
		}
		return Term{Fn: name, Name: arg}
	case p.accept("="):
		if s := p.peek(); s.kind == tokWord { // [ep=inet_addr("...")]
			v := p.term()
			v.Name, v.Set = name, v.Text != ""
			return v
		}
		v, err := strconv.ParseUint(p.take().text, 0, 64)
		if err != nil {
			p.fail("a number expected after %s=", name)
		}
		return Term{Name: name, Set: true, V: v}
	}
	return Term{Name: name}
}

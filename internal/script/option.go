package script

import (
	"fmt"
	"strings"
)

// Option is a TCP option: its name in the notation and its arguments.
//
//	mss 1460                    {mss, [{"", 1460}]}
//	TS val 100 ecr 0            {TS, [{val, 100} {ecr, 0}]}
//	sack 1:1001 2001:3001       {sack, [{"", 1 1001} {"", 2001 3001}]}
//	dss dack8=1 dll=0 nocs      {dss, [{dack8, 1} {dll, 0} {nocs}]}
//	raw "fd0512"                {raw} and the bytes themselves
type Option struct {
	Kind string
	Args []Arg
	Raw  []byte
}

// Arg is one argument: a number, a name=value, or a word alone.
type Arg struct {
	Name  string
	Terms []Term
}

// Term is a value that may be unknown, bound to a variable or computed.
type Term struct {
	Any  bool   // *
	Fn   string // sha256_32, ...: of the variable Name
	Name string // a variable, or auto: what is right by the protocol
	Set  bool   // name=N: the variable gets the value N
	V    uint64
	Text string // an address
}

func num(v uint64) Term { return Term{V: v} }

func (t Term) String() string {
	switch {
	case t.Any:
		return "*"
	case t.Text != "":
		return fmt.Sprintf("%q", t.Text)
	case t.Fn != "":
		return t.Fn + "(" + t.Name + ")"
	case t.Set:
		return fmt.Sprintf("%s=%d", t.Name, t.V)
	case t.Name != "":
		return t.Name
	}
	return fmt.Sprint(t.V)
}

// arg finds an argument by name.
func (o *Option) arg(name string) (Arg, bool) {
	for _, a := range o.Args {
		if a.Name == name {
			return a, true
		}
	}
	return Arg{}, false
}

// term is the one value of a named argument; without it, or if it is not
// one, ok is false.
func (o *Option) term(name string) (t Term, ok bool) {
	a, ok := o.arg(name)
	if !ok || len(a.Terms) != 1 {
		return Term{}, false
	}
	return a.Terms[0], true
}

// value is the number of a named argument, or 0.
func (o *Option) value(name string) uint64 {
	t, _ := o.term(name)
	return t.V
}

// has reports whether a word or a named argument is there.
func (o *Option) has(name string) bool {
	_, ok := o.arg(name)
	return ok
}

// with adds a named number.
func (o Option) with(name string, v uint64) Option {
	o.Args = append(o.Args, Arg{name, []Term{num(v)}})
	return o
}

// word adds a word.
func (o Option) word(name string) Option {
	o.Args = append(o.Args, Arg{Name: name})
	return o
}

func (o Option) String() string {
	var b strings.Builder
	b.WriteString(o.Kind)
	if o.Kind == "raw" {
		fmt.Fprintf(&b, " \"%x\"", o.Raw)
		return b.String()
	}
	for _, a := range o.Args {
		b.WriteByte(' ')
		b.WriteString(a.format(o.Kind))
	}
	return b.String()
}

func (a Arg) format(option string) string {
	switch {
	case len(a.Terms) == 0:
		return a.Name
	case option == "sack" && len(a.Terms) == 2:
		return fmt.Sprintf("%v:%v", a.Terms[0], a.Terms[1])
	case a.Name == "":
		return a.Terms[0].String()
	case option == "TS" || a.Name == "mpcdatalen":
		return fmt.Sprintf("%s %v", a.Name, a.Terms[0])
	case bracketed[a.Name] || len(a.Terms) > 1:
		s := make([]string, len(a.Terms))
		for i, t := range a.Terms {
			s[i] = t.String()
		}
		return a.Name + "[" + strings.Join(s, ", ") + "]"
	}
	return fmt.Sprintf("%s=%v", a.Name, a.Terms[0])
}

// bracketed are the arguments written name[...].
var bracketed = map[string]bool{"flags": true, "key": true, "addr": true}

func optionList(opts []Option) string {
	s := make([]string, len(opts))
	for i, o := range opts {
		s[i] = o.String()
	}
	return strings.Join(s, ", ")
}

// isMPTCP reports whether the option is one of kind 30.
func (o *Option) isMPTCP() bool {
	_, ok := mptcpSubtypes[o.Kind]
	return ok
}

// mptcpSubtypes are the names of the options of kind 30 and their subtypes
// (RFC 8684, 8.2).
var mptcpSubtypes = map[string]uint8{
	"mp_capable": 0, "mp_join_syn": 1, "mp_join_syn_ack": 1, "mp_join_ack": 1, "dss": 2,
	"add_address": 3, "remove_address": 4, "mp_prio": 5, "mp_fail": 6, "mp_fastclose": 7, "mp_reset": 8,
}

// absentOptions are those that the notation has and our host has not, and
// what they are for.
var absentOptions = map[string]string{
	"FO": "TCP Fast Open", "FOEXP": "TCP Fast Open", "fo": "TCP Fast Open", "md5": "TCP MD5", "ao": "TCP-AO",
	"accecn": "AccECN", "ECN": "AccECN", "e0b": "AccECN", "AccECN0": "AccECN", "AccECN1": "AccECN", "exp": "experimental options",
}

// optionAliases are other spellings in use.
var optionAliases = map[string]string{
	"mpcapable": "mp_capable", "add_addr": "add_address", "remove_addr": "remove_address", "rm_addr": "remove_address",
	"mp_rst": "mp_reset", "sackok": "sackOK", "SACKOK": "sackOK", "ts": "TS", "EOL": "eol", "NOP": "nop",
	"ws": "wscale", "mp_tcprst": "mp_reset",
}

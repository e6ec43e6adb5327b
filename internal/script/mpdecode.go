package script

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// decodeMPTCP reads an option of kind 30 from B. What is computed from keys
// and nonces shows as auto if it is right, and as a number if it is wrong.
func (f *flow) decodeMPTCP(b []byte, seq uint32) (o Option, ok bool) {
	if len(b) < 3 {
		return o, false
	}
	v, low := b[3:], b[2]&15
	u32, u64 := binary.BigEndian.Uint32, binary.BigEndian.Uint64
	switch sub := b[2] >> 4; {
	case sub == 0 && len(v) >= 1:
		return f.decodeCapable(low, v)
	case sub == 1 && len(b) == 12:
		f.nonceB = u32(v[5:])
		return joinHead("mp_join_syn", low, v).with("token", uint64(u32(v[1:]))), true
	case sub == 1 && len(b) == 16:
		f.nonceB = u32(v[9:])
		o = joinHead("mp_join_syn_ack", low, v)
		return o.mac("sender_hmac", v[1:9], f.keys.mac(f.keys.b, f.keys.a, nonces(f.nonceB, f.nonceA))), true
	case sub == 1 && len(b) == 24:
		o = Option{Kind: "mp_join_ack"}
		return o.mac("sender_hmac", v[1:], f.keys.mac(f.keys.b, f.keys.a, nonces(f.nonceB, f.nonceA))), true
	case sub == 2 && len(v) >= 1:
		return f.decodeDSS(v)
	case sub == 3:
		return f.decodeAddAddress(low, v)
	case sub == 4:
		a := Arg{Name: "address_id"}
		for _, id := range v {
			a.Terms = append(a.Terms, num(uint64(id)))
		}
		return Option{Kind: "remove_address", Args: []Arg{a}}, true
	case sub == 5:
		o = Option{Kind: "mp_prio"}.with("backup", uint64(low&1))
		if len(v) == 1 {
			o = o.with("address_id", uint64(v[0]))
		}
		return o, len(v) <= 1
	case sub == 6 && len(b) == 12:
		return Option{Kind: "mp_fail"}.with("dsn8", u64(v[1:])-f.keys.idsn(f.keys.a)), true
	case sub == 7 && len(b) == 12:
		o = Option{Kind: "mp_fastclose"}
		if u64(v[1:]) != f.keys.a { // it must carry its receiver's key
			o = o.with("key", u64(v[1:]))
		}
		return o, true
	case sub == 8 && len(b) == 4:
		o = Option{Kind: "mp_reset"}
		if low&1 != 0 {
			o = o.word("transient")
		}
		return o.with("", uint64(v[0])), true
	}
	return o, false
}

func joinHead(kind string, low uint8, v []byte) Option {
	o := Option{Kind: kind}
	if low&1 != 0 {
		o = o.with("backup", 1)
	}
	return o.with("address_id", uint64(v[0]))
}

// mac adds a message authentication code: auto, or the number it is instead.
func (o Option) mac(name string, got, want []byte) Option {
	t := Term{Name: "auto"}
	if !hmac.Equal(got, want[:len(got)]) {
		t = num(binary.BigEndian.Uint64(got))
	}
	o.Args = append(o.Args, Arg{name, []Term{t}})
	return o
}

func (f *flow) decodeCapable(version uint8, v []byte) (Option, bool) {
	o := Option{Kind: "mp_capable"}.word(fmt.Sprintf("v%d", version))
	a := Arg{Name: "flags"}
	for _, c := range capableFlags {
		if v[0]&c.bit != 0 {
			a.Terms = append(a.Terms, Term{Name: c.name})
		}
	}
	o.Args = append(o.Args, a)
	v = v[1:]
	f.keys.v0 = version == 0
	if len(v) == 0 {
		return o.word("nokey"), true
	}
	k := Arg{Name: "key"}
	for ; len(v) >= 8; v = v[8:] {
		k.Terms = append(k.Terms, num(binary.BigEndian.Uint64(v)))
	}
	if len(k.Terms) > 0 {
		f.keys.b = k.Terms[0].V
	}
	o.Args = append(o.Args, k)
	if len(v) >= 2 {
		o = o.with("mpcdatalen", uint64(binary.BigEndian.Uint16(v)))
		v = v[2:]
	}
	if len(v) >= 2 {
		o = f.sum(o, binary.BigEndian.Uint16(v), 1, 1, false)
		v = v[2:]
	}
	return o, len(v) == 0
}

func (f *flow) decodeDSS(v []byte) (o Option, ok bool) {
	o = Option{Kind: "dss"}
	flags := v[0]
	v = v[1:]
	take := func(long bool) (n uint64) {
		size := 4
		if long {
			size = 8
		}
		if len(v) < size {
			ok = false
			return 0
		}
		for _, c := range v[:size] {
			n = n<<8 | uint64(c)
		}
		v = v[size:]
		return n
	}
	ok = true
	if flags&dssAck != 0 {
		o = o.wide("dack", take(flags&dssAck8 != 0), f.keys.idsn(f.keys.a), flags&dssAck8 != 0)
	}
	if flags&dssMap != 0 {
		o = o.wide("dsn", take(flags&dssDSN8 != 0), f.keys.idsn(f.keys.b), flags&dssDSN8 != 0)
		dsn := o.value("dsn8") + o.value("dsn4")
		ssn := uint32(take(false))
		if !ok || len(v) < 2 {
			return o, false
		}
		o = o.with("ssn", uint64(ssn)).with("dll", uint64(binary.BigEndian.Uint16(v)))
		if v = v[2:]; len(v) >= 2 {
			o = f.sum(o, binary.BigEndian.Uint16(v), dsn, ssn, flags&dssFin != 0)
			v = v[2:]
		}
		if ssn != 0 {
			f.out = mapping{dsn, ssn, true}
		}
	}
	if flags&dssFin != 0 {
		o = o.word("fin")
	}
	return o, ok && len(v) == 0
}

// sum adds the checksum of a mapping: auto, or the number it is instead. An
// infinite mapping has none.
func (f *flow) sum(o Option, cs uint16, dsn uint64, ssn uint32, fin bool) Option {
	length := uint16(o.value("dll") + o.value("mpcdatalen"))
	if length > 0 && cs == f.keys.dssSum(f.keys.b, dsn, ssn, length, fin) {
		o.Args = append(o.Args, Arg{"cs", []Term{{Name: "auto"}}})
		return o
	}
	return o.with("cs", uint64(cs))
}

// wide adds a data sequence number of 4 or 8 bytes, counted from the first.
func (o Option) wide(name string, v, first uint64, long bool) Option {
	if long {
		return o.with(name+"8", v-first)
	}
	return o.with(name+"4", uint64(uint32(v)-uint32(first)))
}

func (f *flow) decodeAddAddress(low uint8, v []byte) (o Option, ok bool) {
	echo := low&1 != 0 && !f.keys.v0
	rest := len(v) - 1
	if !echo && !f.keys.v0 {
		rest -= 8
	}
	size := 4
	if rest >= 16 {
		size = 16
	}
	if rest != size && rest != size+2 {
		return o, false
	}
	ip, _ := netip.AddrFromSlice(v[1 : 1+size])
	o = Option{Kind: "add_address"}.with("address_id", uint64(v[0]))
	o.Args = append(o.Args, Arg{"addr", []Term{{Text: ip.String()}}})
	msg := append([]byte{}, v[:1+size]...)
	if rest == size+2 {
		msg = append(msg, v[1+size:3+size]...)
		o = o.with("port", uint64(binary.BigEndian.Uint16(msg[1+size:])))
	} else {
		msg = append(msg, 0, 0)
	}
	if f.keys.v0 {
		return o, low == family(ip)
	}
	if echo {
		return o.word("addr_echo"), true
	}
	return o.mac("hmac", v[1+rest:], f.keys.mac(f.keys.b, f.keys.a, msg)[24:]), true
}

// matchMPTCP compares arguments by name. The words nocs and dll=0 without a
// mapping are said by leaving things out on the wire.
func (f *flow) matchMPTCP(want, got *Option) bool {
	w, g := meaningful(want), meaningful(got)
	if len(w) != len(g) {
		return false
	}
	for _, a := range w {
		b, ok := got.arg(a.Name)
		if !ok || len(a.Terms) != len(b.Terms) {
			return false
		}
		for i := range a.Terms {
			if !f.matchTerm(a.Terms[i], b.Terms[i]) {
				return false
			}
		}
	}
	return true
}

func meaningful(o *Option) (args []Arg) {
	mapped := o.has("dsn4") || o.has("dsn8")
	for _, a := range o.Args {
		switch {
		case a.Name == "nocs", o.Kind == "dss" && !mapped && (a.Name == "dll" || a.Name == "ssn"):
		case a.Name == "backup" && len(a.Terms) == 1 && a.Terms[0].V == 0 && o.Kind != "mp_prio":
		case a.Name == "flags" && len(a.Terms) == 0:
		default:
			args = append(args, a)
		}
	}
	return args
}

func (f *flow) matchTerm(want, got Term) bool {
	switch {
	case want.Any:
		return true
	case want.Text != "" || got.Text != "":
		return want.Text == got.Text
	case got.Name != "": // auto, or the name of a flag
		return want.Name == got.Name
	case want.Name == "auto":
		return false
	}
	if _, bound := f.keys.vars[want.Name]; want.Name != "" && want.Fn == "" && !want.Set && !bound {
		f.keys.vars[want.Name] = got.V
		return true
	}
	v, err := f.keys.eval(want, 0)
	return err == nil && v == got.V
}

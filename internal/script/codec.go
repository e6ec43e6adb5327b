package script

import (
	"encoding/binary"
	"fmt"
)

// Option kinds (RFC 9293, 3.2; RFC 7323; RFC 2018; RFC 8684).
const (
	kindEnd, kindNop, kindMSS, kindWScale, kindSACKOK, kindSACK, kindTS, kindMPTCP = 0, 1, 2, 3, 4, 5, 8, 30
)

// encode writes the options of a packet to the host under test, padded with
// end-of-options to a multiple of four.
func (f *flow) encode(opts []Option) ([]byte, error) {
	var b []byte
	for i := range opts {
		o := &opts[i]
		switch o.Kind {
		case "eol":
			b = append(b, kindEnd)
		case "nop":
			b = append(b, kindNop)
		case "mss":
			b = binary.BigEndian.AppendUint16(append(b, kindMSS, 4), uint16(o.value("")))
		case "wscale":
			b = append(b, kindWScale, 3, uint8(o.value("")))
		case "sackOK":
			b = append(b, kindSACKOK, 2)
		case "sack":
			b = append(b, kindSACK, uint8(2+8*len(o.Args)))
			for _, a := range o.Args {
				b = binary.BigEndian.AppendUint32(b, uint32(a.Terms[0].V)+f.iss)
				b = binary.BigEndian.AppendUint32(b, uint32(a.Terms[1].V)+f.iss)
			}
		case "TS":
			val, ecr, err := f.timestamps(o)
			if err != nil {
				return nil, err
			}
			b = binary.BigEndian.AppendUint32(append(b, kindTS, 10), val)
			b = binary.BigEndian.AppendUint32(b, ecr)
		case "raw":
			b = append(b, o.Raw...)
		default:
			m, err := f.encodeMPTCP(o)
			if err != nil {
				return nil, err
			}
			b = append(b, m...)
		}
	}
	for len(b)%4 != 0 {
		b = append(b, kindEnd)
	}
	if len(b) > 40 {
		return nil, fmt.Errorf("%d bytes of options do not fit into a header", len(b))
	}
	return b, nil
}

// timestamps are the values on the wire of an option to the host under test:
// what it echoes of ours is moved from the script's scale to the host's.
func (f *flow) timestamps(o *Option) (val, ecr uint32, err error) {
	v, _ := o.term("val")
	e, _ := o.term("ecr")
	switch {
	case v.Any:
		return 0, 0, fmt.Errorf("TS val * says nothing in a packet that is to be sent")
	case e.Any:
		return uint32(v.V), f.lastTS, nil
	case e.V == 0 || f.tsKnown:
		return uint32(v.V), uint32(e.V) + f.tsShift*uint32(truth(e.V != 0)), nil
	}
	return 0, 0, fmt.Errorf("TS ecr %d, but no packet before it says what TS val %d is: write ecr *", e.V, e.V)
}

// decode reads the options of a packet from the host under test, in the
// script's numbers.
func (f *flow) decode(b []byte, seq uint32) (opts []Option) {
	for len(b) > 0 {
		switch b[0] {
		case kindEnd:
			return append(opts, Option{Kind: "eol"})
		case kindNop:
			opts, b = append(opts, Option{Kind: "nop"}), b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return append(opts, Option{Kind: "raw", Raw: b})
		}
		opts = append(opts, f.decodeOne(b[:b[1]], seq))
		b = b[b[1]:]
	}
	return opts
}

func (f *flow) decodeOne(b []byte, seq uint32) Option {
	v := b[2:]
	switch {
	case b[0] == kindMSS && len(v) == 2:
		return Option{Kind: "mss"}.with("", uint64(binary.BigEndian.Uint16(v)))
	case b[0] == kindWScale && len(v) == 1:
		return Option{Kind: "wscale"}.with("", uint64(v[0]))
	case b[0] == kindSACKOK && len(v) == 0:
		return Option{Kind: "sackOK"}
	case b[0] == kindSACK && len(v)%8 == 0:
		o := Option{Kind: "sack"}
		for ; len(v) > 0; v = v[8:] {
			from, to := binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
			o.Args = append(o.Args, Arg{"", []Term{num(uint64(from)), num(uint64(to))}})
		}
		return o
	case b[0] == kindTS && len(v) == 8:
		val := binary.BigEndian.Uint32(v)
		f.lastTS = val
		return Option{Kind: "TS"}.with("val", uint64(val-f.tsShift)).with("ecr", uint64(binary.BigEndian.Uint32(v[4:])))
	case b[0] == kindMPTCP:
		if o, ok := f.decodeMPTCP(b, seq); ok {
			return o
		}
	}
	return Option{Kind: "raw", Raw: b}
}

// matches compares an option of the script with one that was sent. slack is
// by how many ticks timestamps may differ. A variable without value takes it.
func (f *flow) matches(want, got *Option, slack uint32) bool {
	if want.Kind != got.Kind || string(want.Raw) != string(got.Raw) {
		return false
	}
	switch {
	case want.Kind == "TS":
		return f.matchTS(want, got, slack)
	case want.isMPTCP():
		return f.matchMPTCP(want, got)
	}
	if len(want.Args) != len(got.Args) {
		return false
	}
	for i := range want.Args {
		for j, t := range want.Args[i].Terms {
			if !t.Any && t.V != got.Args[i].Terms[j].V {
				return false
			}
		}
	}
	return true
}

func (f *flow) matchTS(want, got *Option, slack uint32) bool {
	wv, _ := want.term("val")
	we, _ := want.term("ecr")
	if !wv.Any && !f.tsKnown { // the first one says what the script's numbers mean
		f.tsKnown, f.tsShift = true, uint32(got.value("val")-wv.V)
		got.Args[0].Terms[0].V = wv.V
	}
	d := uint32(got.value("val") - wv.V)
	return (wv.Any || d <= slack || -d <= slack) && (we.Any || we.V == got.value("ecr"))
}

package script

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"net/netip"

	"github.com/mpxd/mpxd/internal/checksum"
)

// keys is what both ends of the script's one MPTCP connection know, and the
// variables of the script. A is the script's side, B the host under test.
type keys struct {
	vars map[string]uint64
	a, b uint64
	v0   bool // the connection speaks version 0, RFC 6824
}

// hash is that of the version.
func (k *keys) hash() hash.Hash {
	if k.v0 {
		return sha1.New()
	}
	return sha256.New()
}

func digest(h hash.Hash, key uint64) []byte {
	h.Write(binary.BigEndian.AppendUint64(nil, key))
	return h.Sum(nil)
}

func tokenBy(h hash.Hash, key uint64) uint32 { return binary.BigEndian.Uint32(digest(h, key)) }

// tokenOf and idsn of a key (RFC 8684, 3.1 and 3.2; RFC 6824 the same).
func (k *keys) tokenOf(key uint64) uint32 { return tokenBy(k.hash(), key) }
func (k *keys) idsn(key uint64) uint64 {
	h := digest(k.hash(), key)
	return binary.BigEndian.Uint64(h[len(h)-8:])
}

// mac is the HMAC with the keys of the sender and the receiver (RFC 8684, 3.2).
func (k *keys) mac(from, to uint64, msg []byte) []byte {
	m := hmac.New(k.hash, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, from), to))
	m.Write(msg)
	return m.Sum(nil)
}

func nonces(a, b uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, a), b)
}

var capableFlags = []struct {
	name string
	bit  uint8
}{{"flag_a", 0x80}, {"flag_b", 0x40}, {"flag_c", 0x20}, {"flag_h", 0x01}}

// eval is the value of a term; auto is what the protocol asks for.
func (k *keys) eval(t Term, auto uint64) (uint64, error) {
	switch {
	case t.Name == "auto":
		return auto, nil
	case t.Set:
		k.vars[t.Name] = t.V
		return t.V, nil
	case t.Name == "":
		return t.V, nil
	}
	v, ok := k.vars[t.Name]
	switch {
	case !ok:
		return 0, fmt.Errorf("variable %q has no value yet", t.Name)
	case t.Fn == "sha256_32":
		return uint64(tokenBy(sha256.New(), v)), nil
	case t.Fn == "sha1_32":
		return uint64(tokenBy(sha1.New(), v)), nil
	case t.Fn != "":
		return 0, fmt.Errorf("function %q is not understood", t.Fn)
	}
	return v, nil
}

// encodeMPTCP writes an option of kind 30 from A.
func (f *flow) encodeMPTCP(o *Option) ([]byte, error) {
	b := []byte{kindMPTCP, 0, mptcpSubtypes[o.Kind] << 4}
	var err error
	value := func(name string, auto uint64) uint64 {
		t, ok := o.term(name)
		if !ok {
			return auto
		}
		v, e := f.keys.eval(t, auto)
		if e != nil {
			err = e
		}
		return v
	}
	if o.value("backup") != 0 {
		b[2] |= 1
	}
	switch o.Kind {
	case "mp_capable":
		b, err = f.encodeCapable(o, b)
	case "mp_join_syn":
		f.nonceA = uint32(value("rand", uint64(f.remote.Port())<<16|0x5eed))
		b = append(b, uint8(value("address_id", 0)))
		b = binary.BigEndian.AppendUint32(b, uint32(value("token", uint64(f.keys.tokenOf(f.keys.b)))))
		b = binary.BigEndian.AppendUint32(b, f.nonceA)
	case "mp_join_syn_ack":
		f.nonceA = uint32(value("rand", uint64(f.remote.Port())<<16|0x5eed))
		h := f.keys.mac(f.keys.a, f.keys.b, nonces(f.nonceA, f.nonceB))
		if t, _ := o.term("sender_hmac"); t.Name != "auto" {
			binary.BigEndian.PutUint64(h, t.V)
		}
		b = append(append(b, uint8(value("address_id", 0))), h[:8]...)
		b = binary.BigEndian.AppendUint32(b, f.nonceA)
	case "mp_join_ack":
		h := f.keys.mac(f.keys.a, f.keys.b, nonces(f.nonceA, f.nonceB))
		if t, _ := o.term("sender_hmac"); t.Name != "auto" {
			binary.BigEndian.PutUint64(h, t.V)
		}
		b = append(append(b, 0), h[:20]...)
	case "dss":
		b = f.encodeDSS(o, b)
	case "add_address":
		b, err = f.encodeAddAddress(o, b)
	case "remove_address":
		a, _ := o.arg("address_id")
		for _, t := range a.Terms {
			b = append(b, uint8(t.V))
		}
	case "mp_prio":
		if o.has("address_id") {
			b = append(b, uint8(value("address_id", 0)))
		}
	case "mp_fail":
		b = binary.BigEndian.AppendUint64(append(b, 0), value("dsn8", 0)+f.keys.idsn(f.keys.b))
	case "mp_fastclose":
		b = binary.BigEndian.AppendUint64(append(b, 0), value("key", f.keys.b))
	case "mp_reset":
		b[2] |= uint8(truth(o.has("transient")))
		b = append(b, uint8(value("", 0)))
	default:
		return nil, fmt.Errorf("%s can only be expected, not sent", o.Kind)
	}
	b[1] = uint8(len(b))
	return b, err
}

func (f *flow) encodeCapable(o *Option, b []byte) ([]byte, error) {
	version := capableVersion(o)
	f.keys.v0 = version == 0
	b[2] |= version
	flags := uint8(0)
	a, _ := o.arg("flags")
	for _, t := range a.Terms {
		for _, c := range capableFlags {
			if c.name == t.Name {
				flags |= c.bit
			}
		}
	}
	b = append(b, flags)
	ks, _ := o.arg("key")
	for i, t := range ks.Terms {
		v, err := f.keys.eval(t, 0)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			f.keys.a = v
		}
		b = binary.BigEndian.AppendUint64(b, v)
	}
	if o.has("mpcdatalen") {
		b = binary.BigEndian.AppendUint16(b, uint16(o.value("mpcdatalen")))
		f.in = mapping{dsn: 1, ssn: 1, known: true}
	}
	if o.has("cs") {
		b = binary.BigEndian.AppendUint16(b, f.checksum(o, 1, 1))
	}
	return b, nil
}

// checksum is the cs of an option from A that maps from dsn on, as it is given
// or as it is right: the payload follows from where it stands in the stream, so
// that a mapping may be sent before its data.
func (f *flow) checksum(o *Option, dsn uint64, ssn uint32) uint16 {
	if t, _ := o.term("cs"); t.Name != "auto" {
		return uint16(t.V)
	}
	return f.keys.dssSum(f.keys.a, dsn, ssn, uint16(o.value("dll")+o.value("mpcdatalen")), o.has("fin"))
}

// dssSum is the checksum of a mapping (RFC 8684, 3.3.1). key is its sender's.
func (k *keys) dssSum(key, dsn uint64, ssn uint32, length uint16, fin bool) uint16 {
	n := length
	if fin {
		n--
	}
	var b []byte
	b = binary.BigEndian.AppendUint64(b, dsn+k.idsn(key))
	b = binary.BigEndian.AppendUint32(b, ssn)
	b = binary.BigEndian.AppendUint16(b, length)
	b = append(b, 0, 0)
	return ^checksum.Sum(append(b, fill(make([]byte, n), dsn-1)...))
}

func capableVersion(o *Option) uint8 {
	for v := range uint8(16) {
		if o.has(fmt.Sprintf("v%d", v)) {
			return v
		}
	}
	return 1
}

// The flags of a DSS option (RFC 8684, 3.3).
const (
	dssAck, dssAck8, dssMap, dssDSN8, dssFin = 1, 2, 4, 8, 16
)

func (f *flow) encodeDSS(o *Option, b []byte) []byte {
	flags := uint8(0)
	var v []byte
	switch {
	case o.has("dack8"):
		flags |= dssAck | dssAck8
		v = binary.BigEndian.AppendUint64(v, o.value("dack8")+f.keys.idsn(f.keys.b))
	case o.has("dack4"):
		flags |= dssAck
		v = binary.BigEndian.AppendUint32(v, uint32(o.value("dack4")+f.keys.idsn(f.keys.b)))
	}
	if o.has("dsn8") || o.has("dsn4") {
		flags |= dssMap
		dsn := o.value("dsn8") + o.value("dsn4")
		if o.has("dsn8") {
			flags |= dssDSN8
			v = binary.BigEndian.AppendUint64(v, dsn+f.keys.idsn(f.keys.a))
		} else {
			v = binary.BigEndian.AppendUint32(v, uint32(dsn+f.keys.idsn(f.keys.a)))
		}
		v = binary.BigEndian.AppendUint32(v, uint32(o.value("ssn")))
		v = binary.BigEndian.AppendUint16(v, uint16(o.value("dll")))
		if o.has("cs") {
			v = binary.BigEndian.AppendUint16(v, f.checksum(o, dsn, uint32(o.value("ssn"))))
		}
		if o.value("ssn") != 0 {
			f.in = mapping{dsn, uint32(o.value("ssn")), true}
		}
	}
	if o.has("fin") {
		flags |= dssFin
	}
	return append(append(b, flags), v...)
}

func (f *flow) encodeAddAddress(o *Option, b []byte) ([]byte, error) {
	a, _ := o.arg("addr")
	if len(a.Terms) != 1 {
		return nil, fmt.Errorf("add_address wants addr[...]")
	}
	ip, err := netip.ParseAddr(a.Terms[0].Text)
	if err != nil {
		return nil, err
	}
	id := uint8(o.value("address_id"))
	port := binary.BigEndian.AppendUint16(nil, uint16(o.value("port")))
	b = append(append(b, id), ip.AsSlice()...)
	if o.has("port") {
		b = append(b, port...)
	}
	if f.keys.v0 { // the family's number, and no HMAC (RFC 6824, 3.4.1)
		b[2] |= family(ip)
		return b, nil
	}
	if o.has("addr_echo") {
		b[2] |= 1
		return b, nil
	}
	h := f.keys.mac(f.keys.a, f.keys.b, append(append([]byte{id}, ip.AsSlice()...), port...))
	if t, ok := o.term("hmac"); ok && t.Name != "auto" {
		binary.BigEndian.PutUint64(h[24:], t.V)
	}
	return append(b, h[24:]...), nil // the rightmost 64 bits (RFC 8684, 3.4.1)
}

func family(ip netip.Addr) uint8 {
	if ip.Is4() {
		return 4
	}
	return 6
}

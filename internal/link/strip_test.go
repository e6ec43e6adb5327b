package link

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/mpxd/mpxd/internal/checksum"
)

// segment builds a frame with a TCP segment and right checksums.
func segment(v6, vlan bool, flags byte, opts, payload []byte) []byte {
	f := make([]byte, 12)
	if vlan {
		f = append(f, 0x81, 0, 0, 5)
	}
	tcp := make([]byte, 20, 60)
	binary.BigEndian.PutUint16(tcp, 40000)
	tcp[12], tcp[13] = byte(5+len(opts)/4)<<4, flags
	tcp = append(append(tcp, opts...), payload...)
	var src, dst []byte
	if v6 {
		ip := make([]byte, 40)
		ip[0], ip[6], ip[23], ip[39] = 0x60, 6, 1, 2
		src, dst = ip[8:24], ip[24:40]
		f = append(append(f, 0x86, 0xdd), ip...)
	} else {
		ip := make([]byte, 20)
		ip[0], ip[9], ip[12], ip[16] = 0x45, 6, 10, 11
		src, dst = ip[12:16], ip[16:20]
		f = append(append(f, 8, 0), ip...)
	}
	binary.BigEndian.PutUint16(tcp[16:], ^checksum.Add(checksum.Pseudo(src, dst, 6, len(tcp)), checksum.Sum(tcp)))
	return append(f, tcp...)
}

func TestStrip(t *testing.T) {
	const syn, ack = 2, 16
	mp := []byte{2, 4, 5, 180, 30, 4, 1, 129, 4, 2, 1, 1} // MSS, MP_CAPABLE, SACK permitted
	gone := []byte{2, 4, 5, 180, 1, 1, 1, 1, 4, 2, 1, 1}
	for _, v6 := range []bool{false, true} {
		for _, vlan := range []bool{false, true} {
			for _, c := range []struct {
				name    string
				strip   Strip
				flags   byte
				in, out []byte
			}{
				{"no kinds", Strip{}, syn, mp, mp},
				{"all segments", Strip{Kinds: []uint8{30}}, ack, mp, gone},
				{"SYN only, SYN-ACK", Strip{Kinds: []uint8{30}, SYNOnly: true}, syn | ack, mp, gone},
				{"SYN only, ACK", Strip{Kinds: []uint8{30}, SYNOnly: true}, ack, mp, mp},
				{"absent", Strip{Kinds: []uint8{8}}, syn, mp, mp},
				{"after the end", Strip{Kinds: []uint8{30}}, syn, []byte{0, 0, 30, 2}, []byte{0, 0, 30, 2}},
				{"length beyond the header", Strip{Kinds: []uint8{30}}, syn, []byte{30, 9, 0, 0}, []byte{30, 9, 0, 0}},
				{"length zero", Strip{Kinds: []uint8{30}}, syn, []byte{30, 0, 30, 2}, []byte{30, 0, 30, 2}},
			} {
				frame := segment(v6, vlan, c.flags, c.in, []byte("odd"))
				want := segment(v6, vlan, c.flags, c.out, []byte("odd"))
				if got := c.strip.Apply(frame, false); got != !bytes.Equal(c.in, c.out) {
					t.Errorf("%s, v6 %v: changed %v", c.name, v6, got)
				}
				if !bytes.Equal(frame, want) {
					t.Errorf("%s, v6 %v, vlan %v:\n got %x\nwant %x", c.name, v6, vlan, frame, want)
				}
			}
		}
	}
	frame := segment(false, false, syn, mp, nil)
	sum := bytes.Clone(frame[14+20+16 : 14+20+18])
	Strip{Kinds: []uint8{30}}.Apply(frame, true)
	if !bytes.Equal(frame[14+20+16:14+20+18], sum) {
		t.Error("the sum of a pseudo-header changed with the options")
	}
}

// Whatever the bytes, Apply keeps its hands off what is not a TCP option.
func FuzzStrip(f *testing.F) {
	f.Add(segment(false, false, 2, []byte{30, 4, 1, 129}, nil))
	f.Add(segment(true, true, 2, []byte{30, 4, 1, 129}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		if changed := (Strip{Kinds: []uint8{30}}).Apply(b, false); !changed && !bytes.Equal(b, before) {
			t.Fatal("changed and did not say so")
		}
		if tcp := tcpHeader(before); tcp == nil && !bytes.Equal(b, before) {
			t.Fatal("changed what is not TCP")
		}
	})
}

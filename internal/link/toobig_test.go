package link

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mpxd/mpxd/internal/checksum"
)

// tooLong is a TCP packet with 1500 bytes of IP, in a frame.
func tooLong(v6 bool) []byte {
	b := make([]byte, 1514)
	for i := range b {
		b[i] = byte(i * 7)
	}
	if v6 {
		binary.BigEndian.PutUint16(b[12:], 0x86dd)
		b[14] = 0x60
		b[20] = 6
	} else {
		binary.BigEndian.PutUint16(b[12:], 0x0800)
		b[14], b[23] = 0x45, 6
	}
	return b
}

func TestTooBig(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		in := tooLong(v6)
		var out [MaxTooBig]byte
		n := TooBig(out[:], in, 1414)
		b := out[:n]
		if !slices.Equal(b[:6], in[6:12]) || !slices.Equal(b[6:12], in[:6]) {
			t.Fatal("it does not go back to its sender")
		}
		ip := b[14:]
		if v6 {
			icmp := ip[40:]
			sum := checksum.Add(checksum.Pseudo(ip[8:24], ip[24:40], 58, len(icmp)), checksum.Sum(icmp))
			if n != MaxTooBig || sum != 0xffff || icmp[0] != 2 || binary.BigEndian.Uint32(icmp[4:]) != 1400 ||
				!slices.Equal(icmp[8:], in[14:14+len(icmp)-8]) || !slices.Equal(ip[24:40], in[14+8:14+24]) {
				t.Errorf("IPv6: %x", b)
			}
			continue
		}
		icmp := ip[20:]
		if len(ip) != 576 || checksum.Sum(ip[:20]) != 0xffff || checksum.Sum(icmp) != 0xffff || icmp[0] != 3 || icmp[1] != 4 ||
			binary.BigEndian.Uint16(icmp[6:]) != 1400 || !slices.Equal(icmp[8:], in[14:14+len(icmp)-8]) || !slices.Equal(ip[16:20], in[14+12:14+16]) {
			t.Errorf("IPv4: %x", b)
		}
	}
}

// Whatever is too long is survived, and what is not IP is not answered.
func TestTooBigOfAnything(t *testing.T) {
	var out [MaxTooBig]byte
	for _, v6 := range []bool{false, true} {
		in := tooLong(v6)
		for n := range in {
			least := map[bool]int{false: 34, true: 54}[v6]
			if got := TooBig(out[:], in[:n], 100); (got > 0) != (n >= least) || got > MaxTooBig {
				t.Fatalf("%d bytes answered with %d", n, got)
			}
		}
		in[12] = 0x99
		if n := TooBig(out[:], in, 100); n != 0 {
			t.Errorf("not IP, answered with %d bytes", n)
		}
	}
}

func TestMask(t *testing.T) {
	if got, want := Mask(10, 1|1<<5|1<<63), []uint64{10, 15, 73}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Mask(0, 0); got != nil {
		t.Errorf("%v", got)
	}
}

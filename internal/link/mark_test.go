package link

import (
	"encoding/binary"
	"testing"

	"github.com/mpxd/mpxd/internal/checksum"
)

func TestMarkCE(t *testing.T) {
	for ecn, marked := range map[byte]bool{0: false, 1: true, 2: true, 3: true} {
		v4 := make([]byte, 14+20)
		v4[12], v4[13], v4[14], v4[15], v4[22] = 0x08, 0x00, 0x45, 0xb8|ecn, 64
		binary.BigEndian.PutUint16(v4[24:], ^checksum.Sum(v4[14:]))
		want := ecn
		if marked {
			want = 3
		}
		if MarkCE(v4) != marked || v4[15] != 0xb8|want || checksum.Sum(v4[14:]) != 0xffff {
			t.Errorf("IPv4 with %d: % x", ecn, v4)
		}
		v6 := make([]byte, 14+40)
		v6[12], v6[13], v6[14], v6[15] = 0x86, 0xdd, 0x6b, 0x8f|ecn<<4
		if MarkCE(v6) != marked || v6[14] != 0x6b || v6[15] != 0x8f|want<<4 {
			t.Errorf("IPv6 with %d: % x", ecn, v6)
		}
	}
	arp := make([]byte, 60)
	arp[12], arp[13], arp[15] = 8, 6, 3
	if MarkCE(arp) || MarkCE(nil) {
		t.Error("marked what is not IP")
	}
}

func TestMarkFollowsTheQueue(t *testing.T) {
	l := New(Config{Rate: 8e6, MarkBytes: 3000, QueueBytes: 1 << 20})
	marks := 0
	for range 10 {
		if f := l.Push(0, 1000); f.Mark {
			marks++
		}
	}
	if marks != 7 { // the first three found less than 3000 bytes
		t.Errorf("%d of ten frames marked", marks)
	}
	if f := l.Push(1e9, 1000); f.Mark {
		t.Error("a frame was marked that did not wait")
	}
}

package stack

import (
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/tcp"
)

// TestHostileHeaders: every data offset with every option length, in every kind
// of segment, cut short anywhere: none does more than a segment may.
func TestHostileHeaders(t *testing.T) {
	b := newBench(t, benchConfig{frames: 2048, edit: func(c *Config) { c.MPTCP.Enabled = true }})
	b.Listen(80)
	for _, flags := range []byte{0x02, 0x10, 0x12, 0x11, 0x04, 0x00, 0xff} {
		for offset := range 16 {
			for _, kind := range []byte{0, 1, 2, 3, 4, 5, 8, 30, 34, 254} {
				for _, length := range []byte{0, 1, 2, 3, 4, 10, 12, 24, 40, 41, 255} {
					h := synTo(80)
					h.SrcPort = layers.TCPPort(4000 + int(length))
					p := tcp4(t, h, make([]byte, 44))
					p[46], p[47] = byte(offset<<4), flags
					for i := 54; i+1 < len(p); i += 2 {
						p[i], p[i+1] = kind, length
					}
					repair(p)
					for _, out := range b.turn(p) {
						decode(t, out)
					}
				}
			}
		}
	}
	if n := b.Stats().Drops[DropTCPHeader]; n == 0 {
		t.Error("no data offset lied")
	}
	whole := tcp4(t, synTo(80), make([]byte, 44))
	for n := range whole {
		for _, out := range b.turn(whole[:n]) {
			decode(t, out)
		}
		p := append([]byte(nil), whole[:n]...) // its length told honestly
		if n >= 34 {
			binary.BigEndian.PutUint16(p[16:], uint16(n-14))
			repair(p)
			for _, out := range b.turn(p) {
				decode(t, out)
			}
		}
	}
	for range 300 { // what was opened ends
		for _, out := range b.after(tcp.Second) {
			decode(t, out)
		}
	}
	if c, fl, _, _ := b.Idle(); c != 0 || fl != 0 {
		t.Errorf("%d connections and %d flows are left", c, fl)
	}
	b.free()
}

// TestPortZero: nobody has port 0, neither here nor there.
func TestPortZero(t *testing.T) {
	b := newBench(t, benchConfig{})
	b.Listen(80)
	b.dropped(DropTCPPort, tcp4(t, synTo(0), nil))
	h := synTo(80)
	h.SrcPort = 0
	b.dropped(DropTCPPort, tcp4(t, h, nil))
	b.free()
}

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/mpxd/mpxd/internal/frame"
)

// TestCapture reads back what a tap saw: a chain as one packet, with
// direction and interface.
func TestCapture(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcapng")
	c, err := newCapture(name, []string{"wifi", "lte"}, silent)
	if err != nil {
		t.Fatal(err)
	}
	pool := frame.New(make([]byte, 8<<12), 12)
	span := func(text string, flags uint8) frame.Span {
		f, _ := pool.Get()
		s := frame.Span{Frame: f, Off: 256, Len: uint16(len(text)), Flags: flags}
		copy(pool.Bytes(s), text)
		return s
	}
	tap := c.tap(pool)
	tap(false, 0, []frame.Span{span("ab", frame.More), span("cde", 0)})
	tap(false, 0, []frame.Span{span("fg", 0)})
	tap(true, 1, []frame.Span{span("out", 0)})
	if err := c.close(); err != nil {
		t.Fatal(err)
	}

	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		data, link string
		d          pcapgo.NgEpbFlag
	}{
		{"abcde", "wifi", pcapgo.NgEpbFlagDirectionInbound},
		{"fg", "wifi", pcapgo.NgEpbFlagDirectionInbound},
		{"out", "lte", pcapgo.NgEpbFlagDirectionOutbound},
	} {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatal(err)
		}
		in, err := r.Interface(ci.InterfaceIndex)
		if err != nil || string(data) != want.data || in.Name != want.link || opts.Flags == nil || opts.Flags.Direction != want.d {
			t.Errorf("%q on %s, %+v, %v; want %v", data, in.Name, opts.Flags, err, want)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
}

// TestRing: what one goroutine puts another takes, in order and whole, and what
// does not fit is refused, not torn. Run it with -race.
func TestRing(t *testing.T) {
	const records = 200_000
	r := newRing(1 << 12)
	lost := make(chan int)
	go func() {
		rng, n := rand.New(rand.NewPCG(1, 2)), 0
		for i := range records {
			b := r.reserve(4 + rng.IntN(700))
			if b == nil {
				n++
				continue
			}
			binary.LittleEndian.PutUint32(b, uint32(i))
			for k := range b[4:] {
				b[4+k] = byte(i)
			}
			r.commit()
		}
		lost <- n
	}()
	last, taken, gone := -1, 0, -1
	for gone < 0 {
		select {
		case gone = <-lost:
		default:
		}
		r.take(func(b []byte) {
			i := int(binary.LittleEndian.Uint32(b))
			if i <= last || bytes.Count(b[4:], []byte{byte(i)}) != len(b)-4 {
				t.Fatalf("record %d after %d: %x", i, last, b)
			}
			last = i
			taken++
		})
	}
	if taken+gone != records || taken == 0 {
		t.Errorf("%d taken and %d refused of %d", taken, gone, records)
	}
	if r.reserve(1<<12) != nil {
		t.Error("a record larger than the ring found room")
	}
}

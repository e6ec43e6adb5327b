//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/mpxd/mpxd/internal/frame"
)

// wire is a port that yields what was put in front of it and takes limit spans.
type wire struct {
	in    []frame.Span
	limit int
}

func (w *wire) Recv(in []frame.Span) int {
	n := copy(in, w.in)
	w.in = w.in[n:]
	return n
}
func (w *wire) Send(out []frame.Span) int { return min(w.limit, len(out)) }
func (w *wire) Room() int                 { return w.limit }
func (w *wire) Flush()                    {}

// TestCapture reads back what a tap saw: a chain as one packet, of what was
// sent only what the port took, with direction and interface.
func TestCapture(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcapng")
	c, err := newCapture(name, []string{"wifi", "lte"}, slog.New(slog.DiscardHandler))
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
	wifi := &tap{Port: &wire{in: []frame.Span{span("ab", frame.More), span("cde", 0), span("fg", 0)}}, pool: pool, link: 0, to: c}
	lte := &tap{Port: &wire{limit: 1}, pool: pool, link: 1, to: c}
	if n := wifi.Recv(make([]frame.Span, 64)); n != 3 {
		t.Fatal(n)
	}
	if n := lte.Send([]frame.Span{span("out", 0), span("not taken", 0)}); n != 1 {
		t.Fatal(n)
	}
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

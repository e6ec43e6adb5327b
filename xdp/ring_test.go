//go:build linux

package xdp

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// memRing is a ring in plain memory, seen from both sides. The indexes begin
// shortly before they wrap.
func memRing[T any](size uint32) (ours, theirs ring[T]) {
	const begin = ^uint32(0) - 5
	producer, consumer, flags := new(atomic.Uint32), new(atomic.Uint32), new(atomic.Uint32)
	producer.Store(begin)
	consumer.Store(begin)
	r := ring[T]{producer: producer, consumer: consumer, flags: flags, entries: make([]T, size), mask: size - 1, own: begin, seen: begin}
	return r, r
}

func TestRingKeepsOrderOverTheWrap(t *testing.T) {
	in, out := memRing[uint64](8)
	next, want := uint64(0), uint64(0)
	for round := range 100 {
		n := uint32(round%8 + 1)
		for i := range n {
			in.put(i, next)
			next++
		}
		if out.look() != 0 {
			t.Fatal("entries were seen before they were submitted")
		}
		in.submit(n)
		if p := in.pending(); p != n {
			t.Fatalf("%d pending, want %d", p, n)
		}
		if r := out.ready(); r != n {
			t.Fatalf("%d ready, want %d", r, n)
		}
		for i := range n {
			if v := out.at(i); v != want {
				t.Fatalf("got entry %d, want %d", v, want)
			}
			want++
		}
		out.release(n)
		if p := in.pending(); p != 0 {
			t.Fatalf("%d pending after release", p)
		}
	}
}

func TestRingBoundsANonsenseProducer(t *testing.T) {
	ours, _ := memRing[uint64](8)
	for _, lie := range []uint32{1000, 1 << 31, ^uint32(0)} {
		ours.producer.Store(ours.own + lie)
		if n := ours.look(); n > 8 {
			t.Errorf("%d entries ready in a ring of 8", n)
		}
	}
}

// Two goroutines, so that the race detector sees what orders entries and indexes.
func TestRingBetweenTwoThreads(t *testing.T) {
	const total = 100_000
	in, out := memRing[uint64](64)
	go func() {
		for sent := uint64(0); sent < total; {
			room := in.size() - in.pending()
			n := min(room, uint32(total-sent))
			for i := range n {
				in.put(i, sent+uint64(i))
			}
			if n == 0 {
				runtime.Gosched()
				continue
			}
			in.submit(n)
			sent += uint64(n)
		}
	}()
	for want := uint64(0); want < total; {
		n := out.ready()
		for i := range n {
			if v := out.at(i); v != want {
				t.Fatalf("got %d, want %d", v, want)
			}
			want++
		}
		if n == 0 {
			runtime.Gosched()
			continue
		}
		out.release(n)
	}
}

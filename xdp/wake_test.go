//go:build linux

package xdp

import (
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
)

func TestPace(t *testing.T) {
	p := pace{last: time.Now()}
	if !p.busy(1_000_000) { // a million packets in less than 20 s
		t.Error("load was not seen")
	}
	if p.busy(1_000_000) {
		t.Error("no packet is no load")
	}
	p.last = p.last.Add(-50 * time.Microsecond) // one answer per round trip
	if p.busy(1_000_001) {
		t.Error("a trickle was taken for load")
	}
}

func TestWaitAndWake(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	s := open(t, w.host, config(Generic))
	defer s.end()
	for _, load := range []uint64{0, 1_000_000} {
		underLoad := func() { s.pace = pace{time.Now(), s.received() - load} }
		underLoad()
		begin := time.Now()
		s.Wait(int64(3 * time.Millisecond))
		if d := time.Since(begin); d < 3*time.Millisecond {
			t.Errorf("slept %v", d)
		}
		for range 200 { // from another goroutine, at any moment
			woken := make(chan struct{})
			go func() {
				s.Wake()
				s.Wake()
				close(woken)
			}()
			underLoad()
			begin := time.Now()
			s.Wait(int64(5 * time.Second))
			if time.Since(begin) > 4*time.Second {
				t.Fatal("a wake was lost")
			}
			<-woken
			s.Wait(0) // answers one that came after
		}
		begin = time.Now()
		s.Wait(int64(2 * time.Millisecond))
		if time.Since(begin) < 2*time.Millisecond {
			t.Error("a wake was answered twice")
		}
		s.Wake()
		s.Wait(-1)
		go func() { s.Wake() }()
		underLoad()
		s.Wait(-1)
	}
	// Packets end a sleep.
	done := make(chan error, 1)
	go func() { done <- ping(w.peer, hostAddr, 8) }()
	if !s.each(4*time.Second, s.pong) {
		t.Error("packets did not end the sleep")
	}
	if err := s.pongs(func() error { return <-done }); err != nil {
		t.Error(err)
	}
}

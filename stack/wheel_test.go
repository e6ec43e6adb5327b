package stack

import (
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"github.com/mpxd/mpxd/tcp"
)

// TestWheelAgainstModel: every timer fires once, not early, and not later than
// a tick after its time, if the wheel is asked when it wants to be.
func TestWheelAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		model := map[uint32]tcp.Time{}
		now := tcp.Time(rapid.Int64Range(0, 1<<40).Draw(t, "start"))
		const tick = tcp.Time(1) << tickShift
		run := func() {
			for w.budget = 1 << 20; ; {
				id, ok := w.pop(now)
				if !ok {
					break
				}
				at, armed := model[id]
				if !armed || at > now {
					t.Fatalf("timer %d fired at %d, was set for %d, %v", id, now, at, armed)
				}
				delete(model, id)
			}
			for id, at := range model {
				if at <= now-tick {
					t.Fatalf("timer %d of %d has not fired at %d", id, at, now)
				}
				if next := w.next(); next > at+tick {
					t.Fatalf("timer %d is due at %d, but the wheel sleeps until %d", id, at, next)
				}
			}
			if len(model) != w.live {
				t.Fatalf("%d timers live, want %d", w.live, len(model))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				id := rapid.Uint32Range(1, 40).Draw(t, "id")
				// Every order of magnitude, also past times.
				shift := rapid.IntRange(0, 55).Draw(t, "shift")
				at := now + tcp.Time(rapid.Int64Range(-1000, 1<<shift).Draw(t, "delay"))
				w.set(id, at)
				model[id] = at
			},
			"cancel": func(t *rapid.T) {
				id := rapid.Uint32Range(1, 40).Draw(t, "id")
				w.set(id, tcp.Never)
				delete(model, id)
			},
			"wait": func(t *rapid.T) {
				shift := rapid.IntRange(0, 45).Draw(t, "shift")
				now += tcp.Time(rapid.Int64Range(0, 1<<shift).Draw(t, "wait"))
				run()
			},
			"jump": func(t *rapid.T) { // as a shard that sleeps as long as it may
				if next := w.next(); next != tcp.Never {
					now = max(now, next)
				}
				run()
			},
		})
	})
}

func TestWheelBudget(t *testing.T) {
	var w wheel
	for i := range uint32(1000) {
		w.set(i+1, tcp.Second)
	}
	w.budget = timersPerTurn
	n := 0
	for _, ok := w.pop(2 * tcp.Second); ok; _, ok = w.pop(2 * tcp.Second) {
		n++
	}
	if n == 0 || n > timersPerTurn || w.next() != 0 {
		t.Errorf("%d fired in one turn, next at %d", n, w.next())
	}
}

// TestWheelHops: a timer is touched once per level at most.
func TestWheelHops(t *testing.T) {
	for shift := range 50 {
		var w wheel
		at := tcp.Time(1)<<shift + 12345
		w.set(1, at)
		hops := 0
		for now := tcp.Time(0); ; {
			w.budget = 1
			id, ok := w.pop(now)
			if ok && id == 1 {
				break
			}
			if hops++; hops > 2*wheelLevels+2 {
				t.Fatalf("2^%d ns: still not fired at %d", shift, now)
			}
			now = max(now, w.next())
		}
		if levels := bits.Len64(uint64(at)>>tickShift)/wheelBits + 1; hops > 2*levels+1 {
			t.Errorf("2^%d ns: %d wakes for %d levels", shift, hops, levels)
		}
	}
}

func BenchmarkWheelMove(b *testing.B) {
	var w wheel
	for i := range uint32(100_000) {
		w.set(i, tcp.Time(i)*tcp.Millisecond)
	}
	for i := 0; b.Loop(); i++ {
		w.set(uint32(i)%100_000, tcp.Time(i%1000)*tcp.Millisecond+tcp.Time(i))
	}
}

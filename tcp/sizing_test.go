package tcp

import (
	"math/rand/v2"
	"testing"
)

// budgetOf is for a pool of so many bytes.
func budgetOf(pool uint64) *Env {
	return &Env{Now: Second, Windows: Budget{Pool: pool}}
}

// TestBudget: from a quarter on new buffers are small, at the end there are none,
// and k times the pool is never exceeded.
func TestBudget(t *testing.T) {
	const pool = 4 << 20
	e := budgetOf(pool)
	b := &e.Windows
	var all []Sizing
	whole, small := 0, 0
	for !b.Full() {
		var z Sizing
		z.Begin(b, 128<<10, 1<<20)
		switch z.Size() {
		case 128 << 10:
			if whole++; small > 0 {
				t.Fatal("a whole buffer after a small one")
			}
		case tightStart:
			if small++; b.Used < Overcommit*pool/4 {
				t.Fatalf("small at %d bytes", b.Used)
			}
		default:
			t.Fatalf("%d bytes", z.Size())
		}
		all = append(all, z)
	}
	if want := Overcommit * pool / 4 / (128 << 10); whole != want || b.Used > Overcommit*pool || b.Used < Overcommit*pool-2*tightStart {
		t.Errorf("%d whole buffers, want %d, %d small; %d bytes", whole, want, small, b.Used)
	}
	var late Sizing // of a dial that did not ask
	for range 4 {
		if late.Begin(b, 128<<10, 1<<20); late.Size() > tightStart || b.Used > Overcommit*pool {
			t.Errorf("%d bytes when full, %d in all", late.Size(), b.Used)
		}
		all = append(all, late)
	}
	for i := range all {
		all[i].End(b)
	}
	if b.Used != 0 {
		t.Errorf("%d bytes are never given back", b.Used)
	}
}

// TestTightBudget: who reads may grow when the budget is tight, to a share of what is
// left; who does not gives back what it did not promise; while frames are short nobody grows.
func TestTightBudget(t *testing.T) {
	const pool = 16 << 20
	e := budgetOf(pool)
	b := &e.Windows
	b.Used = Overcommit * pool / 4
	var z Sizing
	z.Begin(b, 128<<10, 4<<20)
	read := func(n uint32) {
		z.Took(e.Now, n, Millisecond)
		e.Now += 10 * Millisecond
		if z.Took(e.Now, 0, 10*Millisecond) {
			z.Fit(e, 10*Millisecond, 0)
		}
	}
	for range 10 {
		read(2 << 20)
	}
	if n := z.Size(); n > b.share()+b.share()/64 || n < b.share()/2 {
		t.Errorf("%d bytes, a share is %d", n, b.share())
	}
	b.Short = true
	at := z.Size()
	for range 10 {
		read(2 << 20)
	}
	if z.Size() != at {
		t.Errorf("%d bytes, and %d while frames were short", at, z.Size())
	}
	for range 10 {
		read(100)
	}
	if z.Size() > 30<<10 || z.Bound() != z.Size() {
		t.Errorf("%d bytes, %d charged, for one that reads little", z.Size(), z.Bound())
	}
	z.End(b)
	if b.Used != Overcommit*pool/4 {
		t.Errorf("%d bytes charged", b.Used-Overcommit*pool/4)
	}
}

// TestBudgetIsKept: whatever buffers do, their sum is what is charged, and that no
// more than k times the pool.
func TestBudgetIsKept(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	e := budgetOf(1 << 20)
	b := &e.Windows
	all := make([]Sizing, 400)
	live := make([]bool, len(all))
	for i := range 100000 {
		e.Now += Time(r.IntN(int(2 * Millisecond)))
		b.Short = i/1000%5 == 4
		k := r.IntN(len(all))
		z := &all[k]
		switch {
		case !live[k]:
			if !b.Full() {
				z.Begin(b, 64<<10, 1<<20)
				live[k] = true
			}
		case r.IntN(50) == 0:
			z.End(b)
			live[k] = false
		default:
			z.Took(e.Now, uint32(r.IntN(100000)), Millisecond)
			z.Fit(e, Millisecond, uint32(r.IntN(int(z.Bound())+1)))
		}
		var sum uint64
		for k := range all {
			if live[k] {
				sum += uint64(all[k].Bound())
			}
		}
		if sum != b.Used || sum > Overcommit*b.Pool {
			t.Fatalf("step %d: %d bytes charged, %d in all, %d allowed", i, b.Used, sum, Overcommit*b.Pool)
		}
	}
}

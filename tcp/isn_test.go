package tcp

import "testing"

func TestISN(t *testing.T) {
	e := &Env{Conf: &Config{Secret: [32]byte{1}}}
	a := Tuple{Local: AddrFrom4([4]byte{192, 0, 2, 1}), Remote: AddrFrom4([4]byte{192, 0, 2, 2}), LocalPort: 80, RemotePort: 1024}
	b := a
	b.RemotePort++
	first := ISN(e, &a)
	if first != ISN(e, &a) {
		t.Fatal("not a function of tuple and time")
	}
	if d := uint32(ISN(e, &b) - first); d < 1<<16 || -d < 1<<16 {
		t.Fatalf("neighbouring tuples are %d apart", int32(d))
	}
	e.Now += Second
	if d := ISN(e, &a).Sub(first); d != 250000 {
		t.Fatalf("the clock moved by %d in a second, want 250000 (RFC 6528)", d)
	}
	other := &Env{Now: e.Now, Conf: &Config{Secret: [32]byte{2}}}
	if ISN(other, &a) == ISN(e, &a) || TSOffset(e, &a) == uint32(first) || PortOffset(e, &a) == TSOffset(e, &a) {
		t.Fatal("secret or use does not matter")
	}
	if n := testing.AllocsPerRun(100, func() { ISN(e, &a) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestISNsOfTuplesAreStrangers: what one tuple's number is tells nothing of its
// neighbour's, and a tuple's own only grow (RFC 6528, 3).
func TestISNsOfTuplesAreStrangers(t *testing.T) {
	e := &Env{Now: Second, Conf: &Config{Secret: [32]byte{9}}}
	const n = 20000
	var ones [32]int
	seen := map[Seq]bool{}
	tu := *testTuple(0)
	last := ISN(e, &tu)
	for i := range n {
		tu.LocalPort = uint16(i)
		tu.Remote[14] = byte(i >> 16)
		isn := ISN(e, &tu)
		for bit := range ones {
			ones[bit] += int((isn ^ last) >> bit & 1)
		}
		seen[isn], last = true, isn
	}
	for bit, k := range ones {
		if k < n/2-n/32 || k > n/2+n/32 {
			t.Errorf("bit %d changes %d times of %d", bit, k, n)
		}
	}
	if len(seen) < n-3 { // birthdays: 0.05 expected
		t.Errorf("%d different numbers of %d", len(seen), n)
	}
	for range 1000 {
		before := ISN(e, &tu)
		e.Now += 4 * Microsecond
		if ISN(e, &tu) != before+1 {
			t.Fatal("the clock does not tick every 4 us")
		}
	}
}

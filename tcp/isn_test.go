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

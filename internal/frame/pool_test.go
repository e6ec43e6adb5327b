package frame

import "testing"

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	f()
}

func TestFrameIsFreeWithoutHolderAndRing(t *testing.T) {
	p := New(make([]byte, 4<<12), 12)
	f, ok := p.Get()
	if !ok || p.Free() != 3 {
		t.Fatalf("Get: ok=%v, %d free", ok, p.Free())
	}
	p.Retain(f)
	p.TxStart(f)
	p.Release(f)
	p.Release(f)
	if p.Free() != 3 {
		t.Fatal("a frame in a TX ring was freed")
	}
	p.TxDone(f)
	if p.Free() != 4 {
		t.Fatal("the frame did not come back")
	}
	if l := p.Leaks(10); len(l) != 0 {
		t.Fatal(l)
	}
}

func TestMisusePanics(t *testing.T) {
	p := New(make([]byte, 2<<12), 12)
	f, _ := p.Get()
	p.Release(f)
	mustPanic(t, "double release", func() { p.Release(f) })
	mustPanic(t, "retain of a free frame", func() { p.Retain(f) })
	mustPanic(t, "transmit of a free frame", func() { p.TxStart(f) })
	mustPanic(t, "completion of an idle frame", func() { p.TxDone(f) })
}

func TestWritable(t *testing.T) {
	p := New(make([]byte, 1<<12), 12)
	f, _ := p.Get()
	if !p.Writable(f) {
		t.Error("a fresh frame is not writable")
	}
	p.TxStart(f)
	if p.Writable(f) {
		t.Error("a frame in a TX ring is writable")
	}
	p.TxDone(f)
	p.Share(f)
	if p.Writable(f) {
		t.Error("a shared frame is writable")
	}
	p.Release(f)
	if g, _ := p.Get(); !p.Writable(g) {
		t.Error("sharing outlived the frame's release")
	}
	if _, ok := p.Get(); ok {
		t.Error("an empty pool gave a frame")
	}
}

func TestBytesStayInsideTheFrame(t *testing.T) {
	p := New(make([]byte, 3<<12), 12)
	b := p.Bytes(Span{Frame: 1, Off: 4000, Len: 96})
	if len(b) != 96 || cap(b) != 96 {
		t.Fatalf("len %d, cap %d", len(b), cap(b))
	}
}

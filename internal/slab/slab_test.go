package slab

import "testing"

func TestHandleDiesWithItsValue(t *testing.T) {
	var s Slab[int]
	i, v, ok := s.Alloc()
	if !ok || i == 0 {
		t.Fatal("no value, or index 0")
	}
	*v = 7
	h := s.Handle(i)
	if p := s.Get(h); p == nil || *p != 7 {
		t.Fatal("handle does not lead to its value")
	}
	s.Free(i)
	if s.Get(h) != nil {
		t.Fatal("handle of a freed value is valid")
	}
	j, w, _ := s.Alloc()
	if j != i || *w != 0 {
		t.Fatalf("index %d reused as %d, value %d", i, j, *w)
	}
	if s.Get(h) != nil || s.Get(s.Handle(j)) == nil {
		t.Fatal("generations are confused")
	}
	if s.Get(0) != nil || s.Get(1<<63|99999999) != nil {
		t.Fatal("a handle nobody got is valid")
	}
}

func TestBoundsAndGrowth(t *testing.T) {
	s := Slab[uint64]{Max: 3000}
	var all []uint32
	var first *uint64
	for range 3000 {
		i, v, ok := s.Alloc()
		if !ok {
			t.Fatal("refused below the bound")
		}
		if first == nil {
			first = v
		}
		*v = uint64(i)
		all = append(all, i)
	}
	if _, _, ok := s.Alloc(); ok {
		t.Fatal("bound not kept")
	}
	if s.At(all[0]) != first {
		t.Fatal("a value moved")
	}
	n := 0
	s.Each(func(i uint32, v *uint64) bool {
		if *v != uint64(i) {
			t.Fatalf("value %d at %d", *v, i)
		}
		n++
		s.Free(i)
		return true
	})
	if n != 3000 || s.Live() != 0 {
		t.Fatalf("%d visited, %d live", n, s.Live())
	}
	defer func() {
		if recover() == nil {
			t.Fatal("double free did not panic")
		}
	}()
	s.Free(all[0])
}

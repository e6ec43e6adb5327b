package stack

import (
	"testing"

	"pgregory.net/rapid"
)

func TestIndexAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		model := map[uint32]uint32{} // id to hash
		var ids []uint32
		next := uint32(1)
		// Few different hashes, close to each other and at the table's end: runs collide and wrap.
		hashes := rapid.OneOf(rapid.Uint32Range(0, 20), rapid.Uint32Range(1<<32-20, 1<<32-1), rapid.Uint32())
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "n") {
					h := hashes.Draw(t, "hash")
					x.add(h, next)
					model[next] = h
					ids = append(ids, next)
					next++
				}
			},
			"remove": func(t *rapid.T) {
				for range min(rapid.IntRange(1, 60).Draw(t, "n"), len(ids)) {
					i := rapid.IntRange(0, len(ids)-1).Draw(t, "i")
					x.remove(model[ids[i]], ids[i])
					delete(model, ids[i])
					ids[i] = ids[len(ids)-1]
					ids = ids[:len(ids)-1]
				}
			},
			"": func(t *rapid.T) {
				for id, h := range model {
					if got := x.find(h, func(i uint32) bool { return i == id }); got != id {
						t.Fatalf("%d with hash %x is not found", id, h)
					}
				}
				if got := x.find(hashes.Draw(t, "absent"), func(i uint32) bool { return model[i] == 0 && i >= next }); got != 0 {
					t.Fatalf("found %d", got)
				}
				if x.live != len(model) {
					t.Fatalf("%d live, want %d", x.live, len(model))
				}
			},
		})
	})
}

// TestIndexMovesBoundedly: no addition touches more than a few entries.
func TestIndexMovesBoundedly(t *testing.T) {
	var x index
	for i := uint32(1); i < 200_000; i++ {
		before := x.next
		x.add(i*2654435761, i)
		if x.next-before > indexMove {
			t.Fatalf("addition %d moved %d slots", i, x.next-before)
		}
		if x.old != nil && len(x.slots) > 4*len(x.old) {
			t.Fatal("grew before the last growth was done")
		}
	}
}

func BenchmarkIndexFind(b *testing.B) {
	var x index
	const n = 100_000
	for i := uint32(1); i <= n; i++ {
		x.add(i*2654435761, i)
	}
	for i := uint32(0); b.Loop(); i++ {
		id := i*40503%n + 1
		if x.find(id*2654435761, func(other uint32) bool { return other == id }) != id {
			b.Fatal(id)
		}
	}
}

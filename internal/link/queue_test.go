package link

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestQueueIsAStableSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "times")
		q := NewQueue[int](len(times))
		type entry struct {
			at int64
			i  int
		}
		var want []entry
		for i, at := range times {
			if !q.Push(at, i) {
				t.Fatalf("full after %d of %d", i, len(times))
			}
			want = append(want, entry{at, i})
		}
		if q.Push(0, -1) {
			t.Fatal("took more than its bound")
		}
		slices.SortStableFunc(want, func(a, b entry) int { return int(a.at - b.at) })
		for _, w := range want {
			if at, ok := q.Next(); !ok || at != w.at {
				t.Fatalf("Next %d, %v, want %d", at, ok, w.at)
			}
			if i, ok := q.Pop(w.at - 1); ok {
				t.Fatalf("%d came before its time", i)
			}
			if i, ok := q.Pop(w.at); !ok || i != w.i {
				t.Fatalf("Pop %d, %v, want %d", i, ok, w.i)
			}
		}
		if _, ok := q.Pop(math.MaxInt64); ok || q.Len() != 0 {
			t.Fatal("something is left")
		}
	})
}

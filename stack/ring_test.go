package stack

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestRing: against a plain buffer, with runs of all lengths.
func TestRing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q ring
	var want, in bytes.Buffer
	for range 20000 {
		b := noise(byte(r.Uint32()), r.IntN(40000))
		q.grow(len(b))
		p, s := q.unused()
		b = b[:min(len(b), len(p)+len(s))]
		spread(p, s, 0, b)
		q.tail += uint64(len(b))
		want.Write(b)
		p, s = q.used()
		if q.len() != want.Len() || len(p)+len(s) != want.Len() || len(q.b) > ringMax {
			t.Fatalf("%d, %d, %d of %d", q.len(), len(p), len(s), want.Len())
		}
		k := r.IntN(q.len() + 1)
		in.Reset()
		in.Write(p)
		in.Write(s)
		if !bytes.Equal(in.Next(k), want.Next(k)) {
			t.Fatal("not what was written")
		}
		q.consume(q.head + uint64(k))
	}
	old := q.head
	q.clear()
	q.consume(old + 1)
	if q.len() != 0 || q.b != nil {
		t.Error("not empty")
	}
}

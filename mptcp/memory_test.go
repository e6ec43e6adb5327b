package mptcp

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/mpxd/mpxd/tcp"
)

// hasPointers reports whether the garbage collector would have to look into t.
func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() > 0 && hasPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return false
	}
	return true
}

func TestNoPointers(t *testing.T) {
	for _, v := range []any{conn{}, subflow{}, mapping{}, address{}} {
		if typ := reflect.TypeOf(v); hasPointers(typ) {
			t.Errorf("%v holds pointers", typ)
		}
	}
	if !hasPointers(reflect.TypeOf(Set{})) {
		t.Error("the test finds no pointers where there are some")
	}
}

// TestSizes: what a connection costs. Raise a bound only knowingly.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name      string
		size, max uintptr
	}{
		{"conn", unsafe.Sizeof(conn{}), 320},
		{"subflow without tcp.Conn", unsafe.Sizeof(subflow{}) - unsafe.Sizeof(tcp.Conn{}), 256},
		{"mapping", unsafe.Sizeof(mapping{}), 48},
	} {
		t.Logf("%s: %d bytes", c.name, c.size)
		if c.size > c.max {
			t.Errorf("%s takes %d bytes, at most %d were meant", c.name, c.size, c.max)
		}
	}
	t.Logf("tcp.Conn: %d bytes", unsafe.Sizeof(tcp.Conn{}))
}

// TestNoAllocations: one round of a download over two subflows, from Send to
// the DATA_ACK, allocates nothing in either Set.
func TestNoAllocations(t *testing.T) {
	for _, csum := range []bool{false, true} {
		w := newWorld(t, 40, &path{up: true, delay: tcp.Millisecond}, &path{up: true, delay: 2 * tcp.Millisecond})
		w.srv.set.conf.Checksum = csum
		c, s := w.pair(0, 0)
		c.keepOpen, s.keepOpen = true, true
		w.after(20*tcp.Millisecond, func() { w.srv.send(s, 10_000) })
		w.after(50*tcp.Millisecond, func() {
			if !w.join(c.c, 1, 2000, false) {
				t.Error("no join")
			}
		})
		end := w.now + 100*tcp.Millisecond
		w.run(10*tcp.Second, func() bool { return w.now >= end })

		d := newDirect(w)
		round := func() {
			w.now += 5 * tcp.Millisecond
			w.srv.env.Now, w.cli.env.Now = w.now, w.now
			w.srv.send(s, 5600)
			for d.move(w.srv, w.cli) || d.move(w.cli, w.srv) {
			}
			for {
				span, ok := w.cli.set.Recv(&w.cli.env, c.c)
				if !ok {
					break
				}
				w.cli.env.Pool.Release(span.Frame)
			}
			for _, h := range []*host{w.srv, w.cli} {
				for _, _, ok := h.set.NextEvent(); ok; _, _, ok = h.set.NextEvent() {
				}
			}
		}
		for range 50 {
			round()
		}
		before := w.srv.set.Count.BurstBytes
		if n := testing.AllocsPerRun(200, round); n != 0 {
			t.Errorf("checksum %v: %v allocations a round", csum, n)
		}
		if got := w.srv.set.Count.BurstBytes - before; got < 200*5600 {
			t.Errorf("checksum %v: only %d bytes moved", csum, got)
		}
	}
}

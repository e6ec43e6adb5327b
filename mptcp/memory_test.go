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
	for _, v := range []any{conn{}, subflow{}, mapping{}, address{}, signal{}, aim{}, Record{}} {
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
		{"conn", unsafe.Sizeof(conn{}), 432},
		{"subflow without tcp.Conn", unsafe.Sizeof(subflow{}) - unsafe.Sizeof(tcp.Conn{}), 280},
		{"mapping", unsafe.Sizeof(mapping{}), 48},
	} {
		t.Logf("%s: %d bytes", c.name, c.size)
		if c.size > c.max {
			t.Errorf("%s takes %d bytes, at most %d were meant", c.name, c.size, c.max)
		}
	}
	t.Logf("tcp.Conn: %d bytes", unsafe.Sizeof(tcp.Conn{}))
}

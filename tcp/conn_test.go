package tcp

import (
	"reflect"
	"testing"
	"unsafe"
)

// The garbage collector must not see the population of flows.
func TestConnAndNodeHoldNoPointers(t *testing.T) {
	for _, v := range []any{Conn{}, Node{}, TimeWait{}} {
		noPointers(t, reflect.TypeOf(v), reflect.TypeOf(v).Name())
	}
	if n := unsafe.Sizeof(Conn{}); n > 768 {
		t.Errorf("a Conn takes %d bytes", n)
	}
	t.Logf("Conn %d bytes (CC %d), Node %d", unsafe.Sizeof(Conn{}), unsafe.Sizeof(CC{}), unsafe.Sizeof(Node{}))
}

func noPointers(t *testing.T, typ reflect.Type, name string) {
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			noPointers(t, typ.Field(i).Type, name+"."+typ.Field(i).Name)
		}
	case reflect.Array:
		noPointers(t, typ.Elem(), name+"[]")
	case reflect.Bool, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
	default:
		t.Errorf("%s is a %s", name, typ.Kind())
	}
}

package stack

import (
	"reflect"
	"testing"
	"unsafe"
)

// TestNoPointers: what is kept per flow and connection is invisible to the
// garbage collector.
func TestNoPointers(t *testing.T) {
	for _, v := range []any{flow{}, conn{}, neighbor{}, wait{}, timer{}, slot{}} {
		typ := reflect.TypeOf(v)
		if where := pointer(typ, typ.Name()); where != "" {
			t.Errorf("%s holds a pointer", where)
		}
	}
	t.Logf("flow %d, conn %d, timer %d, TIME-WAIT %d, index entry %d bytes", unsafe.Sizeof(flow{}), unsafe.Sizeof(conn{}),
		unsafe.Sizeof(timer{}), unsafe.Sizeof(wait{}), unsafe.Sizeof(slot{}))
}

// pointer names the first field that is, or holds, a pointer.
func pointer(t reflect.Type, name string) string {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if s := pointer(t.Field(i).Type, name+"."+t.Field(i).Name); s != "" {
				return s
			}
		}
	case reflect.Array:
		return pointer(t.Elem(), name+"[]")
	case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer:
		return name
	}
	return ""
}

func TestDropNames(t *testing.T) {
	seen := map[string]bool{}
	for d := range Drop(numDrops) {
		if name := d.String(); name == "" || seen[name] {
			t.Errorf("drop %d is called %q", d, name)
		} else {
			seen[name] = true
		}
	}
}

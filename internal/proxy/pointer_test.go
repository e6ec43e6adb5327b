package proxy

import (
	"reflect"
	"testing"
)

// pointerFree fails if T holds anything the garbage collector looks at.
func pointerFree[T any](t *testing.T) {
	t.Helper()
	var visit func(path string, typ reflect.Type)
	visit = func(path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for f := range typ.NumField() {
				visit(path+"."+typ.Field(f).Name, typ.Field(f).Type)
			}
		case reflect.Array:
			visit(path+"[]", typ.Elem())
		case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer:
			t.Errorf("%s is a %v", path, typ)
		}
	}
	typ := reflect.TypeFor[T]()
	visit(typ.Name(), typ)
	t.Logf("%s: %d bytes", typ.Name(), typ.Size())
}

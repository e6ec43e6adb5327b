package script

import (
	"fmt"
	"strings"
)

// Call is a system call with the result the script expects.
type Call struct {
	Line   int
	Name   string
	Args   []Value
	Result Value
	Errno  string // "" unless the result is -1 and the error was named
}

// valueKind is the kind of a Value.
type valueKind uint8

const (
	vAny    valueKind = iota // ..., or ?
	vNumber                  // N
	vString                  // "..."
	vWord                    // NAME or NAME|NAME
	vList                    // [a, b]
	vStruct                  // {name=value, ...} or {a, b}
	vFunc                    // name(value)
)

// Value is an argument or a result.
type Value struct {
	Kind  valueKind
	N     int64
	Text  string // of a string; the words; the function's name
	Field string // this value's name in a struct
	Items []Value
}

func (v Value) String() string {
	switch v.Kind {
	case vNumber:
		return fmt.Sprint(v.N)
	case vString:
		return fmt.Sprintf("%q", v.Text)
	case vWord:
		return v.Text
	case vList, vStruct, vFunc:
		s := make([]string, len(v.Items))
		for i, it := range v.Items {
			s[i] = it.String()
			if it.Field != "" {
				s[i] = it.Field + "=" + s[i]
			}
		}
		in := strings.Join(s, ", ")
		switch v.Kind {
		case vList:
			return "[" + in + "]"
		case vStruct:
			return "{" + in + "}"
		}
		return v.Text + "(" + in + ")"
	}
	return "..."
}

func (c *Call) String() string {
	s := make([]string, len(c.Args))
	for i, a := range c.Args {
		s[i] = a.String()
	}
	return fmt.Sprintf("%s(%s) = %s", c.Name, strings.Join(s, ", "), c.result())
}

func (c *Call) result() string { return formatResult(c.Result, c.Errno) }

func formatResult(v Value, errno string) string {
	if errno != "" {
		return v.String() + " " + errno
	}
	return v.String()
}

// hasWord reports whether v is a list of words joined by | that holds w.
func (v Value) hasWord(w string) bool {
	if v.Kind != vWord {
		return false
	}
	for _, s := range strings.Split(v.Text, "|") {
		if s == w {
			return true
		}
	}
	return false
}

// field is a field of a struct by its name.
func (v Value) field(name string) (Value, bool) {
	for _, f := range v.Items {
		if f.Field == name {
			return f, true
		}
	}
	return Value{}, false
}

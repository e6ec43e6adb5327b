package xdp

import "fmt"

// Mode is what is asked of an interface. What was granted is a [Granted].
type Mode uint8

const (
	// Auto takes the best that works: native with zero copy, native with
	// copy, generic.
	Auto Mode = iota
	// Generic runs the program on socket buffers: works on every interface.
	Generic
	// Native runs the program in the driver, and copies.
	Native
	// ZeroCopy runs the program in the driver, and the NIC reads and writes
	// the UMEM itself.
	ZeroCopy
)

var modeNames = [...]string{"auto", "generic", "native", "zero-copy"}

func (m Mode) String() string { return modeNames[m] }

// MarshalText and UnmarshalText let a Mode be a flag and a configuration value.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m *Mode) UnmarshalText(b []byte) error {
	for i, name := range modeNames {
		if name == string(b) {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("xdp: unknown mode %q: use auto, generic, native or zero-copy", b)
}

// Granted is what an interface really got. The attach mode of the program and
// the copy mode of the socket are separate facts: neither tells the other.
type Granted struct {
	Native   bool // the program runs in the driver, not on socket buffers
	ZeroCopy bool // the kernel does not copy between NIC and UMEM
}

func (g Granted) String() string {
	s := "generic"
	if g.Native {
		s = "native"
	}
	if g.ZeroCopy {
		s += " zero-copy"
	}
	return s
}

func (g Granted) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// weakest is what all of a and b have.
func weakest(a, b Granted) Granted {
	return Granted{Native: a.Native && b.Native, ZeroCopy: a.ZeroCopy && b.ZeroCopy}
}

package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/mpxd/mpxd/internal/link"
)

// childEnv makes a program that links this package a runner and nothing else.
const childEnv = "MPXD_LINK_RUNNER"

func init() {
	if os.Getenv(childEnv) == "" {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// request is what a Runner asks its child. Every request is answered.
type request struct {
	Start []Path `json:",omitempty"` // the first request

	Path       int          `json:",omitempty"`
	Directions []Direction  `json:",omitempty"`
	Set        *link.Config `json:",omitempty"`
	Up         *bool        `json:",omitempty"`
	Reset      bool         `json:",omitempty"`
}

type reply struct {
	Err   string `json:",omitempty"`
	Stats Stats
}

// serve answers requests until the end of in, which is also what a parent that
// died leaves behind.
func serve(in io.Reader, out io.Writer) error {
	// The engine allocates nothing, so a collection could only make it late;
	// requests allocate a little.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var e *engine
	for {
		var q request
		if err := dec.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var a reply
		var err error
		if e == nil {
			e, err = newEngine(q.Start)
		} else {
			e.ask(func() { a.Stats, err = e.do(q) })
		}
		if err != nil {
			a.Err = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

// do carries out a request on the engine's thread.
func (e *engine) do(q request) (Stats, error) {
	for _, d := range q.Directions {
		i := 2*q.Path + int(d)
		if i < 0 || i >= len(e.wires) {
			return Stats{}, fmt.Errorf("there is no path %d", q.Path)
		}
		if q.Set != nil {
			e.wires[i].set(*q.Set)
		}
		if q.Up != nil {
			e.wires[i].link.SetUp(*q.Up)
		}
	}
	s := e.stats()
	if q.Reset {
		e.late = late{}
	}
	return s, nil
}

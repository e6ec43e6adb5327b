//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"regexp"

	"github.com/mpxd/mpxd/internal/interop"
	"github.com/mpxd/mpxd/internal/lab"
)

// interopCommand runs the matrix of conversations with the Linux kernel: a
// figure for each cell, which is how many things were not as they should be.
type interopCommand struct {
	Only    *regexp.Regexp `placeholder:"REGEXP" help:"Only the cells whose names match."`
	Verbose bool           `help:"Tell of each cell as it ends."`
}

func (i *interopCommand) Run(r *Report) error {
	if err := lab.CanRoot(); err != nil {
		return err
	}
	if _, err := lab.Sweep(); err != nil {
		return err
	}
	passed, all := 0, 0
	for _, c := range interop.Cells() {
		if i.Only != nil && !i.Only.MatchString(c.Name) {
			continue
		}
		var failures []float64
		for range r.runs {
			out, err := interop.Run(context.Background(), &c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			failures = append(failures, float64(len(out.Failures)))
			i.tell(&c, &out)
		}
		f := r.Add(c.Name+".failures", "failures", lower, failures)
		f.Value = f.Max // that it went well the other times is no excuse
		f.Judge(0, 0)
		if all++; *f.Pass {
			passed++
		}
	}
	fmt.Fprintf(os.Stderr, "%d of %d cells as they should be\n", passed, all)
	return nil
}

func (i *interopCommand) tell(c *interop.Cell, out *interop.Outcome) {
	if i.Verbose || len(out.Failures) > 0 {
		fmt.Fprintf(os.Stderr, "%s: %v, %d KiB\n", c.Name, out.Took, out.Bytes>>10)
	}
	for _, f := range out.Failures {
		fmt.Fprintf(os.Stderr, "\t%v\n", f)
	}
}

//go:build linux

package interop

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/mpxd/mpxd/internal/lab"
)

// TestInterop runs the matrix: all of it with MPXD_FULL=1, else every fourth cell,
// which are some of every kind, and fewer with -short.
func TestInterop(t *testing.T) {
	lab.Root(t)
	every := 4
	switch {
	case os.Getenv("MPXD_FULL") == "1":
		every = 1
	case testing.Short():
		every = 16
	}
	for i, c := range Cells() {
		if (i%every != 0 || c.Rare && every != 1) && !chosen() {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			out, err := Run(context.Background(), &c)
			for again := 0; c.Rare && again < 2 && err == nil && len(out.Failures) > 0; again++ {
				t.Logf("once more after: %v", out.Failures)
				out, err = Run(context.Background(), &c)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range out.Failures {
				t.Error(f)
			}
			t.Logf("%d KiB in %v", out.Bytes>>10, out.Took)
			if t.Failed() {
				for s, counters := range out.Counts {
					t.Logf("the %v's: %v\n%s", Side(s), changed(counters), out.State[s])
				}
			}
		})
	}
}

// chosen reports whether the command line names cells: then all are there to be
// named.
func chosen() bool { return strings.Contains(flag.Lookup("test.run").Value.String(), "/") }

func changed(c lab.Counters) lab.Counters {
	return c.Since(lab.Counters{})
}

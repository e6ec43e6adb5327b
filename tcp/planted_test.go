//go:build planted_tcp

package tcp

import (
	"fmt"
	"testing"
)

// TestPlanted: the planted mistake is found by the bodies of the fuzzers, from
// the inputs that every run tries. It is for: go test -tags planted_tcp -run Planted
func TestPlanted(t *testing.T) {
	for name, play := range map[string]func(testing.TB, uint64){
		"FuzzInput": func(t testing.TB, seed uint64) { fuzzOps(t, uint8(seed), randomOps(seed, 3000)) },
		"FuzzPair":  randomPair,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(150) {
				if why := finding(t, play, seed); why != "" {
					t.Logf("seed %d: %s", seed, why)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// finding is what a play has found, or nothing.
func finding(t *testing.T, play func(testing.TB, uint64), seed uint64) (why string) {
	defer func() {
		if r := recover(); r != nil {
			why = fmt.Sprint(r)
		}
	}()
	play(witness{t}, seed)
	return ""
}

// witness is a test whose failure is a finding: it panics with it.
type witness struct{ testing.TB }

func (w witness) Fatal(a ...any)            { panic(fmt.Sprint(a...)) }
func (w witness) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (w witness) Error(a ...any)            { panic(fmt.Sprint(a...)) }
func (w witness) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (w witness) Logf(string, ...any)       {}

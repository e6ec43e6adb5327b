// Package imports holds the test that keeps the architecture: who may import
// whom (docs/ARCHITECTURE.md).
package imports

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mpxd/mpxd/"

// rule is what the packages in a folder (and below it) may import, tests not counted.
type rule struct {
	dir string
	// internal: packages of ours, by path in the module; "x/..." is x and all below it.
	internal []string
	// std is a closed list of the standard library; nil: all of it.
	std []string
	// other modules; nil: none.
	other []string
}

var (
	anything = []string{"..."}

	// sansIO is the standard library of the protocol core: nothing in it has a
	// clock, a goroutine, a lock, a socket or a log.
	sansIO = []string{"encoding/binary", "math/bits", "math/rand/v2", "crypto/sha256", "crypto/sha1", "crypto/subtle", "errors", "slices"}
	pure   = []string{"encoding/binary", "fmt", "math/bits", "math/rand/v2", "runtime", "slices", "strings"}

	belowStack = []string{"stack", "mptcp", "tcp", "internal/frame", "internal/checksum", "internal/slab", "internal/link"}
)

// rules: the longest matching dir counts. A package without a rule is an error.
var rules = []rule{
	{dir: "internal/frame", std: pure},
	{dir: "internal/checksum", std: pure},
	{dir: "internal/slab", std: pure},
	{dir: "tcp", internal: []string{"internal/frame", "internal/checksum", "internal/slab"}, std: sansIO},
	{dir: "mptcp", internal: []string{"tcp", "internal/frame", "internal/checksum", "internal/slab"}, std: sansIO},
	{dir: "stack", internal: []string{"tcp", "mptcp", "internal/frame", "internal/checksum", "internal/slab"}},
	{dir: "xdp", internal: []string{"internal/frame"},
		other: []string{"golang.org/x/sys/...", "github.com/cilium/ebpf/...", "github.com/vishvananda/...", "github.com/safchain/ethtool"}},
	{dir: "internal/link", internal: []string{"internal/frame", "internal/checksum"}, std: pure},
	{dir: "internal/link/runner", internal: anything, other: anything},
	{dir: "internal/sim", internal: belowStack},
	{dir: "internal/script", internal: append([]string{"internal/sim"}, belowStack...)},
	{dir: "internal/lab", internal: []string{"internal/link/..."}, other: anything},
	{dir: "internal/proxy", internal: belowStack, other: []string{"github.com/miekg/dns"}},
	{dir: "internal", internal: anything, other: anything},
	{dir: "cmd", internal: anything, other: anything},
	{dir: "perf", internal: anything, other: anything},
}

// testOnly are packages that production never imports.
var testOnly = []string{"internal/sim/...", "internal/script/...", "internal/imports"}

// laboratory is what a product's binary may hold only for its demonstration:
// nothing at or below the stack knows of it.
var laboratory = []string{"internal/lab", "cmd/...", "perf/..."}

func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files++
			checkFile(t, name, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d files found", files)
	}
}

func checkFile(t *testing.T, name, rel string) {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	dir := path.Dir(rel)
	r := ruleOf(dir)
	if r == nil {
		t.Errorf("%s: no rule says what package %s may import", rel, dir)
		return
	}
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		if why := r.forbids(dir, p); why != "" {
			t.Errorf("%s imports %s: %s", rel, p, why)
		}
	}
}

func ruleOf(dir string) (best *rule) {
	for i := range rules {
		r := &rules[i]
		if (dir == r.dir || strings.HasPrefix(dir, r.dir+"/")) && (best == nil || len(r.dir) > len(best.dir)) {
			best = r
		}
	}
	return best
}

func (r *rule) forbids(dir, p string) string {
	if ours, ok := strings.CutPrefix(p, module); ok {
		switch {
		case matches(testOnly, ours) && !matches(append([]string{"perf/..."}, testOnly...), dir):
			return "it is for tests and measurements only"
		case !matches(r.internal, ours) && ours != r.dir && !strings.HasPrefix(ours, r.dir+"/"):
			return r.dir + " must not know of it"
		case matches(laboratory, ours) && !matches(laboratory, dir) && !strings.HasPrefix(dir, "internal/"):
			return "it stands above " + r.dir
		}
		return ""
	}
	first, _, _ := strings.Cut(p, "/")
	switch {
	case p == "C":
		return "cgo is not used"
	case p == "unsafe" && dir != "xdp" && !strings.HasPrefix(dir, "internal/lab") && dir != "internal/link/runner":
		return "all unsafe lives in xdp"
	case strings.Contains(first, "."):
		if !matches(r.other, p) {
			return r.dir + " has no use for this module"
		}
	case r.std != nil && !matches(r.std, p) && p != "unsafe":
		return r.dir + " has a closed list of the standard library"
	}
	return ""
}

func matches(list []string, p string) bool {
	for _, l := range list {
		if base, all := strings.CutSuffix(l, "..."); all && (strings.HasPrefix(p, base) || p == strings.TrimSuffix(base, "/")) || l == p {
			return true
		}
	}
	return false
}

// TestRulesBite: what the architecture forbids, the rules do.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		dir, imports string
		ok           bool
	}{
		{"tcp", "time", false}, {"tcp", "net", false}, {"tcp", "os", false}, {"tcp", "sync", false}, {"tcp", "log", false},
		{"mptcp", "time", false}, {"mptcp", "crypto/sha256", true},
		{"tcp", module + "mptcp", false}, {"mptcp", module + "tcp", true}, {"mptcp", module + "stack", false},
		{"stack", module + "xdp", false}, {"stack", "golang.org/x/sys/unix", false}, {"stack", "github.com/cilium/ebpf", false},
		{"stack", module + "internal/lab", false}, {"stack", module + "internal/sim", false},
		{"xdp", module + "stack", false}, {"xdp", module + "tcp", false}, {"xdp", "github.com/cilium/ebpf/asm", true},
		{"internal/proxy", module + "internal/sim", false}, {"internal/proxy", module + "stack", true}, {"internal/proxy", module + "xdp", false},
		{"cmd/mpxd", module + "internal/sim", false}, {"cmd/mpxd", module + "xdp", true}, {"perf", module + "internal/sim", true},
		{"internal/frame", module + "tcp", false}, {"internal/link", "time", false}, {"stack", "unsafe", false},
	} {
		why := ruleOf(c.dir).forbids(c.dir, c.imports)
		if (why == "") != c.ok {
			t.Errorf("%s importing %s: %q", c.dir, c.imports, why)
		}
	}
}

package tcp

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRequirementsAreAnsweredFor: docs/rfc9293.md has a row for each of the 69
// MUSTs and 31 SHOULDs of RFC 9293, and the places and tests it names exist.
func TestRequirementsAreAnsweredFor(t *testing.T) {
	text, err := os.ReadFile("../docs/rfc9293.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := functions(t, "../tcp/*_test.go", "../stack/*_test.go")
	seen := map[string]int{}
	for line := range strings.Lines(string(text)) {
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(row) != 4 || !strings.Contains(row[0], "-") || strings.HasPrefix(row[0], "-") {
			continue
		}
		id, where := strings.TrimSpace(row[0]), row[2]
		seen[id]++
		for _, file := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(where, -1) {
			if _, err := os.Stat("../" + file[1]); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		for _, name := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(row[3], -1) {
			_, err := os.Stat("testdata/" + name[1])
			if strings.HasSuffix(name[1], ".pkt") && err != nil || !strings.HasSuffix(name[1], ".pkt") && !tests[name[1]] {
				t.Errorf("%s: there is no test %s", id, name[1])
			}
		}
		if strings.TrimSpace(row[3]) == "" && !strings.Contains(where, "exception") {
			t.Errorf("%s: neither a test nor an exception", id)
		}
	}
	for kind, n := range map[string]int{"MUST": 69, "SHLD": 31} {
		for i := range n {
			if id := fmt.Sprintf("%s-%d", kind, i+1); seen[id] != 1 {
				t.Errorf("%s has %d rows", id, seen[id])
			}
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d ids", len(seen))
	}
}

// functions are the names of the tests and fuzzers in the files.
func functions(t *testing.T, globs ...string) map[string]bool {
	names := map[string]bool{}
	for _, g := range globs {
		files, err := filepath.Glob(g)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}

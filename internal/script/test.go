package script

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Test plays every script of a directory as a subtest named after its file.
func Test(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pkt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s (%v)", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pkt"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(file, string(src))
			if err != nil {
				t.Fatal(err)
			}
			var trace []string
			if err := s.Run(func(line string) { trace = append(trace, line) }); err != nil {
				t.Errorf("%v\nwhat happened:\n%s", err, strings.Join(trace, "\n"))
			}
		})
	}
}

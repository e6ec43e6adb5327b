// Command rfc writes docs/RFC.md: which section of which RFC is obeyed where, and
// what tests it. It is put together from
//
//   - the citations in comments, packet scripts and tests ("RFC 9293, 3.10.7.4",
//     "RFC 6675, 4 and 5", "RFC 9293, 3.7.1, MUST-15");
//   - levels.txt, which says what a cited section demands, where that is one word;
//   - exceptions.txt, what is done otherwise, and why;
//   - docs/rfc9293.md, the answers to the numbered demands of RFC 9293;
//   - docs/rfc8684.md, the answers to what RFC 8684 asks, row by row.
//
// Every file and every test that a table names must exist; a test sees to that, and
// to it that docs/RFC.md is what this program would write:
//
//	go run ./internal/rfc
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root, err := repository()
	if err == nil {
		err = write(root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// pageName is where the page stands in the repository.
const pageName = "docs/RFC.md"

func write(root string) error {
	page, err := generate(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, pageName), page, 0o644)
}

// repository is the folder above this one that holds go.mod.
func repository() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod here or above")
		}
	}
	return "", err
}

// generate makes the page from the repository at root.
func generate(root string) ([]byte, error) {
	t, err := readTree(root)
	if err != nil {
		return nil, err
	}
	levels, err := t.levels("internal/rfc/levels.txt")
	if err != nil {
		return nil, err
	}
	exceptions, err := t.exceptions("internal/rfc/exceptions.txt")
	if err != nil {
		return nil, err
	}
	demands, err := t.demands("docs/rfc9293.md")
	if err != nil {
		return nil, err
	}
	rows, err := t.rows("docs/rfc8684.md")
	if err != nil {
		return nil, err
	}
	return page(t, levels, exceptions, demands, rows), nil
}

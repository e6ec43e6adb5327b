package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// levels reads lines "RFC 6298, 5: MUST" and checks that each is cited.
func (t *tree) levels(file string) (map[clause]string, error) {
	out := map[clause]string{}
	err := t.lines(file, func(line string) error {
		where, level, ok := strings.Cut(line, ": ")
		c := cites(where)
		if !ok || len(c) == 0 || !isLevel(level) {
			return fmt.Errorf("%q: want RFC N, SECTION: MUST, SHOULD or MAY", line)
		}
		for _, c := range c {
			if t.cited[c.clause] == nil {
				return fmt.Errorf("%q: RFC %d, %s is cited nowhere", line, c.rfc, c.section)
			}
			out[c.clause] = level
		}
		return nil
	})
	return out, err
}

func isLevel(s string) bool {
	return s == "MUST" || s == "SHOULD" || s == "MAY" || s == "MUST NOT" || s == "SHOULD NOT"
}

// exception is what is done otherwise than an RFC asks.
type exception struct {
	clause
	level, asked, done, where string
}

// exceptions reads lines "RFC 6298, 2.4 | SHOULD | what it asks | what is done
// and why | files".
func (t *tree) exceptions(file string) (out []exception, err error) {
	err = t.lines(file, func(line string) error {
		f := cells(line)
		if len(f) != 5 {
			return fmt.Errorf("%q: want five columns", line)
		}
		c := cites(f[0])
		if len(c) != 1 || !isLevel(f[1]) || f[2] == "" || f[3] == "" {
			return fmt.Errorf("%q: want one section, its level, what it asks, what is done and why, and where", line)
		}
		if err := t.check(f[4]); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		out = append(out, exception{c[0].clause, f[1], f[2], f[3], f[4]})
		return nil
	})
	return out, err
}

// demand is the answer to one of the numbered demands of RFC 9293.
type demand struct{ id, level, where, test string }

// How many RFC 9293 has, by level.
var demanded = []struct {
	prefix string
	count  int
}{{"MUST", 69}, {"SHLD", 31}}

// demands reads the table of docs/rfc9293.md: its columns id, level, where and test
// in any order, among others. Each demand must have one row.
func (t *tree) demands(file string) (out []demand, err error) {
	if !t.files[file] {
		return nil, nil
	}
	seen := map[string]bool{}
	err = t.table(file, func(get func(string) string) error {
		d := demand{strings.Trim(get("id"), "`"), get("level"), get("where"), get("test")}
		switch {
		case d.id == "":
			return nil // another table
		case seen[d.id]:
			return fmt.Errorf("%s has two rows", d.id)
		}
		seen[d.id] = true
		if err := t.check(d.where + " " + d.test); err != nil {
			return fmt.Errorf("%s: %w", d.id, err)
		}
		out = append(out, d)
		return nil
	})
	for _, k := range demanded {
		for i := 1; i <= k.count && err == nil; i++ {
			if id := fmt.Sprintf("%s-%d", k.prefix, i); !seen[id] {
				err = fmt.Errorf("%s: no row for %s", file, id)
			}
		}
	}
	return out, err
}

// table calls f for each row of the tables of a file, with what gets a cell by
// the name of its column.
func (t *tree) table(file string, f func(get func(column string) string) error) error {
	var column map[string]int
	return t.lines(file, func(line string) error {
		if !strings.HasPrefix(line, "|") {
			column = nil
			return nil
		}
		c := cells(strings.Trim(line, "|"))
		switch {
		case column == nil:
			column = map[string]int{}
			for i, name := range c {
				column[strings.ToLower(name)] = i
			}
			return nil
		case strings.Trim(c[0], ":- ") == "":
			return nil
		}
		return f(func(name string) string {
			if i, ok := column[name]; ok && i < len(c) {
				return c[i]
			}
			return ""
		})
	})
}

var (
	fileName = regexp.MustCompile(`[\w./-]*\w\.(?:go|pkt|md)\b`)
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z_]\w*`)
)

// check fails if a text names a file or a test that is not there. A script may
// go by its base name.
func (t *tree) check(text string) error {
	for _, f := range fileName.FindAllString(text, -1) {
		if !t.files[f] && !(strings.HasSuffix(f, ".pkt") && t.tests[strings.TrimSuffix(f, ".pkt")]) {
			return fmt.Errorf("there is no file %s", f)
		}
	}
	for _, n := range testName.FindAllString(text, -1) {
		if !t.tests[n] {
			return fmt.Errorf("there is no test %s", n)
		}
	}
	return nil
}

func cells(line string) (out []string) {
	for _, c := range strings.Split(line, "|") {
		out = append(out, strings.TrimSpace(c))
	}
	return out
}

// lines calls f for each line of a file that says something.
func (t *tree) lines(file string, f func(string) error) error {
	b, err := os.ReadFile(filepath.Join(t.root, file))
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	return nil
}

package main

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// row is one thing that RFC 8684 asks for, where it is obeyed, and what tests
// it in either version of MPTCP.
type row struct {
	number               int
	clauses              []clause
	section, level, asks string
	where, v1, v0        string
}

// rowCount is how many docs/rfc8684.md answers for.
const rowCount = 62

// The beginning of a cell that gives a reason instead of a place.
const (
	exempt = "exception: " // it is not done, or done otherwise
	absent = "none: "      // version 0 does not have it
)

// rows reads the table of docs/rfc8684.md. Each number must have one row, with
// code that cites one of its sections, and a test or script that does; or with
// an exception.
func (t *tree) rows(file string) (out []row, err error) {
	if !t.files[file] {
		return nil, nil
	}
	seen := map[int]bool{}
	err = t.table(file, func(get func(string) string) error {
		n, err := strconv.Atoi(get("row"))
		if err != nil {
			return nil // another table
		}
		r := row{number: n, section: get("section"), level: get("level"), asks: get("what it asks"),
			where: get("where"), v1: get("version 1"), v0: get("version 0")}
		for _, c := range cites("RFC 8684, " + r.section) {
			r.clauses = append(r.clauses, c.clause)
		}
		if seen[n] {
			return fmt.Errorf("row %d is there twice", n)
		}
		seen[n] = true
		if err := t.checkRow(&r); err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		out = append(out, r)
		return nil
	})
	for n := 1; n <= rowCount && err == nil; n++ {
		if !seen[n] {
			err = fmt.Errorf("%s: no row %d", file, n)
		}
	}
	return out, err
}

func (t *tree) checkRow(r *row) error {
	if r.number < 1 || r.number > rowCount || r.clauses[0].section == "" || !isLevel(r.level) || r.asks == "" {
		return fmt.Errorf("want a number up to %d, sections, a level and what it asks", rowCount)
	}
	if err := t.check(r.where + " " + r.v1 + " " + r.v0); err != nil {
		return err
	}
	code, tests := map[string]bool{}, map[string]bool{}
	for _, c := range r.clauses {
		if p := t.cited[c]; p != nil {
			maps.Copy(code, p.code)
			for where := range p.tests {
				tests[testOf(where)] = true
			}
		}
	}
	switch {
	case !strings.HasPrefix(r.where, exempt) && !anyOf(code, fileName.FindAllString(r.where, -1)):
		return fmt.Errorf("no code that cites RFC 8684, %s, and no exception", r.section)
	case !strings.HasPrefix(r.v1, exempt) && !anyOf(tests, testsIn(r.v1)):
		return fmt.Errorf("no test that cites RFC 8684, %s, and no exception", r.section)
	case !strings.HasPrefix(r.v0, exempt) && !strings.HasPrefix(r.v0, absent) && len(testsIn(r.v0)) == 0:
		return fmt.Errorf("no test of version 0, and no reason")
	}
	return nil
}

// testsIn are the tests and scripts that a text names.
func testsIn(s string) []string {
	out := testName.FindAllString(s, -1)
	for _, f := range fileName.FindAllString(s, -1) {
		if strings.HasSuffix(f, ".pkt") {
			out = append(out, f)
		}
	}
	return out
}

// testOf is the name of a test that stands at a place as tree has it:
// "mptcp/a_test.go TestA" or "mptcp/testdata/a.pkt".
func testOf(place string) string {
	return place[strings.LastIndexAny(place, " /")+1:]
}

func anyOf(set map[string]bool, names []string) bool {
	for _, n := range names {
		if set[n] {
			return true
		}
	}
	return false
}

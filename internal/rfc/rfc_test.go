package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPageIsFresh fails when the citations, or the tables beside this test, have
// changed since docs/RFC.md was written, or name what is not there.
func TestPageIsFresh(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, pageName))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: go run ./internal/rfc", pageName)
	}
}

func TestCites(t *testing.T) {
	for text, want := range map[string]string{
		"as RFC 9293, 3.10.7.4 says":                    "9293 3.10.7.4",
		"(RFC 6298)":                                    "6298 ",
		"RFC 8684, 3.1 and 3.2":                         "8684 3.1; 8684 3.2",
		"RFC 8684, 3.1, 3.2, and 3.3.1)":                "8684 3.1; 8684 3.2; 8684 3.3.1",
		"RFC 6675, 4 and 5)":                            "6675 4; 6675 5",
		"RFC 1191, 4 and 3 tries":                       "1191 4",
		"RFC 1191/8201":                                 "1191 ; 8201 ",
		"RFC 1624, section 3":                           "1624 3",
		"RFC 6298, (5.4)":                               "6298 5.4",
		"RFC 9293, 3.7.1, MUST-15":                      "9293 3.7.1",
		"// it is (RFC\n\t// 9293,\n\t// 3.4): RFC 793": "9293 3.4; 793 ",
		"# RFC 3042,\n# 2":                              "3042 2",
		"RFC 9438, figure 1":                            "9438 ",
		"RFC 5961, 3.2; RFC 6191, 2":                    "5961 3.2; 6191 2",
		"RFC 7323, 4.3, 12 bytes":                       "7323 4.3",
		"RFCs, RFC-2119, rfc 1, RFC 12":                 "",
	} {
		var got []string
		for _, c := range cites(text) {
			got = append(got, strings.Join([]string{strconv.Itoa(c.rfc), c.section}, " "))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestOrder(t *testing.T) {
	ordered := []clause{{792, ""}, {9293, ""}, {9293, "3.1"}, {9293, "3.1.1"}, {9293, "3.2"}, {9293, "3.10"}, {9438, "1"}}
	if !slices.IsSortedFunc(ordered, func(c, d clause) int {
		if c.before(d) {
			return -1
		}
		return 1
	}) {
		t.Error("not in order")
	}
}

// small makes a repository of a few files.
func small(t *testing.T, files map[string]string) string {
	root := t.TempDir()
	files["internal/rfc/levels.txt"] += "\n"
	files["internal/rfc/exceptions.txt"] += "\n"
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// base is a small repository's code.
func base() map[string]string {
	return map[string]string{
		"tcp/a.go":                "package tcp\n\n// f obeys (RFC\n// 9293, 3.4).\nfunc f() {}\n",
		"tcp/a_test.go":           "package tcp\n\n// TestA: RFC 9293, 3.4.\nfunc TestA() {}\n\nfunc TestB() {\n\t_ = \"RFC 9293, 3.5\"\n}\n",
		"tcp/testdata/one.pkt":    "// Why (RFC 5681, 3.1).\n",
		"internal/script/tool.go": "package script // RFC 792, 3\n",
	}
}

func TestPage(t *testing.T) {
	files := base()
	files["internal/rfc/levels.txt"] = "RFC 9293, 3.4 and 3.5: MUST\n# a remark"
	files["internal/rfc/exceptions.txt"] = "RFC 6298, 2.4 | SHOULD | a second | less | tcp/a.go, TestA, one.pkt"
	b, err := generate(small(t, files))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| RFC 6298, 2.4 | SHOULD | a second | less | tcp/a.go, TestA, one.pkt |",
		"## RFC 5681: congestion control\n\n| section | level | code | tests |\n|---|---|---|---|\n| 3.1 |  | - | tcp/testdata/one.pkt |",
		"| 3.4 | MUST | tcp/a.go | tcp/a_test.go TestA |",
		"| 3.5 | MUST | - | tcp/a_test.go TestB |",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is not in\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "792") {
		t.Error("the tests' equipment counts as code")
	}
}

// TestTablesAreChecked: a row that names what is not there is an error.
func TestTablesAreChecked(t *testing.T) {
	rows := func(skip string, more string) string {
		s := "# Demands\n\n| id | level | where | test |\n|:--|---|---|---|\n"
		for _, k := range demanded {
			for i := 1; i <= k.count; i++ {
				if id := k.prefix + "-" + strconv.Itoa(i); id != skip {
					s += "| " + id + " | MUST | tcp/a.go | TestA, one.pkt |\n"
				}
			}
		}
		return s + more
	}
	for _, c := range []struct{ file, text, want string }{
		{"internal/rfc/levels.txt", "RFC 9293, 3.9: MUST", "levels.txt:1: \"RFC 9293, 3.9: MUST\": RFC 9293, 3.9 is cited nowhere"},
		{"internal/rfc/levels.txt", "\n\nRFC 9293, 3.4: OUGHT", "levels.txt:3"},
		{"internal/rfc/exceptions.txt", "RFC 6298, 2.4 | SHOULD | a | b | tcp/none.go", "there is no file tcp/none.go"},
		{"internal/rfc/exceptions.txt", "RFC 6298, 2.4 | SHOULD | a | b", "five columns"},
		{"internal/rfc/exceptions.txt", "RFC 6298, 2.4 | SHOULD | a | | tcp/a.go", "what is done and why"},
		{"docs/rfc9293.md", rows("", ""), ""},
		{"docs/rfc9293.md", rows("MUST-7", ""), "no row for MUST-7"},
		{"docs/rfc9293.md", rows("SHLD-31", ""), "no row for SHLD-31"},
		{"docs/rfc9293.md", rows("", "| MUST-3 | MUST | tcp/a.go | |\n"), "MUST-3 has two rows"},
		{"docs/rfc9293.md", rows("MUST-1", "| MUST-1 | MUST | tcp/b.go | |\n"), "MUST-1: there is no file tcp/b.go"},
		{"docs/rfc9293.md", rows("MUST-1", "| MUST-1 | MUST | tcp/a.go | TestNone |\n"), "MUST-1: there is no test TestNone"},
		{"docs/rfc9293.md", rows("MUST-1", "| MUST-1 | MUST | tcp/a.go | two.pkt |\n"), "MUST-1: there is no file two.pkt"},
	} {
		files := base()
		files[c.file] = c.text
		_, err := generate(small(t, files))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.file, err, c.want)
		}
	}
}

// TestRowsAreChecked: a row of RFC 8684 without code, test or reason is an error.
func TestRowsAreChecked(t *testing.T) {
	const good = "3.1 | MUST | a thing | mptcp/a.go | one.pkt | v0_one.pkt"
	for _, c := range []struct{ row, want string }{
		{good, ""},
		{"3.1 | MUST | a thing | exception: why not | exception: nothing to see | none: it has no such thing", ""},
		{"3.1 and 3.3 | MUST | a thing | mptcp/a.go | TestA | TestA", ""},
		{"", "no row 7"},
		{"3.1 | OUGHT | a thing | mptcp/a.go | one.pkt | v0_one.pkt", "a level"},
		{" | MUST | a thing | mptcp/a.go | one.pkt | v0_one.pkt", "sections"},
		{"3.1 | MUST | a thing | mptcp/b.go | one.pkt | v0_one.pkt", "there is no file mptcp/b.go"},
		{"3.1 | MUST | a thing | | one.pkt | v0_one.pkt", "no code that cites RFC 8684, 3.1"},
		{"3.2 | MUST | a thing | mptcp/a.go | one.pkt | v0_one.pkt", "no code that cites RFC 8684, 3.2"},
		{"3.1 | MUST | a thing | mptcp/a.go | | v0_one.pkt", "no test that cites RFC 8684, 3.1"},
		{"3.1 | MUST | a thing | mptcp/a.go | v0_one.pkt | v0_one.pkt", "no test that cites RFC 8684, 3.1"},
		{"3.1 | MUST | a thing | mptcp/a.go | one.pkt | |", "no test of version 0"},
	} {
		s := "| row | section | level | what it asks | where | version 1 | version 0 |\n|--|--|--|--|--|--|--|\n"
		for n := 1; n <= rowCount; n++ {
			if n != 7 {
				s += "| " + strconv.Itoa(n) + " | " + good + " |\n"
			} else if c.row != "" {
				s += "| 7 | " + c.row + " |\n"
			}
		}
		_, err := generate(small(t, map[string]string{
			"docs/rfc8684.md":           s,
			"mptcp/a.go":                "package mptcp // RFC 8684, 3.1\n",
			"mptcp/a_test.go":           "package mptcp\n\n// TestA: RFC 8684, 3.3.\nfunc TestA() {}\n",
			"mptcp/testdata/one.pkt":    "// Why (RFC 8684, 3.1).\n",
			"mptcp/testdata/v0_one.pkt": "// Why (RFC 6824, 3.1).\n",
		}))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, not %q", c.row, err, c.want)
		}
	}
}

package main

import (
	"regexp"
	"strconv"
	"strings"
)

// clause is a section of an RFC.
type clause struct {
	rfc     int
	section string // "": the whole of it
}

// cite is a clause at a place in a text.
type cite struct {
	clause
	at int
}

// A citation may be broken by the end of a comment's line.
const (
	gap     = `(?:[ \t]|\n[ \t]*(?://|#)?[ \t]*)+`
	dotted  = `\d+(?:\.\d+)+`
	section = `\d+(?:\.\d+)*`
)

var (
	rfcs     = regexp.MustCompile(`\bRFC` + gap + `(\d{3,5})(?:/(\d{3,5})\b)?`)
	first    = regexp.MustCompile(`^,` + gap + `(?:section` + gap + `|\()?(` + section + `)\b`)
	further  = regexp.MustCompile(`^(?:,` + gap + `(?:and` + gap + `)?|` + gap + `and` + gap + `)(` + dotted + `)\b`)
	alone    = regexp.MustCompile(`^` + gap + `and` + gap + `(\d+)\b`)
	numbered = regexp.MustCompile(`^[ %\w]`)
)

// cites finds the citations of a text.
func cites(text string) (out []cite) {
	for _, m := range rfcs.FindAllStringSubmatchIndex(text, -1) {
		add := func(number, section string) {
			n, _ := strconv.Atoi(number)
			out = append(out, cite{clause{n, section}, m[0]})
		}
		number := text[m[2]:m[3]]
		if m[4] >= 0 { // RFC 1191/8201
			add(number, "")
			add(text[m[4]:m[5]], "")
			continue
		}
		sections := sectionsAt(text[m[1]:])
		if len(sections) == 0 {
			add(number, "")
		}
		for _, s := range sections {
			add(number, s)
		}
	}
	return out
}

// sectionsAt reads the sections that follow the number of an RFC: the first may
// be a whole chapter, and so may one behind "and".
func sectionsAt(rest string) (out []string) {
	m := first.FindStringSubmatch(rest)
	for m != nil {
		out = append(out, m[1])
		rest = rest[len(m[0]):]
		if m = further.FindStringSubmatch(rest); m == nil {
			if m = alone.FindStringSubmatch(rest); m != nil && numbered.MatchString(rest[len(m[0]):]) {
				m = nil // "RFC 1191, 4 and 3 tries"
			}
		}
	}
	return out
}

// before orders clauses: by RFC, and by the numbers of the section.
func (c clause) before(d clause) bool {
	if c.rfc != d.rfc {
		return c.rfc < d.rfc
	}
	a, b := strings.Split(c.section, "."), strings.Split(d.section, ".")
	for i := range min(len(a), len(b)) {
		x, _ := strconv.Atoi(a[i])
		y, _ := strconv.Atoi(b[i])
		if x != y {
			return x < y
		}
	}
	return len(a) < len(b)
}

package script

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is the kind of a token.
type kind uint8

const (
	tokEOF kind = iota
	tokWord
	tokNumber // text as written; may have a fraction
	tokString
	tokCommand // `...`
	tokCode    // %{ ... }%
	tokFlag    // --name or --name=value, alone on its line
	tokPunct   // one of the marks below, or a single character
)

// token is a piece of a script. glued says that no space stands before it.
type token struct {
	kind  kind
	text  string
	line  int
	col   int // from 1, in bytes
	glued bool
}

func (t token) is(text string) bool { return t.kind == tokPunct && t.text == text }

func (t token) String() string {
	switch t.kind {
	case tokEOF:
		return "end of file"
	case tokCommand:
		return "`" + t.text + "`"
	case tokCode:
		return "%{" + t.text + "}%"
	}
	return strconv.Quote(t.text)
}

// marks are the punctuation longer than one character, longest first.
var (
	marks     = []string{"...", "&&", "||", "==", "!=", "<=", ">="}
	codeMarks = append([]string{"//", "<<", ">>"}, marks...)
)

// scanner cuts a script into tokens.
type scanner struct {
	file string
	src  string
	pos  int
	line int
	left int  // columns in front of the first line
	code bool // it is Python: // divides, ' quotes, and any character may stand in a message
}

// Error is what is wrong with a script, or with what a script found.
type Error struct {
	File string
	Line int
	Col  int // 0: of the whole line
	Text string
	// Needs says that nothing is wrong: the script asks for what is not
	// there, as Text says.
	Needs bool
}

func (e *Error) Error() string {
	at, text := fmt.Sprintf("%s:%d", e.File, e.Line), e.Text
	if e.Col > 0 {
		at += fmt.Sprintf(":%d", e.Col)
	}
	if e.Needs {
		text = "skipped: needs " + text
	}
	return at + ": " + text
}

// needs is an Error of a script that asks for what is not there.
func needs(format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...), Needs: true}
}

func scan(file, src string) ([]token, error) { return (&scanner{file: file, src: src, line: 1}).all() }

func (s *scanner) all() ([]token, error) {
	var toks []token
	for {
		start := s.pos
		if err := s.skip(); err != nil {
			return nil, err
		}
		glued := s.pos == start && start > 0
		t, err := s.next()
		if err != nil {
			return nil, err
		}
		t.glued = glued
		toks = append(toks, t)
		if t.kind == tokEOF {
			return toks, nil
		}
	}
}

func (s *scanner) fail(format string, args ...any) error {
	return &Error{File: s.file, Line: s.line, Col: s.col(), Text: fmt.Sprintf(format, args...)}
}

// col is the column of the position.
func (s *scanner) col() int {
	if n := strings.LastIndexByte(s.src[:s.pos], '\n'); n >= 0 {
		return s.pos - n
	}
	return s.left + s.pos + 1
}

// skip passes white space and comments.
func (s *scanner) skip() error {
	for s.pos < len(s.src) {
		rest := s.src[s.pos:]
		switch {
		case rest[0] == '\n':
			s.line++
			s.pos++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			s.pos++
		case strings.HasPrefix(rest, "//") && !s.code, rest[0] == '#':
			s.pos += lineLen(rest)
		case strings.HasPrefix(rest, "/*") && !s.code:
			n := strings.Index(rest, "*/")
			if n < 0 {
				return s.fail("comment without end")
			}
			s.advance(n + 2)
		default:
			return nil
		}
	}
	return nil
}

func lineLen(s string) int {
	if n := strings.IndexByte(s, '\n'); n >= 0 {
		return n
	}
	return len(s)
}

// advance passes n bytes that may hold line ends.
func (s *scanner) advance(n int) {
	s.line += strings.Count(s.src[s.pos:s.pos+n], "\n")
	s.pos += n
}

func (s *scanner) next() (token, error) {
	rest := s.src[s.pos:]
	if rest == "" {
		return token{line: s.line, col: s.col()}, nil
	}
	c := rest[0]
	switch {
	case c == '`':
		return s.quoted(tokCommand, "`", "`")
	case strings.HasPrefix(rest, "%{"):
		return s.quoted(tokCode, "%{", "}%")
	case c == '"', c == '\'' && s.code:
		return s.quoted(tokString, rest[:1], rest[:1])
	case strings.HasPrefix(rest, "--") && s.atLineStart():
		return s.take(tokFlag, lineLen(rest)), nil
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return s.take(tokNumber, numberLen(rest)), nil
	case isLetter(c):
		n := 1
		for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n])) {
			n++
		}
		return s.take(tokWord, n), nil
	}
	for _, m := range s.marks() {
		if strings.HasPrefix(rest, m) {
			return s.take(tokPunct, len(m)), nil
		}
	}
	if strings.IndexByte("+-*/~<>=!()[]{},:.|&%?", c) < 0 && !s.code {
		return token{}, s.fail("unexpected character %q", c)
	}
	return s.take(tokPunct, 1), nil
}

func (s *scanner) marks() []string {
	if s.code {
		return codeMarks
	}
	return marks
}

func (s *scanner) take(k kind, n int) token {
	t := token{kind: k, text: strings.TrimRight(s.src[s.pos:s.pos+n], " \t\r"), line: s.line, col: s.col()}
	s.pos += n
	return t
}

// quoted takes what stands between open and end, which may span lines. A
// backslash escapes nothing: the notation has no use for it.
func (s *scanner) quoted(k kind, open, end string) (token, error) {
	body := s.src[s.pos+len(open):]
	n := strings.Index(body, end)
	if n < 0 {
		return token{}, s.fail("%s without %s", open, end)
	}
	t := token{kind: k, text: body[:n], line: s.line, col: s.col()}
	s.advance(len(open) + n + len(end))
	return t, nil
}

func (s *scanner) atLineStart() bool {
	n := strings.LastIndexByte(s.src[:s.pos], '\n')
	return strings.TrimSpace(s.src[n+1:s.pos]) == ""
}

// numberLen is the length of the number at the start of s: decimal,
// hexadecimal, or a decimal fraction, maybe without a digit before the point. In
// "0.1...0.2" the first number is 0.1.
func numberLen(s string) int {
	n := 0
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		for n = 2; n < len(s) && isHex(s[n]); {
			n++
		}
		return n
	}
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		for n++; n < len(s) && isDigit(s[n]); {
			n++
		}
	}
	return n
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

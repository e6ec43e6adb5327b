package script

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/mpxd/mpxd/tcp"
)

// maxScript bounds a script.
const maxScript = 1 << 20

// Parse reads a script. file names it in errors.
func Parse(file, src string) (*Script, error) {
	if len(src) > maxScript {
		return nil, &Error{File: file, Line: 1, Text: fmt.Sprintf("longer than %d bytes", maxScript)}
	}
	toks, err := scan(file, src)
	if err != nil {
		return nil, err
	}
	p := &parser{file: file, toks: toks}
	return p.script()
}

// parser reads tokens. Its methods panic with an *Error, which script
// recovers: a script is small and the first error ends it.
type parser struct {
	file string
	toks []token
	pos  int

	depth int // of what is nested
}

func (p *parser) script() (s *Script, err error) {
	defer func() {
		if e, ok := recover().(*Error); ok {
			s, err = nil, e
		} else if e != nil {
			panic(e)
		}
	}()
	s = &Script{Name: p.file}
	for p.peek().kind != tokEOF {
		switch t := p.peek(); t.kind {
		case tokFlag:
			text, _, _ := strings.Cut(strings.TrimPrefix(p.take().text, "--"), " //")
			text, _, _ = strings.Cut(text, " #")
			name, value, _ := strings.Cut(text, "=")
			s.Flags = append(s.Flags, Flag{t.line, strings.TrimSpace(name), strings.TrimSpace(value)})
		case tokCommand: // without a time: at once
			s.Events = append(s.Events, Event{Line: t.line, Col: t.col, When: When{Relative: true}, Command: &p.take().text})
		default:
			s.Events = append(s.Events, p.event())
		}
	}
	return s, nil
}

func (p *parser) peek() *token { return &p.toks[p.pos] }

func (p *parser) peekAt(n int) *token { return &p.toks[min(p.pos+n, len(p.toks)-1)] }

func (p *parser) take() *token {
	t := &p.toks[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (p *parser) fail(format string, args ...any) {
	p.failAt(p.peek(), format, args...)
}

func (p *parser) failAt(t *token, format string, args ...any) {
	panic(&Error{File: p.file, Line: t.line, Col: t.col, Text: fmt.Sprintf(format, args...)})
}

// needs ends the script for what is not there.
func (p *parser) needs(format string, args ...any) {
	e := needs(format, args...)
	e.File, e.Line, e.Col = p.file, p.peek().line, p.peek().col
	panic(e)
}

// maxDepth bounds what is nested: who wrote more is a machine, and means harm.
const maxDepth = 64

// deeper counts what is nested; it is to be called at both ends.
func (p *parser) deeper(by int) {
	if p.depth += by; p.depth > maxDepth {
		p.fail("nested more than %d deep", maxDepth)
	}
}

// accept takes the punctuation if it is next.
func (p *parser) accept(mark string) bool {
	if p.peek().is(mark) {
		p.take()
		return true
	}
	return false
}

func (p *parser) want(mark string) {
	if !p.accept(mark) {
		p.fail("%q expected, found %v", mark, p.peek())
	}
}

// acceptWord takes the word if it is next.
func (p *parser) acceptWord(w string) bool {
	if t := p.peek(); t.kind == tokWord && t.text == w {
		p.take()
		return true
	}
	return false
}

func (p *parser) word(what string) string {
	if t := p.peek(); t.kind != tokWord {
		p.fail("%s expected, found %v", what, t)
	}
	return p.take().text
}

// number takes a whole number of at most bits bits.
func (p *parser) number(what string, bits int) uint64 {
	t := p.peek()
	if t.kind == tokNumber {
		n, err := strconv.ParseUint(t.text, 0, bits)
		if err == nil {
			p.take()
			return n
		}
	}
	p.fail("%s expected (a number of %d bits), found %v", what, bits, t)
	return 0
}

func (p *parser) event() Event {
	e := Event{Line: p.peek().line, When: p.when()}
	if p.accept("...") {
		e.Blocks = true
		p.accept("+") // "+0...+0.1" is seen too
		e.Until = p.seconds()
	}
	e.Col = p.peek().col
	switch t := p.peek(); {
	case t.is("<"), t.is(">"):
		if p.isICMP() {
			e.ICMP = p.icmp()
		} else {
			e.Packet = p.packet()
		}
	case t.kind == tokCommand:
		e.Command = &p.take().text
	case t.kind == tokCode:
		e.Code = &p.take().text
	case t.kind == tokWord:
		e.Call = p.call()
	default:
		p.fail("a packet, a call, a `command` or %%{ code }%% expected, found %v", t)
	}
	if e.Blocks && e.Call == nil {
		p.fail("only a call can take time")
	}
	return e
}

// when reads 0.1, +0.1, *, 0.1~0.2 or +0.1~+0.2.
func (p *parser) when() When {
	var w When
	if p.accept("*") {
		w.Any = true
		return w
	}
	w.Relative = p.accept("+")
	w.From = p.seconds()
	w.To = w.From
	if p.accept("~") {
		if p.accept("+") != w.Relative {
			p.fail("both ends of a range of time must be absolute or relative")
		}
		w.To = p.seconds()
	}
	if w.To < w.From {
		p.fail("the range of time ends before it begins")
	}
	return w
}

// maxSeconds bounds a script: virtual time is cheap, but what is in the nine
// digits before the point is a typing error.
const maxSeconds = 1e6

// seconds reads a time without rounding it through a float.
func (p *parser) seconds() tcp.Time {
	t := p.peek()
	whole, frac, _ := strings.Cut(t.text, ".")
	n, err := strconv.ParseUint(whole, 10, 32)
	if whole == "" {
		n, err = 0, nil // .5
	}
	if t.kind != tokNumber || err != nil || len(frac) > 9 || n > maxSeconds {
		p.fail("a time in seconds expected, found %v", t)
	}
	ns, _ := strconv.ParseUint(frac+strings.Repeat("0", 9-len(frac)), 10, 64)
	p.take()
	return tcp.Time(n)*tcp.Second + tcp.Time(ns)
}

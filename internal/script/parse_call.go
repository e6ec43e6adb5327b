package script

import (
	"strconv"
	"strings"
)

func (p *parser) call() *Call {
	c := &Call{Line: p.peek().line, Name: p.word("a system call")}
	p.want("(")
	for !p.accept(")") {
		if len(c.Args) > 0 {
			p.want(",")
		}
		c.Args = append(c.Args, p.value())
	}
	if !p.accept("=") {
		return c // the result does not matter
	}
	c.Result = p.value()
	if t := p.peek(); t.kind == tokWord && t.line == c.Line {
		c.Errno = p.take().text
	}
	if p.peek().is("(") && p.peek().line == c.Line { // a word for the reader
		p.skipParens()
	}
	return c
}

func (p *parser) skipParens() {
	depth := 0
	for {
		switch t := p.take(); {
		case t.kind == tokEOF:
			p.fail("%q without %q", "(", ")")
		case t.is("("):
			depth++
		case t.is(")"):
			if depth--; depth == 0 {
				return
			}
		}
	}
}

// value reads a value; a field's name before it is kept.
func (p *parser) value() Value {
	p.deeper(1)
	defer p.deeper(-1)
	if t := p.peek(); t.kind == tokWord && p.peekAt(1).is("=") {
		name := p.take().text
		p.take()
		v := p.value()
		v.Field = name
		return v
	}
	if p.accept(".") { // {.name = value}
		return p.value()
	}
	v := p.primary()
	if v.Kind == vFunc && p.accept("=") { // msg_iov(1)=[...]
		name := v.Text
		v = p.value()
		v.Field = name
		return v
	}
	for v.Kind == vWord && p.accept("|") {
		v.Text += "|" + p.word("a name")
	}
	return v
}

func (p *parser) primary() Value {
	t := p.peek()
	switch {
	case p.accept("..."), p.accept("?"):
		return Value{}
	case p.accept("["):
		return p.items(vList, "]")
	case p.accept("{"):
		return p.items(vStruct, "}")
	case t.kind == tokString:
		return Value{Kind: vString, Text: p.take().text}
	case t.kind == tokNumber, t.is("-"):
		return p.signed()
	case t.kind == tokWord:
		name := p.take().text
		if p.accept("(") {
			v := p.items(vFunc, ")")
			v.Text = name
			return v
		}
		return Value{Kind: vWord, Text: name}
	}
	p.fail("a value expected, found %v", t)
	return Value{}
}

func (p *parser) items(k valueKind, end string) Value {
	v := Value{Kind: k}
	for !p.accept(end) {
		if len(v.Items) > 0 {
			p.want(",")
		}
		v.Items = append(v.Items, p.value())
	}
	return v
}

func (p *parser) signed() Value {
	sign := int64(1)
	if p.accept("-") {
		sign = -1
	}
	t := p.peek()
	if t.kind == tokNumber && !strings.Contains(t.text, ".") {
		if n, err := strconv.ParseInt(t.text, 0, 64); err == nil {
			p.take()
			return Value{Kind: vNumber, N: sign * n}
		}
	}
	p.fail("a whole number expected, found %v", t)
	return Value{}
}

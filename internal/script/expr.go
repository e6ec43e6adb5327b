package script

import (
	"fmt"
	"strings"
)

// evaluate runs the assertions of a %{ ... }% block: lines (or statements
// parted by ;) of the form "assert EXPRESSION[, MESSAGE]". Expressions are
// those of Python over whole numbers: or, and, not, comparisons (chained too),
// + - * % and parentheses; / must divide without remainder. lookup knows
// the names.
func evaluate(file string, line int, code string, lookup func(string) (int64, bool)) error {
	toks, err := scan(file, code)
	if err != nil {
		err.(*Error).Line += line - 1
		return err
	}
	for i := range toks {
		toks[i].line += line - 1
	}
	if strings.Contains(code, "//") {
		return &Error{file, line, "// is no operator here"}
	}
	e := &evaluator{parser: parser{file: file, toks: toks}, code: code, lookup: lookup}
	return e.run()
}

type evaluator struct {
	parser
	code   string
	lookup func(string) (int64, bool)
	used   []string // the names met in this assertion and their values
}

func (e *evaluator) run() (err error) {
	defer func() {
		if x, ok := recover().(*Error); ok {
			err = x
		} else if x != nil {
			panic(x)
		}
	}()
	for e.peek().kind != tokEOF {
		if !e.acceptWord("assert") {
			e.fail("assert expected, found %v", e.peek())
		}
		e.used = nil
		first := e.pos
		ok := e.or()
		if ok == 0 {
			e.pos-- // the line of the expression's end
			e.fail("assertion failed: %s (%s)", e.text(first), strings.Join(e.used, ", "))
		}
		if e.accept(",") { // the message
			for line := e.peek().line; e.peek().line == line && e.peek().kind != tokEOF; {
				e.take()
			}
		}
	}
	return nil
}

func (e *evaluator) text(first int) string {
	var s []string
	for _, t := range e.toks[first : e.pos+1] {
		s = append(s, t.text)
	}
	return strings.Join(s, " ")
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (e *evaluator) or() int64 {
	v := e.and()
	for e.acceptWord("or") || e.accept("||") {
		w := e.and() // no short cut: it must be parsed, and has no effects
		v = truth(v != 0 || w != 0)
	}
	return v
}

func (e *evaluator) and() int64 {
	v := e.not()
	for e.acceptWord("and") || e.accept("&&") {
		w := e.not()
		v = truth(v != 0 && w != 0)
	}
	return v
}

func (e *evaluator) not() int64 {
	if e.acceptWord("not") || e.accept("!") {
		return truth(e.not() == 0)
	}
	return e.comparison()
}

func (e *evaluator) comparison() int64 {
	left := e.sum()
	result, compared := true, false
	for {
		op := e.peek().text
		switch {
		case e.peek().kind != tokPunct:
			op = ""
		case op == "==", op == "!=", op == "<=", op == ">=", op == "<", op == ">":
			e.take()
		default:
			op = ""
		}
		if op == "" {
			if compared {
				return truth(result)
			}
			return left
		}
		right := e.sum()
		result = result && compare(op, left, right)
		left, compared = right, true
	}
}

func compare(op string, a, b int64) bool {
	switch op {
	case "==":
		return a == b
	case "!=":
		return a != b
	case "<=":
		return a <= b
	case ">=":
		return a >= b
	case "<":
		return a < b
	}
	return a > b
}

func (e *evaluator) sum() int64 {
	v := e.product()
	for {
		switch {
		case e.accept("+"):
			v += e.product()
		case e.accept("-"):
			v -= e.product()
		default:
			return v
		}
	}
}

func (e *evaluator) product() int64 {
	v := e.factor()
	for {
		switch {
		case e.accept("*"):
			v *= e.factor()
		case e.accept("/"):
			w := e.factor()
			if w == 0 || v%w != 0 {
				e.fail("%d / %d is no whole number", v, w)
			}
			v /= w
		case e.accept("%"):
			w := e.factor()
			if w == 0 {
				e.fail("division by zero")
			}
			v %= w
		default:
			return v
		}
	}
}

func (e *evaluator) factor() int64 {
	t := e.peek()
	switch {
	case e.accept("("):
		v := e.or()
		e.want(")")
		return v
	case e.accept("-"):
		return -e.factor()
	case t.kind == tokNumber:
		return int64(e.number("a number", 63))
	}
	name := e.word("a value")
	v, ok := e.lookup(name)
	if !ok {
		e.pos--
		e.fail("name %q is not known", name)
	}
	e.used = append(e.used, fmt.Sprintf("%s is %d", name, v))
	return v
}

package script

import (
	"fmt"
	"slices"
	"strings"
)

// evaluate runs the assertions of a %{ ... }% block: lines (or statements
// parted by ;) of the form "assert EXPRESSION[, MESSAGE]"; print is passed
// over. Expressions are those of Python over whole numbers: or, and, not,
// comparisons (chained too), | ^ & << >> + - * // %, abs, min, max and
// parentheses; / must divide without remainder. lookup knows the names. left is
// how many columns stand in front of the block.
func evaluate(file string, line, left int, code string, lookup func(string) (int64, bool)) error {
	toks, err := (&scanner{file: file, src: code, line: line, left: left, code: true}).all()
	if err != nil {
		return err
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
		switch {
		case e.accept(";"):
			continue
		case e.acceptWord("print"):
			e.passOver()
			continue
		case !e.acceptWord("assert"):
			e.needs("Python beyond assertions: found %v", e.peek())
		}
		e.used = nil
		first := e.pos
		if e.or() == 0 {
			e.failAt(&e.toks[first], "assertion failed: %s (%s)", e.text(first), strings.Join(e.used, ", "))
		}
		if e.accept(",") {
			e.passOver()
		}
		if t := e.peek(); t.kind != tokEOF && !t.is(";") && t.line == e.toks[e.pos-1].line {
			e.fail("the end of the expression expected, found %v", t)
		}
	}
	return nil
}

// passOver skips to the end of a message: of its line, or of the last line its
// parentheses reach.
func (e *evaluator) passOver() {
	line, open := e.peek().line, 0
	for t := e.peek(); t.kind != tokEOF && (t.line == line || open > 0); t = e.peek() {
		switch {
		case t.is(";") && open == 0:
			return
		case t.is("("):
			open++
		case t.is(")"):
			open--
		}
		line = t.line
		e.take()
	}
}

func (e *evaluator) text(first int) string {
	var s []string
	for _, t := range e.toks[first:e.pos] {
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
	e.deeper(1)
	defer e.deeper(-1)
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
		e.deeper(1)
		defer e.deeper(-1)
		return truth(e.not() == 0)
	}
	return e.comparison()
}

func (e *evaluator) comparison() int64 {
	left := e.bits()
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
		right := e.bits()
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

// bits are | ^ & and shifts, here of one rank: parentheses say what is meant.
func (e *evaluator) bits() int64 {
	v := e.sum()
	for {
		switch {
		case e.accept("|"):
			v |= e.sum()
		case e.accept("^"):
			v ^= e.sum()
		case e.accept("&"):
			v &= e.sum()
		case e.accept("<<"):
			v <<= uint64(e.sum()) & 63
		case e.accept(">>"):
			v >>= uint64(e.sum()) & 63
		default:
			return v
		}
	}
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
		case e.accept("//"):
			w := e.factor()
			if w == 0 {
				e.fail("division by zero")
			}
			v = floorDiv(v, w)
		case e.accept("%"):
			w := e.factor()
			if w == 0 {
				e.fail("division by zero")
			}
			v -= floorDiv(v, w) * w
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
		e.deeper(1)
		defer e.deeper(-1)
		return -e.factor()
	case t.kind == tokNumber:
		if strings.Contains(t.text, ".") {
			e.needs("fractions: %s", t.text)
		}
		return int64(e.number("a number", 63))
	}
	name := e.word("a value")
	if e.accept("(") {
		return e.apply(t, name)
	}
	v, ok := e.lookup(name)
	if !ok {
		e.pos--
		e.needs("the name %q, which is not known", name)
	}
	e.used = append(e.used, fmt.Sprintf("%s is %d", name, v))
	return v
}

// floorDiv divides as Python does.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// apply calls a function; its parenthesis is open.
func (e *evaluator) apply(at *token, name string) int64 {
	args := []int64{e.or()}
	for e.accept(",") {
		args = append(args, e.or())
	}
	e.want(")")
	switch {
	case name == "abs" && len(args) == 1:
		return max(args[0], -args[0])
	case name == "int" && len(args) == 1:
		return args[0]
	case name == "min":
		return slices.Min(args)
	case name == "max":
		return slices.Max(args)
	}
	e.failAt(at, "function %s of %d arguments is not understood", name, len(args))
	return 0
}

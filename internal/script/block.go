package script

import (
	"fmt"

	"github.com/mpxd/mpxd/tcp"
)

// call begins a system call. One without a duration must return at once.
func (r *runner) call(e *Event, base tcp.Time) error {
	if len(e.Call.Args) > 0 && e.Call.Args[0].Kind == vNumber {
		if k := r.socket(e.Call.Args[0].N); k != nil {
			r.last = k
		}
	}
	try, err := r.begin(e.Call)
	if err != nil {
		return err
	}
	p := &pending{event: e, try: try, start: r.now, base: base}
	if e.Blocks {
		r.calls = append(r.calls, p)
		_, err = r.settle()
		return err
	}
	res, done := try()
	if !done {
		if _, err := r.settle(); err != nil {
			return err
		}
		if res, done = try(); !done {
			return fmt.Errorf("%s(...) blocks\nexpected  %v", e.Call.Name, e.Call)
		}
	}
	r.tell("%s", e.Call.format(res))
	if err := e.Call.check(res); err != nil {
		return err
	}
	if fd := res.n; e.Call.Name == "accept" || e.Call.Name == "socket" {
		r.last = r.socket(fd)
	}
	_, err = r.settle()
	return err
}

func (p *pending) until(r *runner) tcp.Time {
	t := epoch + p.event.Until
	if p.event.When.Relative {
		t = p.base + p.event.Until
	}
	return t
}

// resume tries the calls that block again.
func (r *runner) resume() (woken bool, err error) {
	for i := 0; i < len(r.calls); i++ {
		p := r.calls[i]
		until := p.until(r)
		res, done := p.try()
		switch {
		case !done && r.now > until+r.net.tolerance:
			return false, &Error{File: r.script.Name, Line: p.event.Line, Text: fmt.Sprintf("the call still blocks at %s\nexpected  %v", clock(r.now), p.event.Call)}
		case !done:
			continue
		case r.now < until-r.net.tolerance || r.now > until+r.net.tolerance:
			return false, &Error{File: r.script.Name, Line: p.event.Line, Text: fmt.Sprintf("the call returned at %s, not at %s\nexpected  %v\nactual    %s",
				clock(r.now), clock(until), p.event.Call, p.event.Call.format(res))}
		}
		r.tell("%s", p.event.Call.format(res))
		if err := p.event.Call.check(res); err != nil {
			return false, r.located(p.event.Line, err)
		}
		r.calls = append(r.calls[:i], r.calls[i+1:]...)
		i--
		woken = true
	}
	return woken, nil
}

// format is the call with the result it had.
func (c *Call) format(res result) string {
	d := *c
	d.Result, d.Errno = Value{Kind: vNumber, N: res.n}, res.errno
	s := d.String()
	if res.text != "" {
		s += " (" + res.text + ")"
	}
	return s
}

// check compares the result.
func (c *Call) check(res result) error {
	fits := res.text == ""
	switch c.Result.Kind {
	case vNumber:
		fits = fits && c.Result.N == res.n && (c.Errno == "" || c.Errno == res.errno)
	case vAny:
	default:
		return fmt.Errorf("a result must be a number")
	}
	if !fits {
		return fmt.Errorf("another result\nexpected  %v\nactual    %s", c, c.format(res))
	}
	return nil
}

package script

import (
	"fmt"
	"strings"

	"github.com/mpxd/mpxd/tcp"
)

// expect waits for a segment of the host and compares it.
func (r *runner) expect(e *Event) error {
	if r.host == nil {
		return fmt.Errorf("nothing can have been sent: there was no listen, connect or packet")
	}
	from, to := r.window(e.When)
	if err := r.await(to); err != nil {
		return err
	}
	if len(r.sent) == 0 {
		return fmt.Errorf("no packet was sent until %s\nexpected  %v", clock(r.now), e.Packet)
	}
	s := r.sent[0]
	r.sent = r.sent[1:]
	f, err := r.flowOf(&s.d)
	if err != nil {
		return err
	}
	got, err := f.read(&s.d, e.Packet)
	if err != nil {
		return fmt.Errorf("%w\nexpected  %v", err, e.Packet)
	}
	if r.net.tso && err == nil {
		r.gather(f, s.at, got, e.Packet)
	}
	diff, err := r.different(e.Packet, f, got) // before it is shown: what it teaches of numbers counts
	r.told(s.at, got)
	if s.at < from || s.at > to {
		return fmt.Errorf("the packet was sent at %s, not %s\nexpected  %v\nactual    %v", clock(s.at), between(from, to), e.Packet, got)
	}
	if err != nil {
		return err
	}
	if len(diff) > 0 {
		return fmt.Errorf("another packet was sent (%s)\nexpected  %v\nactual    %v", strings.Join(diff, ", "), e.Packet, got)
	}
	r.current = f
	if e.When.Any || e.When.From != e.When.To {
		r.base = s.at
	} else {
		r.base = from + r.net.tolerance
	}
	if r.base > r.now {
		return r.advance(r.base)
	}
	return nil
}

func (r *runner) told(at tcp.Time, p *Packet) {
	if r.trace != nil {
		r.trace(clock(at) + "  " + p.String())
	}
}

// window is when a packet may be sent, tolerance included.
func (r *runner) window(w When) (from, to tcp.Time) {
	switch {
	case w.Any:
		return 0, r.now + patience
	case w.Relative:
		from, to = r.base+w.From, r.base+w.To
	default:
		from, to = epoch+w.From, epoch+w.To
	}
	return from - r.net.tolerance, to + r.net.tolerance
}

func between(from, to tcp.Time) string {
	if from == to {
		return "at " + clock(from)
	}
	return "from " + clock(from) + " to " + clock(to)
}

// await moves the clock until a segment is there, but not beyond to.
func (r *runner) await(to tcp.Time) error {
	for {
		next, err := r.settle()
		if err != nil || len(r.sent) > 0 || r.now >= to || next > to {
			return err
		}
		r.now = next
	}
}

// different compares the packet and, if the script names them, its ends.
func (r *runner) different(want *Packet, f *flow, got *Packet) (diff []string, err error) {
	slack := uint32(r.net.tolerance / tcp.Millisecond)
	diff = f.compare(want, got, slack)
	for _, end := range []struct {
		is   End
		got  End
		what string
	}{
		{want.Src, End{f.local.Addr().String(), f.local.Port()}, "source"},
		{want.Dst, End{f.remote.Addr().String(), f.remote.Port()}, "destination"},
	} {
		if end.is.Addr == "" {
			continue
		}
		a, err := r.address(end.is, f.local.Addr())
		if err != nil {
			return nil, err
		}
		if a.String() != end.got.Addr || end.is.Port != 0 && end.is.Port != end.got.Port {
			diff = append(diff, fmt.Sprintf("%s %v", end.what, end.got))
		}
	}
	return diff, nil
}

// overlooked fails if a segment was sent that the script does not name before
// event i, and can only name too late after it.
func (r *runner) overlooked(i int) error {
	if len(r.sent) == 0 {
		return nil
	}
	// Packets at one moment are in order, too, where the script is strict: an answer
	// does not precede what it answers.
	strict := r.script.Events[i].Packet != nil && r.net.tolerance < tcp.Millisecond
	if !strict && r.sent[0].at >= r.now-r.net.tolerance {
		return nil
	}
	for _, e := range r.script.Events[i:] {
		if e.Packet != nil && !e.Packet.Inbound {
			if e.When.Any {
				return nil
			}
			break
		}
	}
	return r.unexpected()
}

func (r *runner) unexpected() error {
	s := r.sent[0]
	f, err := r.flowOf(&s.d)
	if err != nil {
		return err
	}
	got, err := f.read(&s.d, nil)
	if err != nil {
		return err
	}
	return fmt.Errorf("a packet was sent at %s that the script does not expect\nactual    %v", clock(s.at), got)
}

// end looks for what is left over: packets, blocked calls, frames.
func (r *runner) end() error {
	last := 1
	if n := len(r.script.Events); n > 0 {
		last = r.script.Events[n-1].Line
	}
	for len(r.calls) > 0 {
		late := r.calls[0].until(r) + r.net.tolerance + 1 // then it fails
		if err := r.advance(max(late, r.now)); err != nil {
			return r.located(last, err)
		}
	}
	if r.host == nil {
		return nil
	}
	if _, err := r.settle(); err != nil {
		return r.located(last, err)
	}
	if len(r.sent) > 0 {
		return r.located(last, r.unexpected())
	}
	if err := r.leaks(); err != nil {
		return r.located(last, err)
	}
	return nil
}

// leaks ends every connection and sees that no frame is held any more.
func (r *runner) leaks() error {
	for _, k := range r.socks {
		if k == nil {
			continue
		}
		for _, c := range k.pending {
			r.shard.Abort(c)
			r.shard.Close(c)
		}
		if k.opened {
			r.drop(k)
			r.shard.Abort(k.conn)
			r.shard.Close(k.conn)
		}
	}
	r.sent = nil
	if err := r.advance(r.now + patience); err != nil { // what was closed before may still be sent, in vain
		return err
	}
	if r.pool.Free() != r.pool.Frames() {
		return fmt.Errorf("frames are held after the end: %s", strings.Join(r.pool.Leaks(3), "; "))
	}
	return nil
}

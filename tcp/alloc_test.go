//go:build !framecheck

package tcp

import (
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
)

// A data segment and its ACK, from Send on one side to Recv on the other,
// allocate nothing; nor does a loss with its recovery.
func TestNoAllocations(t *testing.T) {
	a := newHost(1, DefaultConfig(), 4096)
	env := &a.env
	var x, y Conn
	var seg Segment
	in := make([]frame.Span, 1)
	pump := func(lose int) {
		for moved := true; moved; {
			moved = false
			for from, to := &x, &y; ; from, to = to, from {
				for from.Output(env, &seg) {
					moved = true
					if seg.Len > 0 {
						if lose--; lose == 0 {
							continue
						}
						d, ok := env.Nodes.Whole(seg.Run)
						if !ok {
							t.Fatal("a full span was not sent whole")
						}
						in[0] = d
						seg.Data = in
					}
					if to.state == Closed {
						to.Accept(env, testTuple(1), testParams, &seg)
					} else {
						to.Input(env, &seg)
					}
				}
				if from == &y {
					break
				}
			}
		}
	}
	x.Open(env, testTuple(0), testParams)
	pump(0)
	round := func() {
		for range 20 {
			f, _ := env.Pool.Get()
			x.Send(env, frame.Span{Frame: f, Off: 128, Len: 1448}, 0)
			env.Pool.Release(f)
		}
		pump(7)
		for x.sndUna != x.sndNxt {
			env.Now = min(x.Deadline(), y.Deadline())
			x.Expire(env)
			y.Expire(env)
			pump(0)
		}
		for {
			d, _, ok := y.Recv(env)
			if !ok {
				break
			}
			env.Pool.Release(d.Frame)
		}
		env.Now += Millisecond
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations per 20 segments", n)
	}
	if x.state != Established || a.count.RetransSegs < 100 {
		t.Errorf("state %d, %d retransmissions", x.state, a.count.RetransSegs)
	}
	x.Free(env)
	y.Free(env)
	if env.Pool.Free() != a.free || env.Nodes.Live() != 0 {
		t.Error("leak")
	}
}

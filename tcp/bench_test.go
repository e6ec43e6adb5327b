package tcp

import (
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
)

// BenchmarkRelaySegment is one flow's share of a bulk transfer in memory: per
// segment Send, Output, Input at the other end, Recv, and its share of the
// ACKs; no header is written and no checksum taken.
func BenchmarkRelaySegment(b *testing.B) {
	h := newHost(1, DefaultConfig(), 1024)
	env := &h.env
	var x, y Conn
	var seg Segment
	in := make([]frame.Span, 1)
	pass := func(from, to *Conn) {
		for from.Output(env, &seg) {
			if d, ok := env.Nodes.Whole(seg.Run); ok {
				in[0] = d
				seg.Data = in
			}
			if to.state == Closed {
				to.Accept(env, testTuple(1), testParams, &seg)
			} else {
				to.Input(env, &seg)
			}
		}
	}
	x.Open(env, testTuple(0), testParams)
	for range 3 {
		pass(&x, &y)
		pass(&y, &x)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f, _ := env.Pool.Get()
		x.Send(env, frame.Span{Frame: f, Off: 128, Len: 1448}, 0)
		env.Pool.Release(f)
		if i%16 != 15 {
			continue
		}
		env.Now += 20 * Microsecond
		pass(&x, &y)
		for {
			d, _, ok := y.Recv(env)
			if !ok {
				break
			}
			env.Pool.Release(d.Frame)
		}
		pass(&y, &x)
	}
}

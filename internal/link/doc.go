// Package link models one direction of a link. A path is two of them.
//
// The model is sans-IO: the caller gives the time (nanoseconds on any clock)
// and a frame's length, and learns when the frame arrives at the far end, or
// why it does not. The frame itself stays with the caller, who keeps it with
// its [Delivery] in a [Queue]:
//
//	f := l.Push(now, len(frame))
//	f.Corrupt(frame)
//	for _, d := range f.Out[:f.N] {
//		q.Push(d.At, arrival{d, frame})
//	}
//	...
//	for {
//		a, ok := q.Pop(now)
//		if !ok { break }
//		if l.Arrive(a.Delivery, len(a.frame)) { deliver(a.frame) }
//	}
//
// The same model runs on the simulator's clock and, by the package runner, in
// real time between two network interfaces. It uses integers and its own
// seeded generators, so a seed always gives the same run on every machine.
//
// A frame passes, in this order: up or down, MTU, queue, transmitter (rate),
// medium (drop list, bursts, random loss, corruption, duplication), delay,
// jitter and reordering. So a lost frame has used its share of the rate, as on a
// radio, and a dropped one has not.
package link

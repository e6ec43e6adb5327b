package runner

import "github.com/mpxd/mpxd/internal/link"

// A wire is one direction of a path: a link, and the frames on it.
type wire struct {
	link  *link.Link
	in    *port // frames stay in its ring until they leave
	out   *port
	queue *link.Queue[flight]
	held  []uint8 // deliveries still to come, by slot
	last  int64   // time of the last push
	delay int64
	strip link.Strip
	gro   bool // merge what leaves

	// What a router says about a frame longer than this; 0: nothing is said.
	tellMTU int
	answer  [vnetLen + link.MaxTooBig]byte

	took  [maxBatch]flight
	count wireCount
}

// wireCount are the drops of the runner, not of the link.
type wireCount struct {
	ringFull, super, vlan, refused, crowded uint64
}

// flight is one delivery of a frame.
type flight struct {
	arrived
	link.Delivery
}

func newWire(in, out *port, c link.Config, gro bool) *wire {
	slots := int(in.mask) + 1
	w := &wire{link: link.New(c), in: in, out: out, gro: gro, held: make([]uint8, slots),
		queue: link.NewQueue[flight](2 * slots)} // every frame twice
	w.set(c)
	return w
}

func (w *wire) set(c link.Config) {
	w.link.Set(c)
	w.delay, w.strip, w.tellMTU = c.Delay, c.Strip, 0
	if c.TellTooBig {
		w.tellMTU = c.MTU
	}
}

// receiveBudget bounds what one wire takes in a round, so that the others keep
// their time: at 100 us a round, 2.5 million frames a second.
const receiveBudget = 256

// receive pushes what has arrived into the link.
func (w *wire) receive() {
	for range receiveBudget {
		a, ok := w.in.next()
		if !ok {
			return
		}
		// Two processors may have stamped two frames in another order than they
		// put them into the ring, and the clock may have been set.
		w.last = max(w.last, a.stamp)
		w.push(&a)
		if w.held[a.slot] == 0 {
			w.in.release(a.slot)
		}
	}
}

func (w *wire) push(a *arrived) {
	switch {
	case a.super:
		w.count.super++
		return
	case a.vlan:
		w.count.vlan++
		return
	}
	f := w.link.Push(w.last, int(a.n))
	b := w.in.frame(a)
	if f.N == 0 {
		if f.Drop == link.TooLong && w.tellMTU > 0 {
			w.tooBig(b)
		}
		return
	}
	if f.Mark {
		link.MarkCE(b)
	}
	f.Corrupt(b)
	w.strip.Apply(b, w.in.partial(a))
	for _, d := range f.Out[:f.N] {
		if !w.queue.Push(d.At, flight{*a, d}) {
			w.count.crowded++
			continue
		}
		w.held[a.slot]++
	}
}

// tooBig answers at once, out of the interface that the frame came in by: the
// router stands next to the sender.
func (w *wire) tooBig(frame []byte) {
	if n := link.TooBig(w.answer[vnetLen:], frame, w.tellMTU); n > 0 {
		b := &w.in.batch
		b.reset()
		b.add(w.answer[:vnetLen+n])
		w.count.refused += uint64(w.in.send(b))
	}
}

// deliver sends what is due.
func (w *wire) deliver(h *late) {
	b := &w.out.batch
	for {
		now := wallClock()
		b.reset()
		took := 0
		for took < maxBatch {
			f, ok := w.queue.Pop(now)
			if !ok {
				break
			}
			w.took[took] = f
			if w.link.Arrive(f.Delivery, int(f.n)) {
				h.add(now - f.At)
				w.put(&w.took[took].arrived)
			}
			took++
		}
		w.count.refused += uint64(w.out.send(b))
		for _, f := range w.took[:took] {
			if w.held[f.slot]--; w.held[f.slot] == 0 {
				w.in.release(f.slot)
			}
		}
		if took < maxBatch {
			return
		}
	}
}

// put adds a frame to what leaves.
func (w *wire) put(a *arrived) {
	b := &w.out.batch
	if !w.gro || !b.merge(w.in, a) {
		b.add(w.in.message(a))
	}
}

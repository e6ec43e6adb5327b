package tcp

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
)

// FuzzPair lets the fuzzer be the network between two Conns, and both
// applications. Whatever it does to packets, what is read is what was written,
// promised windows are kept, and once it leaves the network in peace everything
// arrives and both ends close.
func FuzzPair(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(uint8(seed), randomOps(seed, 400))
	}
	f.Fuzz(func(t *testing.T, start uint8, ops []byte) { playPair(t, start, ops) })
}

// TestRandomPairs is the fuzzer's body over many random inputs.
func TestRandomPairs(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		randomPair(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomPair(t testing.TB, seed uint64) {
	defer func() {
		if r := recover(); r != nil {
			t.Logf("seed %d", seed)
			panic(r)
		}
	}()
	playPair(t, uint8(seed), randomOps(seed, 800))
}

// Bounds of a play, so that the fuzzer does hundreds of them in a second. What
// is to be found lies in how few things meet, not in how many follow each other.
const (
	maxFuzzOps     = 2000
	maxFuzzPackets = 2000 // random plays have 150, and one in a thousand has 1000
	maxFuzzStream  = 1 << 18
	maxFuzzDrops   = 40  // more in a row than a flow survives is no finding
	fuzzFrames     = 256 // to clear more takes longer than the play; they run short now and then, as they should
)

// ploy is a play: the pair, and what the fuzzer's network holds back.
type ploy struct {
	*pair
	ops   []byte
	old   []packet // to be delivered again, much later
	edges [2]Seq   // right edge of the window that each side has promised
	drops int
}

func playPair(t testing.TB, start uint8, ops []byte) {
	p := &ploy{
		pair: &pair{t: t, now: Second, rnd: rand.New(rand.NewPCG(uint64(start), 1)), link: link{delay: 5 * Millisecond}},
		ops:  ops[:min(len(ops), maxFuzzOps)],
	}
	for i := range p.h {
		p.h[i] = newHost(uint64(start)+uint64(i), DefaultConfig(), fuzzFrames)
		h := p.h[i]
		h.conf.RcvBuf, h.conf.SndBuf = 64<<10, 64<<10
		h.conf.NoSACK, h.conf.NoTimestamps = start&4 != 0, start&8 != 0
		h.conf.Controller = CUBIC + start>>4%2
		h.toSend = 1000 * (i + 1)
	}
	p.link.drop = p.watch
	p.open()
	for len(p.ops) > 0 && p.seq < maxFuzzPackets {
		p.act()
		for _, h := range p.h {
			check(t, h)
		}
	}
	p.peace()
}

// next takes a number below n from the input.
func (p *ploy) next(n int) int {
	v := 0
	for range 2 {
		v <<= 8
		if len(p.ops) > 0 {
			v |= int(p.ops[0])
			p.ops = p.ops[1:]
		}
	}
	return v % n
}

// act does one thing.
func (p *ploy) act() {
	i := p.next(2)
	h := p.h[i]
	h.env.Now = p.now
	switch p.next(14) {
	case 0, 1, 2, 3:
		p.steps(1 + p.next(8))
	case 4:
		p.lose()
	case 5: // again, now or much later
		if x, ok := p.pick(false); ok && len(p.old) < 8 {
			p.old = append(p.old, x)
		}
	case 6:
		if len(p.old) > 0 {
			p.launch(p.old[0], 0)
			p.old = p.old[1:]
		}
	case 7: // later than those behind it
		if x, ok := p.pick(true); ok {
			p.launch(x, Time(p.next(400))*Millisecond)
		}
	case 8:
		h.toSend = min(h.toSend+p.next(20000), maxFuzzStream)
		if h.shut {
			h.toSend = h.sent
		}
		p.flush(i)
	case 9:
		h.slow = !h.slow
		p.flush(i)
	case 10:
		h.piece = 40 + p.next(3000)
	case 11:
		h.conn.SetPathMSS(&h.env, h.conn.sndUna, uint16(300+p.next(1200)))
		p.flush(i)
	case 12:
		p.run(Time(p.next(1000))*Millisecond, func() bool { return false })
	case 13:
		if p.next(8) == 0 {
			h.shut, h.toSend = true, max(h.sent, h.toSend)
			p.flush(i)
		}
	}
}

func (p *ploy) steps(n int) {
	for range n {
		p.step(p.now + Second)
	}
}

// pick chooses a packet on the wire, and may take it away.
func (p *ploy) pick(away bool) (x packet, ok bool) {
	if len(p.wire) == 0 {
		return x, false
	}
	i := p.next(len(p.wire))
	x = p.wire[i]
	if away {
		heap.Remove(&p.wire, i)
	}
	return x, true
}

func (p *ploy) lose() {
	if p.drops < maxFuzzDrops {
		p.pick(true)
		p.drops++
	}
}

func (p *ploy) launch(x packet, later Time) {
	p.seq++
	x.seq, x.at = p.seq, p.now+p.link.delay+later
	x.b = slices.Clone(x.b)
	heap.Push(&p.wire, x)
}

// watch sees what is sent: a promised window is never taken back (RFC 9293,
// 3.8.6).
func (p *ploy) watch(to int, seg *Segment) bool {
	i := 1 - to
	if c := &p.h[i].conn; seg.Flags&(SYN|RST|ACK) == ACK {
		edge := seg.Ack + Seq(seg.Wnd)<<c.rcvScale
		if p.edges[i] != 0 && edge.Before(p.edges[i]) {
			p.t.Fatalf("host %d takes back its window from %d to %d", i, p.edges[i]-c.irs, edge-c.irs)
		}
		p.edges[i] = edge
	}
	return false
}

// peace lets both ends finish, and looks at what came of it.
func (p *ploy) peace() {
	for i, h := range p.h {
		h.slow, h.shut = false, true
		h.env.Now = p.now
		p.flush(i)
	}
	over := func() bool {
		for _, h := range p.h {
			if s := h.conn.state; s != Closed && s != TimeWaitState {
				return false
			}
		}
		return true
	}
	if !p.run(3600*Second, over) {
		p.t.Fatalf("an hour of peace, and still in %v and %v, %d of %d and %d of %d bytes read",
			p.h[0].conn.state, p.h[1].conn.state, p.h[1].got, p.h[0].toSend, p.h[0].got, p.h[1].toSend)
	}
	for i, h := range p.h {
		if h.conn.err != NoError {
			p.t.Fatalf("host %d: %v", i, h.conn.err)
		}
		if o := p.h[1-i]; o.got != h.sent || h.sent != h.toSend {
			p.t.Fatalf("host %d wrote %d of %d bytes, the other one read %d", i, h.sent, h.toSend, o.got)
		}
	}
	p.finish()
}

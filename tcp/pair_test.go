package tcp

import (
	"container/heap"
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
)

// A pair is two Conns over a link in virtual time.
type pair struct {
	t       testing.TB
	now     Time
	rnd     *rand.Rand
	h       [2]*host
	wire    wire
	seq     int
	dropped int
	link    link
	trace   bool
}

// link is the same in both directions.
type link struct {
	delay  Time
	jitter Time // uniform, reorders
	rate   int  // bytes per second; 0: no limit
	queue  Time // the longest a packet may wait for the rate; more are dropped
	loss   int  // per thousand
	dup    int  // per thousand
	drop   func(to int, seg *Segment) bool
}

type host struct {
	env   Env
	conn  Conn
	count Counters
	conf  Config
	free  int // frames at the start
	busy  Time
	ev    Event

	// Application.
	toSend, sent int
	piece        int // bytes per Send
	shut         bool
	got          int
	slow         bool // do not read
	whole, cut   int  // data segments sent without and with a copy
}

type packet struct {
	at  Time
	seq int
	to  int
	b   []byte
}

type wire []packet

func (w wire) Len() int { return len(w) }
func (w wire) Less(i, j int) bool {
	return w[i].at < w[j].at || w[i].at == w[j].at && w[i].seq < w[j].seq
}
func (w wire) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *wire) Push(x any)   { *w = append(*w, x.(packet)) }
func (w *wire) Pop() any {
	x := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return x
}

func testTuple(i int) *Tuple {
	a, b := AddrFrom4([4]byte{192, 0, 2, 1}), AddrFrom4([4]byte{198, 51, 100, 2})
	if i == 0 {
		return &Tuple{a, b, 40000, 80}
	}
	return &Tuple{b, a, 80, 40000}
}

var testParams = Params{MSS: 1460, PathMSS: 1460}

func newHost(seed uint64, conf Config, frames int) *host {
	h := &host{conf: conf, piece: 1448}
	pool := frame.New(make([]byte, frames<<12), 12)
	var key [32]byte
	key[0] = byte(seed)
	h.conf.Secret = key
	h.env = Env{Now: Second, Pool: pool, Nodes: &Nodes{}, Rand: rand.NewChaCha8(key), Conf: &h.conf, Count: &h.count}
	h.free = pool.Free()
	return h
}

// newPair makes a client (0) and a server (1) that is not open yet.
func newPair(t testing.TB, seed uint64, l link) *pair {
	p := &pair{t: t, now: Second, rnd: rand.New(rand.NewPCG(seed, seed)), link: l}
	for i := range p.h {
		p.h[i] = newHost(seed+uint64(i), DefaultConfig(), 16384)
	}
	return p
}

func (p *pair) open() {
	h := p.h[0]
	h.env.Now = p.now
	h.conn.Open(&h.env, testTuple(0), testParams)
	p.flush(0)
}

// pattern is byte i of every stream.
func pattern(i int) byte { return byte(i*7 + i>>8*13 + i>>16) }

// app moves the application's data.
func (p *pair) app(i int) {
	h := p.h[i]
	c, e := &h.conn, &h.env
	h.ev |= c.Events()
	for h.sent < h.toSend {
		n := min(h.piece, h.toSend-h.sent, int(c.Room()))
		if n == 0 {
			break
		}
		f, ok := e.Pool.Get()
		if !ok {
			break
		}
		d := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(n)}
		for k, b := 0, e.Pool.Bytes(d); k < n; k++ {
			b[k] = pattern(h.sent + k)
		}
		ok = c.Send(e, d, 0)
		e.Pool.Release(f)
		if !ok {
			break
		}
		h.sent += n
	}
	if h.shut && h.sent == h.toSend && h.ev&Connected != 0 {
		c.Shut(e)
	}
	for !h.slow {
		d, _, ok := c.Recv(e)
		if !ok {
			break
		}
		b := e.Pool.Bytes(d)
		for k := range b {
			if b[k] != pattern(h.got+k) {
				p.t.Fatalf("host %d: byte %d is wrong", i, h.got+k)
			}
		}
		if d.Flags&frame.SumKnown != 0 && !sameSum(checksum.Sum(b), d.Sum) {
			p.t.Fatalf("host %d: sum of the span at byte %d is %#x, want %#x", i, h.got, d.Sum, checksum.Sum(b))
		}
		h.got += len(b)
		e.Pool.Release(d.Frame)
	}
}

func sameSum(a, b uint16) bool { return a == b || a^b == 0xffff && (a == 0 || b == 0) }

// flush sends what there is to send.
func (p *pair) flush(i int) {
	h := p.h[i]
	h.env.Now = p.now
	p.app(i)
	var seg Segment
	for h.conn.Output(&h.env, &seg) {
		n := seg.HeaderLen()
		b := make([]byte, n+int(seg.Len))
		seg.Put(b, 1, 2)
		if d, ok := h.env.Nodes.Whole(seg.Run); ok {
			copy(b[n:], h.env.Pool.Bytes(d))
			if h.env.Pool.Writable(d.Frame) {
				h.whole++
			} else {
				h.cut++
			}
		} else if seg.Len > 0 {
			h.env.Nodes.Gather(h.env.Pool, seg.Run, b[n:])
			h.cut++
		}
		if len(b) > 20+1460 {
			p.t.Fatalf("segment of %d bytes", len(b))
		}
		p.put(1-i, b, &seg)
	}
	h.ev |= h.conn.Events()
}

// put sends a packet over the link.
func (p *pair) put(to int, b []byte, seg *Segment) {
	h := p.h[1-to]
	if p.trace {
		p.t.Logf("%9.3f ms %d> seq %d ack %d len %d flags %06b wnd %d sack %v", float64(p.now)/1e6, 1-to, seg.Seq-h.conn.iss, seg.Ack-h.conn.irs, seg.Len, seg.Flags, seg.Wnd, seg.Opts.SACK[:seg.Opts.NSACK])
	}
	at := max(p.now, h.busy)
	if p.link.rate > 0 {
		if p.link.queue > 0 && at-p.now > p.link.queue {
			p.dropped++
			return
		}
		at += Time(len(b)+38) * Second / Time(p.link.rate)
		h.busy = at
	}
	if p.rnd.IntN(1000) < p.link.loss || p.link.drop != nil && p.link.drop(to, seg) {
		p.dropped++
		return
	}
	copies := 1
	if p.rnd.IntN(1000) < p.link.dup {
		copies = 2
	}
	for range copies {
		d := p.link.delay
		if p.link.jitter > 0 {
			d += Time(p.rnd.Int64N(int64(p.link.jitter)))
		}
		p.seq++
		heap.Push(&p.wire, packet{at + d, p.seq, to, b})
	}
}

// input hands a packet to a host.
func (p *pair) input(i int, b []byte) Verdict {
	h := p.h[i]
	h.env.Now = p.now
	var seg Segment
	n, ok := seg.Parse(b)
	if !ok {
		p.t.Fatal("segment does not parse")
	}
	seg.Len = uint32(len(b) - n)
	if seg.Len > 0 {
		f, ok := h.env.Pool.Get()
		if !ok {
			return Unacceptable
		}
		d := frame.Span{Frame: f, Off: 256, Len: uint16(seg.Len), Flags: frame.SumKnown, Sum: checksum.Sum(b[n:])}
		copy(h.env.Pool.Bytes(d), b[n:])
		seg.Data = []frame.Span{d}
		defer h.env.Pool.Release(f)
	}
	if h.conn.state == Closed && h.conn.iss == 0 && i == 1 {
		if seg.Flags&(SYN|ACK|RST) == SYN {
			h.conn.Accept(&h.env, testTuple(1), testParams, &seg)
			return Acceptable
		}
		return Unacceptable
	}
	v := h.conn.Input(&h.env, &seg)
	check(p.t, h)
	return v
}

// step jumps to the next event; false: there is none before until.
func (p *pair) step(until Time) bool {
	next := min(p.h[0].conn.Deadline(), p.h[1].conn.Deadline())
	if len(p.wire) > 0 {
		next = min(next, p.wire[0].at)
	}
	if next > until {
		p.now = max(p.now, min(until, next))
		return false
	}
	p.now = max(p.now, next)
	for len(p.wire) > 0 && p.wire[0].at <= p.now {
		x := heap.Pop(&p.wire).(packet)
		p.input(x.to, x.b)
		p.flush(x.to)
	}
	for i, h := range p.h {
		h.env.Now = p.now
		if h.conn.Deadline() <= p.now {
			h.conn.Expire(&h.env)
			if h.conn.Deadline() <= p.now {
				p.t.Fatalf("host %d: deadline stays due", i)
			}
		}
		p.flush(i)
	}
	return true
}

// run steps until done or the virtual time limit.
func (p *pair) run(limit Time, done func() bool) bool {
	until := p.now + limit
	for steps := 0; !done(); steps++ {
		if steps > 20e6 {
			p.t.Fatal("too many steps")
		}
		if !p.step(until) {
			return done()
		}
	}
	return true
}

// finish frees both and looks for leaks.
func (p *pair) finish() {
	for i, h := range p.h {
		h.conn.Free(&h.env)
		if n := h.env.Nodes.Live(); n != 0 {
			p.t.Errorf("host %d: %d nodes leak", i, n)
		}
		if h.env.Pool.Free() != h.free {
			p.t.Errorf("host %d: frames leak: %v", i, h.env.Pool.Leaks(5))
		}
	}
}

// check verifies the invariants of a Conn.
func check(t testing.TB, h *host) {
	t.Helper()
	c, ns := &h.conn, h.env.Nodes
	if c.state == Closed {
		return
	}
	if !testing.Short() && c.sndq.nodes+c.ofoq.nodes > 200 && c.rcvNxt&15 != 0 {
		return // the walk is long: look now and then
	}
	var pipe, gone, marked, nodes uint32
	at := c.sndUna
	fresh := false
	for id := c.sndq.head; id != 0; id = ns.At(id).Next {
		n := ns.At(id)
		nodes++
		if id == c.sndq.head && n.Seq.After(c.sndUna) && c.state >= Established || id != c.sndq.head && n.Seq != at {
			t.Fatalf("send queue: node at %d, want %d", n.Seq-c.iss, at-c.iss)
		}
		at = n.end()
		if id == c.fresh {
			fresh = true
			if n.Seq != c.sndNxt && c.state >= Established {
				t.Fatalf("fresh node at %d, SND.NXT %d", n.Seq-c.iss, c.sndNxt-c.iss)
			}
		}
		switch n.flags & (inFlight | lost | sacked) {
		case inFlight:
			pipe += n.len()
		case lost:
			gone += n.len()
		case sacked:
			marked++
		case 0:
			if !fresh {
				t.Fatalf("node at %d was sent and is nowhere", n.Seq-c.iss)
			}
		default:
			t.Fatalf("node flags %b", n.flags)
		}
	}
	if pipe != c.pipe || gone != c.goneBytes || marked != c.sackedNodes || nodes != c.sndq.nodes {
		t.Fatalf("pipe %d/%d lost %d/%d sacked %d/%d nodes %d/%d", c.pipe, pipe, c.goneBytes, gone, c.sackedNodes, marked, c.sndq.nodes, nodes)
	}
	last := Time(0)
	for id := c.flight.head; id != 0; id = ns.At(id).after {
		if n := ns.At(id); n.sent < last {
			t.Fatal("the nodes in flight are not in the order of sending")
		} else {
			last = n.sent
		}
	}
	prev := c.rcvNxt
	for id := c.ofoq.head; id != 0; id = ns.At(id).Next {
		if n := ns.At(id); n.Seq.Before(prev) {
			t.Fatalf("out-of-order node at %d before %d", n.Seq-c.irs, prev-c.irs)
		} else {
			prev = n.end()
		}
		if c.early.find(ns, prev-1) != id {
			t.Fatalf("out-of-order node at %d is not found", ns.At(id).Seq-c.irs)
		}
	}
}

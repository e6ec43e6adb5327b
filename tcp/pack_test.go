package tcp

import (
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
)

// drink reads what is in order, which must be the peer's bytes from at on, with
// the sums that were kept of them.
func (o *one) drink(at int) (n int) {
	o.t.Helper()
	for {
		d, _, ok := o.conn.Recv(&o.env)
		if !ok {
			return n
		}
		b := o.env.Pool.Bytes(d)
		for i := range b {
			if b[i] != pattern(at+n+i) {
				o.t.Fatalf("byte %d is not the peer's", at+n+i)
			}
		}
		if d.Flags&frame.SumKnown != 0 && d.Sum != checksum.Sum(b) {
			o.t.Fatalf("%d bytes at %d: sum %04x, kept %04x", d.Len, at+n, checksum.Sum(b), d.Sum)
		}
		n += int(d.Len)
		o.env.Pool.Release(d.Frame)
	}
}

// used is how many frames are.
func (o *one) used() int { return o.env.Pool.Frames() - o.env.Pool.Free() }

// CVE-2018-5390: who sends a byte at a time pins bytes, not frames.
func TestSmallSegmentsShareFrames(t *testing.T) {
	for _, gaps := range []int{1, 2} {
		o := newOne(t).established()
		r := rand.New(rand.NewPCG(1, uint64(gaps)))
		const n = 150
		for _, i := range r.Perm(n) {
			if o.in(ACK, Seq(1+i*gaps), 1, 1); i%20 == 0 {
				o.out()
			}
		}
		if most := 2; o.used() > most {
			t.Errorf("one byte in %d: %d frames for %d segments", gaps, o.used(), n)
		}
		if gaps > 1 { // what lies between
			for i := range n {
				o.in(ACK, Seq(2+i*gaps), 1, 1)
			}
		}
		if got := o.drink(0); got != n*gaps {
			t.Errorf("%d bytes of %d", got, n*gaps)
		}
		o.out()
		o.done()
	}
}

// A span that fills a segment stays alone in its frame: only so it can be sent on
// without a copy.
func TestFullSegmentsAreNotCopied(t *testing.T) {
	o := newOne(t).established()
	for i, n := range []int{1000, 200, 1000, 1000, 100} {
		o.in(ACK, Seq(1+[]int{0, 1000, 1200, 2200, 3200}[i]), 1, n)
	}
	if o.used() != 5 || o.count.Coalesced != 0 {
		t.Errorf("%d frames, %d spans copied", o.used(), o.count.Coalesced)
	}
	if n := o.drink(0); n != 3300 {
		t.Error(n)
	}
	o.out()
	o.done()
}

// Pack halves what segments pin that were not read, and what was not
// acknowledged, in as many goes as its budget wants.
func TestPack(t *testing.T) {
	o := newOne(t).established()
	o.conn.cc.Cwnd = 1 << 20
	const n = 20
	for i := range n {
		o.in(ACK, Seq(1+i*1000), 1, 1000)
	}
	for i := range n { // with a gap in front of each
		o.in(ACK, Seq(n*1000+101+i*1100), 1, 1000)
	}
	var sent []byte
	for i := range n {
		f, _ := o.env.Pool.Get()
		d := frame.Span{Frame: f, Off: frame.Headroom, Len: 1000}
		for k := range 1000 {
			o.env.Pool.Bytes(d)[k] = byte(i + k)
		}
		sent = append(sent, o.env.Pool.Bytes(d)...)
		o.conn.Send(&o.env, d, 0)
		o.env.Pool.Release(f)
	}
	o.out()
	before, rounds := o.used(), 0
	w := Walk{}
	for _, head := range o.conn.Lists() {
		for w.Left = 7; !o.env.Pack(head, &w); w.Left = 7 {
			if rounds++; rounds > 100 {
				t.Fatal("the walk does not end")
			}
		}
	}
	if before != 3*n || o.used() != 3*n/2 || w.Freed != 3*n/2 || w.Frames != 3*n/2 || rounds < 5 {
		t.Errorf("%d frames, then %d; %+v in %d rounds", before, o.used(), w, rounds)
	}
	for _, head := range o.conn.Lists() { // again: nothing is left to do
		w = Walk{Left: 1000}
		if !o.env.Pack(head, &w) || w.Freed != 0 || w.Frames != n/2 {
			t.Errorf("%+v", w)
		}
	}
	if got := o.drink(0); got != n*1000 {
		t.Errorf("%d bytes read", got)
	}
	for i := range n {
		o.in(ACK, Seq(n*1000+1+i*1100), 1, 100)
	}
	if got := o.drink(n * 1000); got != n*1100 {
		t.Errorf("%d bytes read", got)
	}
	o.out()
	// What is sent again is what was sent.
	o.wait()
	var got []byte
	var seg Segment
	for o.conn.Output(&o.env, &seg) {
		if seg.Len > 0 {
			b := make([]byte, seg.Len)
			o.env.Nodes.Gather(o.env.Pool, seg.Run, b)
			got = append(got, b...)
		}
	}
	if len(got) == 0 || string(got) != string(sent[n*1000-len(got):]) && string(got) != string(sent[:len(got)]) {
		t.Errorf("%d bytes sent again, or not the same", len(got))
	}
	o.in(ACK, n*2100+1, n*1000+1, 0)
	o.done()
}

// Writes of a byte each become segments, and few frames.
func TestSmallWritesShareFrames(t *testing.T) {
	o := newOne(t).established()
	o.conn.sndWnd = 0
	for range 2000 {
		o.send(1, 1, 0)
	}
	if o.used() != 1 || o.conn.sndq.nodes > 3 {
		t.Errorf("%d frames, %d nodes", o.used(), o.conn.sndq.nodes)
	}
	o.conn.sndWnd = 65535
	if s := o.out(); !equal(lens(s), 1000, 1000) {
		t.Errorf("%v", lens(s))
	}
	o.in(ACK, 1, 2001, 0)
	o.done()
}

// What the peer was told by SACK stays, all else goes. At most four islands are
// told of in one ACK; with more at once, most are not.
func TestPrune(t *testing.T) {
	for _, noSACK := range []bool{false, true} {
		o := newOne(t)
		o.noSACK = noSACK
		o.established()
		told := map[Seq]bool{}
		hear := func() {
			for _, s := range o.out() {
				for _, b := range s.Opts.SACK[:s.Opts.NSACK] {
					for at := b.From; at != b.To; at++ {
						told[at] = true
					}
				}
			}
		}
		r := rand.New(rand.NewPCG(2, 2))
		for range 30 {
			for range 1 + r.IntN(8) { // one batch; some come twice
				o.in(ACK, Seq(1+2*(1+r.IntN(40))*100), 1, 50+r.IntN(2)*100)
			}
			hear()
		}
		before := o.conn.ofoq.nodes
		dropped := o.conn.Prune(&o.env)
		check(t, o.host)
		if dropped == 0 || dropped != before-o.conn.ofoq.nodes || noSACK != (o.conn.ofoq.nodes == 0) {
			t.Errorf("%d of %d dropped, %d left", dropped, before, o.conn.ofoq.nodes)
		}
		held := map[Seq]bool{}
		for id := o.conn.ofoq.head; id != 0; id = o.env.Nodes.At(id).Next {
			n := o.env.Nodes.At(id)
			for at := n.Seq; at != n.end(); at++ {
				held[at-peerISS] = true
			}
		}
		for at := range told {
			if !held[at] {
				t.Fatalf("byte %d was told of and is gone", at)
			}
		}
		if again := o.conn.Prune(&o.env); again != 0 {
			t.Errorf("%d more dropped", again)
		}
		o.in(ACK, 1, 1, 9000) // all that was missing, in the peer's words
		if n := o.drink(0); n != 9000 {
			t.Errorf("%d bytes", n)
		}
		o.out()
		o.done()
	}
}

package tcp

import (
	"math/rand/v2"
	"testing"
)

func TestOverlapsInAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		o := newOne(t).established()
		const size = 20000
		for o.conn.rcvNxt != peerISS+1+size {
			// Odd and even offsets, tiny and chained segments, all around
			// what is missing.
			at := max(int(o.conn.rcvNxt-peerISS)-1+r.IntN(6000)-3000, 0)
			n := 1 + r.IntN([]int{3, 100, 1460, 9000}[r.IntN(4)])
			if r.IntN(3) == 0 {
				at = int(o.conn.rcvNxt-peerISS) - 1
			}
			if at+n > size {
				n = size - at
			}
			if n > 0 {
				o.in(ACK, Seq(1+at), 1, n)
			}
			for _, s := range o.out() {
				for _, b := range s.Opts.SACK[:s.Opts.NSACK] {
					if !b.From.Before(b.To) {
						t.Fatalf("seed %d: empty SACK block", seed)
					}
				}
			}
		}
		if n := o.read(); n != size {
			t.Fatalf("seed %d: %d bytes", seed, n)
		}
		o.done()
	}
}

// RFC 2018, 4: the first block holds the segment that caused the ACK; RFC
// 2883, 4: a duplicate goes before it, once.
func TestSACKBlocks(t *testing.T) {
	o := newOne(t).established()
	blocks := func() []Block {
		t.Helper()
		s := o.out()
		if len(s) != 1 {
			t.Fatalf("%d segments", len(s))
		}
		return s[0].Opts.SACK[:s[0].Opts.NSACK]
	}
	expect := func(what string, want ...Block) {
		t.Helper()
		got := blocks()
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%s: %v, want %v", what, got, want)
			}
		}
	}
	o.in(ACK, 1001, 1, 500)
	expect("one island", Block{1001, 1501})
	o.in(ACK, 3001, 1, 500)
	expect("two", Block{3001, 3501}, Block{1001, 1501})
	o.in(ACK, 1501, 1, 500)
	expect("the older grows", Block{1001, 2001}, Block{3001, 3501})
	o.in(ACK, 1201, 1, 100)
	expect("a duplicate inside", Block{1201, 1301}, Block{1001, 2001}, Block{3001, 3501})
	o.in(ACK, 2001, 1, 1000)
	expect("they join", Block{1001, 3501})
	o.in(ACK, 1, 1, 1000)
	expect("all in order")
	o.in(ACK, 501, 1, 100)
	expect("an old duplicate", Block{501, 601})
	if o.read() != 3500 {
		t.Error("bytes missing")
	}
	o.done()
}

func TestDelayedACK(t *testing.T) {
	o := newOne(t).established()
	o.in(ACK, 1, 1, 1000)
	if s := o.out(); len(s) != 0 {
		t.Fatalf("ACK of one segment: %+v", s)
	}
	if d := o.conn.Deadline() - o.env.Now; d != o.conf.DelAck {
		t.Fatalf("ACK delayed by %d ms", d/Millisecond)
	}
	o.in(ACK, 1001, 1, 1000)
	if s := o.out(); len(s) != 1 || s[0].Ack != 2001 {
		t.Fatalf("second full segment: %+v", s)
	}
	o.in(ACK, 2001, 1, 10)
	o.wait()
	if s := o.out(); len(s) != 1 || s[0].Ack != 2011 {
		t.Fatalf("after the delay: %+v", s)
	}
	o.done()
}

// The window's right edge never moves back, and moves forward by useful steps.
func TestReceiveWindow(t *testing.T) {
	o := newOne(t)
	o.conf.RcvBuf = 20000
	o.established()
	edge, at, sent := o.conn.rcvAdv, 1, 0
	for range 400 {
		for _, s := range o.out() {
			e := s.Ack + Seq(s.Wnd)<<o.conn.rcvScale + peerISS
			if e.Before(edge) {
				t.Fatalf("edge back from %d to %d", edge, e)
			}
			edge = e
			sent++
		}
		if n := min(1000, int(edge-peerISS)-at); n > 0 {
			o.in(ACK, Seq(at), 1, n)
			at += n
		} else if d, _, ok := o.conn.Recv(&o.env); ok {
			o.env.Pool.Release(d.Frame)
		}
	}
	if at < 20000 {
		t.Fatalf("the flow stalled at %d", at)
	}
	o.done()
	o = newOne(t)
	o.conf.RcvBuf = 20000
	o.established()
	for at := 1; at < 20001; at += 1000 {
		o.in(ACK, Seq(at), 1, 1000)
	}
	s := o.out()
	if s[len(s)-1].Wnd != 0 {
		t.Fatalf("window %d of a full buffer", s[len(s)-1].Wnd)
	}
	// A probe of the closed window is answered, its byte refused; its ACK
	// counts.
	if o.in(ACK, 20001, 1, 1) != Acceptable {
		t.Error("a window probe is unacceptable")
	}
	if s := o.out(); len(s) != 1 || s[0].Ack != 20001 || s[0].Wnd != 0 {
		t.Fatalf("answer to the probe: %+v", s)
	}
	o.read()
	if s := o.out(); len(s) != 1 || s[0].Wnd == 0 {
		t.Fatalf("the window opened silently: %+v", s)
	}
	o.done()
}

// CVE-2018-5390: tiny out-of-order segments pin a bounded number of frames and
// cost a bounded time.
func TestTinySegmentsAreBounded(t *testing.T) {
	o := newOneOf(t, 4096)
	o.conf.RcvBuf = 256 << 10
	o.established()
	r := rand.New(rand.NewPCG(5, 5))
	for range 20000 {
		o.in(ACK, Seq(3+2*r.IntN(60000)), 1, 1)
	}
	limit := int(o.conn.maxNodes())
	if n := o.env.Nodes.Live(); n > limit/2 || o.count.OfoDrops == 0 {
		t.Errorf("%d nodes for a limit of %d, %d dropped", n, limit/2, o.count.OfoDrops)
	}
	// The flow is not stuck.
	for n := 0; o.conn.rcvNxt.Before(peerISS + 200001); n++ {
		if n > 2000 {
			t.Fatalf("stuck at %d", o.conn.rcvNxt-peerISS)
		}
		o.in(ACK, o.conn.rcvNxt-peerISS, 1, 1000)
		o.out()
		o.read()
	}
	for range 3000 {
		o.in(ACK, o.conn.rcvNxt-peerISS, 1, 1)
	}
	if n := o.env.Nodes.Live(); n > limit {
		t.Errorf("%d nodes of in-order data for a limit of %d", n, limit)
	}
	o.done()
}

func TestPAWS(t *testing.T) {
	o := newOne(t)
	o.ts = 5000
	o.established()
	o.in(ACK, 1, 1, 100)
	o.out()
	o.ts = 4000
	if o.in(ACK, 101, 1, 100) != Unacceptable || o.count.PAWSDrops != 1 {
		t.Error("an old duplicate passed")
	}
	if s := o.out(); len(s) != 1 || s[0].Ack != 101 || s[0].Opts.TSEcr != 5000 {
		t.Errorf("%+v", s)
	}
	o.env.Now += pawsAge + Second
	if o.in(ACK, 101, 1, 100) != Acceptable {
		t.Error("TS.Recent outlived its age (RFC 7323, 5.5)")
	}
	o.done()
}

func TestNoRoomTakesTheACKOnly(t *testing.T) {
	o := newOne(t).established()
	o.send(1000, 1000, 0)
	o.out()
	seg := Segment{Seq: peerISS + 1, Ack: o.conn.sndNxt, Flags: ACK, Wnd: 1000, Len: 500, NoRoom: true}
	if o.conn.Input(&o.env, &seg) != Acceptable || o.conn.sndUna != o.conn.sndNxt || o.conn.rcvNxt != peerISS+1 {
		t.Error("the ACK was not taken, or the payload was")
	}
	o.done()
}

func TestSetWindowRules(t *testing.T) {
	o := newOne(t).established()
	o.conn.SetWindow(5000<<o.conn.rcvScale, 3000)
	o.conn.AckNow()
	if s := o.out(); len(s) != 1 || s[0].Wnd != 5000 {
		t.Fatalf("%+v", s)
	}
	if o.in(ACK, 3002, 1, 10) != Unacceptable || o.in(ACK, 2901, 1, 100) != Acceptable {
		t.Error("accept is not what decides")
	}
	o.done()
}

package tcp

import (
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
)

func lens(all []Segment) (l []int) {
	for _, s := range all {
		l = append(l, int(s.Len))
	}
	return l
}

func equal(a []int, b ...int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// The peer's MSS is 1000 here.
func TestRuns(t *testing.T) {
	o := newOne(t).established()
	o.conn.cc.Cwnd = 1 << 20
	o.send(800, 800, 0) // nearly full: alone, whole
	o.send(300, 100, 0) // small ones merge
	o.send(100, 100, 7) // but not with another mark
	o.send(2500, 2500, 7)
	s := o.out()
	if !equal(lens(s), 800, 300, 1000, 1000, 600) {
		t.Fatalf("%v", lens(s))
	}
	for i, m := range []uint64{0, 0, 7, 7, 7} {
		if s[i].Mark != m {
			t.Errorf("segment %d has mark %d", i, s[i].Mark)
		}
	}
	if s[4].Flags&PSH == 0 || s[3].Flags&PSH != 0 {
		t.Error("PSH belongs on the last")
	}
	o.done()
}

// A super-packet comes in spans longer than a segment. They are copied anyway:
// then at least into full segments.
func TestLongSpansFillSegments(t *testing.T) {
	o := newOne(t).established()
	o.conn.cc.Cwnd = 1 << 20
	o.send(3*2300, 2300, 0)
	o.send(1000, 1000, 0) // could go without a copy: it is not split
	o.send(2300, 2300, 7) // another mark
	if s := o.out(); !equal(lens(s), 1000, 1000, 1000, 1000, 1000, 1000, 900, 1000, 1000, 1000, 300) {
		t.Errorf("%v", lens(s))
	}
	o.done()
}

// The relay's case: what came as one segment leaves as one, without a copy,
// and again so when it is retransmitted.
func TestFullSpansStayWhole(t *testing.T) {
	o := newOne(t).established()
	o.conn.cc.Cwnd = 1 << 20
	o.send(50000, 1000, 0)
	var seg Segment
	for o.conn.Output(&o.env, &seg) {
		if d, ok := o.env.Nodes.Whole(seg.Run); !ok || !o.env.Pool.Writable(d.Frame) {
			t.Fatalf("a segment at %d is not whole", seg.Seq-o.conn.iss)
		}
	}
	o.wait()
	o.wait()
	if !o.conn.Output(&o.env, &seg) || !seg.Again {
		t.Fatal("no retransmission")
	}
	if _, ok := o.env.Nodes.Whole(seg.Run); !ok {
		t.Error("a retransmission is not whole")
	}
	o.done()
}

func TestPartialACKLeavesTheSpanAlone(t *testing.T) {
	o := newOne(t).established()
	o.send(1000, 1000, 0)
	o.out()
	o.in(ACK, 1, 301, 0)
	o.conn.flags |= tlpOut // no probe: the timeout itself
	o.conn.armRetry(&o.env)
	o.wait()
	s := o.out()
	if len(s) != 1 || s[0].Seq != 301 || s[0].Len != 700 || s[0].Run.Off != 300 {
		t.Fatalf("%+v", s)
	}
	o.in(ACK, 1, 1001, 0)
	if o.conn.pipe != 0 || o.conn.sndq.head != 0 {
		t.Error("not empty")
	}
	o.done()
}

func TestWindowLimitsAndPersist(t *testing.T) {
	o := newOne(t)
	o.wnd = 0
	o.established()
	o.send(3000, 1000, 0)
	if s := o.out(); len(s) != 0 {
		t.Fatalf("sent into a closed window: %+v", s)
	}
	var waits []Time
	start := o.env.Now
	for o.env.Now < start+30*Second {
		waits = append(waits, o.wait())
		s := o.out()
		if len(s) != 1 || s[0].Len != 0 || s[0].Seq != 0 {
			t.Fatalf("probe: %+v", s)
		}
		o.in(ACK, 1, 1, 0)
	}
	for i := 2; i < len(waits); i++ {
		if waits[i] < waits[i-1] {
			t.Errorf("probes at %v", waits)
		}
	}
	o.wnd = 16 // << 7 = 2048
	o.in(ACK, 1, 1, 0)
	if s := o.out(); !equal(lens(s), 1000, 1000) {
		t.Errorf("window of 2048: %v", lens(s))
	}
	o.in(ACK, 1, 2001, 0)
	if s := o.out(); !equal(lens(s), 1000) {
		t.Errorf("the rest: %v", lens(s))
	}
	o.done()
}

func TestClosedWindowHasABudget(t *testing.T) {
	o := newOne(t)
	o.wnd = 0
	o.established()
	o.send(3000, 1000, 0)
	start := o.env.Now
	o.out()
	for o.conn.state == Established {
		o.wait()
		o.out()
		if o.conn.state == Established {
			o.in(ACK, 1, 1, 0) // it answers, but never reads
		}
	}
	if d := o.env.Now - start; d < o.conf.PersistFor || d > o.conf.PersistFor+o.conf.MaxRTO || o.conn.Err() != TimedOut {
		t.Errorf("ended after %d s: %v", d/Second, o.conn.Err())
	}
	o.done()
}

func TestCredit(t *testing.T) {
	o := newOne(t)
	o.wnd = 0
	o.established()
	o.conn.Credit(0)
	o.send(3000, 1000, 0)
	if s := o.out(); len(s) != 0 || o.conn.retryKind == retryPersist {
		t.Fatalf("without credit: %v", lens(s))
	}
	o.conn.Credit(1500)
	if s := o.out(); !equal(lens(s), 1000, 500) {
		t.Fatalf("%v", lens(s))
	}
	o.conn.Credit(5000)
	o.conn.Shut(&o.env)
	s := o.out()
	if !equal(lens(s), 500, 1000) || s[1].Flags&FIN == 0 {
		t.Fatalf("%v", lens(s))
	}
	o.done()
}

func TestReserveLeavesRoom(t *testing.T) {
	o := newOne(t)
	o.ts = 1
	o.established()
	o.conn.Reserve(28, 12)
	o.send(3000, 3000, 0)
	for _, s := range o.out() {
		if s.HeaderLen()-MinHeader+int(s.Len)+28 > 1000 {
			t.Fatalf("%d bytes of payload", s.Len)
		}
	}
	for i := range Seq(4) {
		o.in(ACK, 1001+1000*i, 1, 500)
	}
	s := o.out()
	if last := s[len(s)-1]; last.HeaderLen()+12 > MaxHeader || last.Opts.NSACK != 1 {
		t.Errorf("%d blocks", last.Opts.NSACK)
	}
	o.done()
}

func TestKeepalive(t *testing.T) {
	o := newOne(t).established()
	if w := o.wait(); w < o.conf.KeepIdle-Second {
		t.Fatalf("first probe after %d s", w/Second)
	}
	if s := o.out(); len(s) != 1 || s[0].Seq != 0 || s[0].Len != 0 {
		t.Fatalf("%+v", s)
	}
	o.in(ACK, 1, 1, 0)
	n := 0
	for o.conn.state == Established && n < 100 {
		o.wait()
		if len(o.out()) == 1 && o.conn.state == Established {
			n++
		}
	}
	if n != int(o.conf.KeepProbes) || o.conn.Err() != TimedOut {
		t.Errorf("%d probes, %v", n, o.conn.Err())
	}
	o.done()
}

func TestPathMSS(t *testing.T) {
	o := newOne(t).established()
	o.conn.cc.Cwnd = 1 << 20
	o.send(5000, 1000, 0)
	o.out()
	before := o.conn.cc.Cwnd
	if valid, _ := o.conn.SetPathMSS(&o.env, o.conn.sndNxt, 500); valid || o.conn.mss() != 1000 {
		t.Error("a packet-too-big about nothing in flight was believed")
	}
	if valid, news := o.conn.SetPathMSS(&o.env, o.conn.sndUna+2000, 68); !valid || !news || o.conn.mss() != uint32(o.conf.MinMSS) {
		t.Errorf("MSS %d, floor %d", o.conn.mss(), o.conf.MinMSS)
	}
	sum := 0
	for _, s := range o.out() {
		if s.Len > uint32(o.conf.MinMSS) || !s.Again {
			t.Fatalf("%d bytes", s.Len)
		}
		sum += int(s.Len)
	}
	if sum != 5000 || o.conn.cc.Ssthresh < before {
		t.Errorf("%d bytes again, ssthresh %d: a smaller MTU is not congestion", sum, o.conn.cc.Ssthresh)
	}
	o.in(ACK, 1, 5001, 0)
	o.done()
}

func TestSendQueueIsBounded(t *testing.T) {
	o := newOne(t)
	o.conf.SndBuf = 100000
	o.established()
	f, _ := o.env.Pool.Get()
	n := 0
	for o.conn.Send(&o.env, frame.Span{Frame: f, Off: 128, Len: 1}, 0) {
		n++
	}
	if n > 100000>>9+64 || o.conn.Room() != 0 {
		t.Errorf("%d nodes", n)
	}
	o.env.Pool.Release(f)
	o.done()
}

// Without nodes nothing is lost and nothing hangs.
func TestNodesRunOut(t *testing.T) {
	o := newOne(t).established()
	o.conn.cc.Cwnd = 1 << 20
	o.send(3000, 3000, 0)
	o.env.Nodes.Max = o.env.Nodes.Live()
	if s := o.out(); len(s) != 0 {
		t.Fatalf("%v", lens(s))
	}
	o.conn.Shut(&o.env)
	o.env.Nodes.Max = 0
	o.wait()
	s := o.out()
	if !equal(lens(s), 1000, 1000, 1000) || s[2].Flags&FIN == 0 && o.conn.sndNxt != o.conn.sndEnd {
		t.Fatalf("%v", lens(s))
	}
	o.done()
}

// What was sent in one segment is sent again in one: 500 bytes that a split left over, and 500 of the
// next span.
func TestLostSegmentIsSentAgainWhole(t *testing.T) {
	o := newOne(t).established()
	o.conn.cc.Cwnd = 1 << 20
	o.send(6000, 1500, 0)
	if s := o.out(); !equal(lens(s), 1000, 1000, 1000, 1000, 1000, 1000) {
		t.Fatalf("%v", lens(s))
	}
	o.in(ACK, 1, 1001, 0, Block{2001, 6001})
	if s := o.out(); !equal(lens(s), 1000) || !s[0].Again || s[0].Seq != 1001 {
		t.Errorf("%v", lens(s))
	}
	o.in(ACK, 1, 6001, 0)
	o.done()
}

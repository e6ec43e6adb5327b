package tcp

import (
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
)

// flying is an established Conn with n segments of 1000 bytes in flight, sent
// 1 ms apart, and an RTT of 100 ms.
func flying(t *testing.T, n int) *one {
	t.Helper()
	o := newOne(t)
	o.wnd = 65535
	o.established()
	o.conn.srtt, o.conn.rttvar, o.conn.minRTT = 100*Millisecond, 10*Millisecond, 100*Millisecond
	o.conn.rto = o.conn.timeout(&o.conf)
	o.conn.cc.Cwnd = uint32(n+10) * 1000
	for range n {
		o.send(1000, 1000, 0)
		if len(o.out()) != 1 {
			t.Fatal("did not leave")
		}
		o.env.Now += Millisecond
	}
	o.env.Now += 100*Millisecond - Time(n)*Millisecond
	return o
}

// block i..j of flying's segments, counted from 0.
func block(i, j int) Block { return Block{Seq(1 + 1000*i), Seq(1 + 1000*j)} }

func seqs(all []Segment) (l []int) {
	for _, s := range all {
		l = append(l, int(s.Seq-1)/1000)
	}
	return l
}

func TestRACKFindsTheHole(t *testing.T) {
	o := flying(t, 10)
	o.in(ACK, 1, 1, 0, block(1, 2))
	if s := o.out(); len(s) != 0 || o.conn.phase != open {
		t.Fatalf("one SACK without waiting for reordering: %v", seqs(s))
	}
	if w := o.conn.Deadline() - o.env.Now; w > 30*Millisecond {
		t.Fatalf("reordering timer in %d ms, want about a quarter of the RTT", w/Millisecond)
	}
	o.in(ACK, 1, 1, 0, block(1, 4))
	s := o.out()
	if len(s) != 1 || s[0].Seq != 1 || !s[0].Again || o.conn.phase != fastRecovery {
		t.Fatalf("after three SACKed: %v", seqs(s))
	}
	o.env.Now += 100 * Millisecond
	o.in(ACK, 1, 10001, 0)
	if o.conn.phase != open || o.conn.cc.Cwnd != o.conn.cc.Ssthresh || o.conn.pipe != 0 {
		t.Errorf("phase %d, cwnd %d, ssthresh %d", o.conn.phase, o.conn.cc.Cwnd, o.conn.cc.Ssthresh)
	}
	o.done()
}

func TestRACKReorderingTimer(t *testing.T) {
	o := flying(t, 5)
	o.in(ACK, 1, 1, 0, block(1, 2))
	o.wait()
	if s := o.out(); len(s) != 1 || s[0].Seq != 1 {
		t.Fatalf("after the timer: %v", seqs(s))
	}
	o.done()
}

// RFC 8985, 3.1: the loss of a retransmission is found without a timeout.
func TestRACKFindsALostRetransmission(t *testing.T) {
	o := flying(t, 10)
	o.conn.cc.Cwnd = 100000
	o.in(ACK, 1, 1, 0, block(1, 6))
	if s := o.out(); len(s) != 1 || s[0].Seq != 1 {
		t.Fatalf("%v", seqs(s))
	}
	o.env.Now += 5 * Millisecond
	o.send(1000, 1000, 0)
	if s := o.out(); len(s) != 1 {
		t.Fatalf("no new data in recovery: %v", seqs(s))
	}
	o.env.Now += 100 * Millisecond
	o.in(ACK, 1, 1, 0, block(1, 11)) // new data arrived, the retransmission did not
	if s := o.out(); len(s) != 1 || s[0].Seq != 1 {
		t.Fatalf("%v", seqs(s))
	}
	if o.count.Timeouts != 0 {
		t.Error("a timeout was needed")
	}
	o.done()
}

// Reordering widens the window, and so do DSACKs (RFC 8985, 6.2, step 4).
func TestRACKAdapts(t *testing.T) {
	o := flying(t, 10)
	o.in(ACK, 1, 1, 0, block(1, 3))
	o.in(ACK, 1, 1001, 0, block(1, 3)) // the first was only late
	if !o.conn.has(reordering) {
		t.Fatal("reordering was not seen")
	}
	narrow := o.conn.reoWindow()
	if narrow != o.conn.minRTT/4 {
		t.Fatalf("window %d", narrow)
	}
	o.in(ACK, 1, 3001, 0, block(0, 1)) // DSACK
	if o.count.DSACKRecv != 1 || o.conn.reoWindow() != min(2*narrow, o.conn.srtt) {
		t.Errorf("window %d after a DSACK", o.conn.reoWindow())
	}
	o.done()
}

// Sixteen recoveries without a DSACK, and the window is small again (RFC 8985,
// 6.2, step 4).
func TestRACKForgets(t *testing.T) {
	o := flying(t, 1)
	c := &o.conn
	c.adaptWindow(&acked{dsack: true})
	for i := range 16 {
		if c.reoMult != 2 {
			t.Fatalf("forgotten after %d recoveries", i)
		}
		c.phase = fastRecovery
		c.endRecovery()
	}
	if c.reoMult != 1 {
		t.Errorf("multiplier %d", c.reoMult)
	}
	o.done()
}

// Writes that left in one segment are one segment for DupThresh.
func TestRACKCountsSegments(t *testing.T) {
	o := flying(t, 1)
	o.env.Now -= 99 * Millisecond
	for range 5 { // of frames that nothing can be put into
		f, _ := o.env.Pool.Get()
		o.env.Pool.Share(f)
		o.conn.Send(&o.env, frame.Span{Frame: f, Off: frame.Headroom, Len: 100}, 0)
		o.env.Pool.Release(f)
	}
	if s := o.out(); len(s) != 1 || s[0].Len != 500 {
		t.Fatalf("%+v", s)
	}
	o.env.Now += 100 * Millisecond
	o.in(ACK, 1, 1, 0, Block{1001, 1501})
	if s := o.out(); len(s) != 0 || o.conn.sackedNodes != 5 {
		t.Errorf("%v sent, %d nodes SACKed", seqs(s), o.conn.sackedNodes)
	}
	o.in(ACK, 1, 1501, 0)
	if o.conn.sackedJoined != 0 {
		t.Errorf("%d left", o.conn.sackedJoined)
	}
	o.done()
}

func TestTailLossProbe(t *testing.T) {
	o := flying(t, 3)
	o.env.Now -= 97 * Millisecond
	w := o.wait()
	if s := o.out(); w < 190*Millisecond || w > 210*Millisecond || len(s) != 1 || s[0].Seq != 2001 || o.count.TLPProbes != 1 {
		t.Fatalf("after %d ms: %v", w/Millisecond, seqs(s))
	}
	o.env.Now += 100 * Millisecond
	cwnd := o.conn.cc.Cwnd
	o.in(ACK, 1, 1, 0, block(2, 3)) // the probe arrived: RACK finds the others
	if s := o.out(); len(s) == 0 || s[0].Seq != 1 || o.count.Timeouts != 0 {
		t.Fatalf("%v, %d timeouts", seqs(s), o.count.Timeouts)
	}
	if o.conn.cc.Ssthresh >= cwnd {
		t.Error("the loss was not answered")
	}
	o.done()
}

// The probe itself repaired the loss: that must not go unanswered
// (RFC 8985, 7.4).
func TestTailProbeThatRepairsCounts(t *testing.T) {
	for _, dsack := range []bool{false, true} {
		o := flying(t, 3)
		o.wait()
		o.out()
		o.env.Now += 100 * Millisecond
		if dsack {
			o.in(ACK, 1, 3001, 0, block(2, 3))
		} else {
			o.send(1000, 1000, 0)
			o.out()
			o.in(ACK, 1, 4001, 0)
		}
		if reduced := o.conn.cc.Ssthresh != InitialSsthresh; reduced == dsack {
			t.Errorf("DSACK %v: reduced %v", dsack, reduced)
		}
		o.done()
	}
}

func TestTimeoutBacksOffAndRecovers(t *testing.T) {
	o := flying(t, 10)
	o.conn.flags |= tlpOut
	o.conn.armRetry(&o.env)
	last := Time(0)
	for i := range 4 {
		w := o.wait()
		s := o.out()
		if len(s) != 1 || s[0].Seq != 1 {
			t.Fatalf("timeout %d: %v", i, seqs(s))
		}
		if i > 1 && w != 2*last {
			t.Errorf("timeout %d after %d ms, the one before after %d", i, w/Millisecond, last/Millisecond)
		}
		last = w
	}
	if st := o.conn.Status(); st.Timeouts != 4 || o.conn.Events()&Stalled == 0 || st.Cwnd != 1000 {
		t.Errorf("%+v", st)
	}
	o.env.Now += 50 * Millisecond
	o.in(ACK, 1, 1001, 0)
	if s := o.out(); len(s) != 2 || s[0].Seq != 1001 { // slow start
		t.Errorf("%v", seqs(s))
	}
	o.in(ACK, 1, 10001, 0)
	if o.conn.phase != open || o.conn.timeouts != 0 {
		t.Error("not recovered")
	}
	o.done()
}

func TestDataRetriesThenTimedOut(t *testing.T) {
	o := flying(t, 1)
	n := 0
	for o.conn.state == Established {
		o.wait()
		n += len(o.out())
	}
	if o.count.Timeouts != uint64(o.conf.DataRetries)+1 || o.conn.Err() != TimedOut {
		t.Errorf("%d timeouts, %v", o.count.Timeouts, o.conn.Err())
	}
	o.done()
}

// Eifel: the echoed timestamp is the original's.
func TestSpuriousTimeoutIsUndone(t *testing.T) {
	o := newOne(t)
	o.ts, o.wnd = 1, 65535
	o.established()
	o.conn.cc.Cwnd = 20000
	o.send(5000, 988, 0)
	o.out()
	sent := o.conn.tsVal(&o.env)
	for o.conn.phase != rtoRecovery {
		o.wait()
	}
	o.out()
	if o.conn.cc.Cwnd >= 20000 {
		t.Fatal("no reduction")
	}
	seg := Segment{Seq: peerISS + 1, Ack: o.conn.iss + 989, Wnd: 65535, Flags: ACK}
	seg.Opts = Options{Has: HasTS, TSVal: 2, TSEcr: sent}
	o.conn.Input(&o.env, &seg)
	check(t, o.host)
	if o.conn.phase != open || o.conn.cc.Cwnd < 20000 || o.count.SpuriousRTOs != 1 {
		t.Errorf("phase %d, cwnd %d", o.conn.phase, o.conn.cc.Cwnd)
	}
	o.done()
}

func TestReneging(t *testing.T) {
	o := flying(t, 5)
	o.in(ACK, 1, 1, 0, block(1, 5))
	o.out()
	o.in(ACK, 1, 1001, 0) // and it forgot the rest
	for range 3 {
		o.wait()
		o.out()
	}
	if o.count.SACKReneging != 1 || o.conn.sackedNodes != 0 {
		t.Errorf("%d, %d still marked", o.count.SACKReneging, o.conn.sackedNodes)
	}
	o.in(ACK, 1, 5001, 0)
	o.done()
}

func TestNewReno(t *testing.T) {
	o := newOne(t)
	o.noSACK, o.wnd = true, 65535
	o.established()
	o.send(12000, 1000, 0)
	o.out()
	for i := range 2 { // limited transmit (RFC 3042)
		o.in(ACK, 1, 1, 0)
		if s := o.out(); len(s) != 1 || s[0].Seq != 10001+1000*Seq(i) || o.conn.cc.Cwnd != 10000 {
			t.Fatalf("duplicate %d: %v, window %d", i, seqs(s), o.conn.cc.Cwnd)
		}
	}
	o.in(ACK, 1, 1, 0)
	if s := o.out(); len(s) != 1 || s[0].Seq != 1 {
		t.Fatalf("three duplicates: %v", seqs(s))
	}
	o.in(ACK, 1, 3001, 0) // partial: the next hole
	if s := o.out(); len(s) != 1 || s[0].Seq != 3001 || o.conn.phase != fastRecovery {
		t.Fatalf("partial ACK: %v", seqs(s))
	}
	o.in(ACK, 1, 12001, 0)
	if o.conn.phase != open || o.conn.cc.Cwnd != o.conn.cc.Ssthresh {
		t.Errorf("phase %d", o.conn.phase)
	}
	// What a wrapper says is no duplicate does not count (RFC 8684, 3.3.2).
	o.send(10000, 1000, 0)
	o.out()
	for range 9 {
		o.conn.Input(&o.env, &Segment{Seq: peerISS + 1, Ack: o.conn.iss + 12001, Wnd: 65535, Flags: ACK, NoDup: true})
	}
	if s := o.out(); len(s) > 0 && s[0].Again {
		t.Errorf("%v", seqs(s))
	}
	o.done()
}

// PRR (RFC 6937): the window arrives at Ssthresh, and never more is sent than
// was delivered, plus one segment.
func TestPRR(t *testing.T) {
	o := flying(t, 40)
	o.conn.cc.Cwnd = 40000
	o.send(60000, 1000, 0)
	o.in(ACK, 1, 1, 0, block(1, 5))
	sent, delivered := len(o.out()), 4
	for i := 6; i <= 40; i++ {
		o.env.Now += Millisecond
		o.in(ACK, 1, 1, 0, block(1, i))
		delivered++
		if sent += len(o.out()); sent > delivered+1 {
			t.Fatalf("%d sent, %d delivered", sent, delivered)
		}
	}
	if p, s := o.conn.pipe, o.conn.cc.Ssthresh; p+2000 < s || p > s+1000 {
		t.Errorf("pipe %d, ssthresh %d", p, s)
	}
	o.done()
}

// RFC 6298, section 2, with the floor under the variance.
func TestRTTArithmetic(t *testing.T) {
	o := newOne(t)
	c := &o.conn
	c.sampleRTT(&o.env, 400*Millisecond)
	if c.srtt != 400*Millisecond || c.rttvar != 200*Millisecond || c.rto != 1200*Millisecond {
		t.Errorf("first: %d %d %d", c.srtt, c.rttvar, c.rto)
	}
	c.sampleRTT(&o.env, 240*Millisecond)
	if c.srtt != 380*Millisecond || c.rttvar != 190*Millisecond || c.rto != 1140*Millisecond {
		t.Errorf("second: %d %d %d", c.srtt, c.rttvar, c.rto)
	}
	for range 1000 {
		c.sampleRTT(&o.env, 100*Millisecond)
	}
	if c.rto < c.srtt+o.conf.MinRTO || c.minRTT != 100*Millisecond {
		t.Errorf("steady: %d %d", c.srtt, c.rto)
	}
	c.sampleRTT(&o.env, 3600*Second)
	if c.rto != o.conf.MaxRTO {
		t.Errorf("ceiling: %d", c.rto)
	}
}

func TestIdleRestart(t *testing.T) {
	o := flying(t, 1)
	o.in(ACK, 1, 1001, 0)
	o.conn.cc.Cwnd = 320000
	o.env.Now += 60 * Second
	o.send(100000, 1000, 0)
	if n := len(o.out()); n != 10 {
		t.Errorf("%d segments after idle time, want the initial window", n)
	}
	o.done()
}

func TestACKOfUnsentIsRefused(t *testing.T) {
	o := flying(t, 3)
	o.conn.challengeAt = 0
	if o.in(ACK, 1, 3002, 0) != Unacceptable || o.conn.sndUna != o.conn.iss+1 {
		t.Error("an optimistic ACK was believed")
	}
	if s := o.out(); len(s) != 1 || s[0].Ack != 1 {
		t.Errorf("%+v", s)
	}
	// Lying SACK blocks mark nothing.
	o.in(ACK, 1, 1, 0, Block{1, 900000}, Block{2001, 1001}, Block{3001, 3001})
	if o.conn.sackedNodes != 0 {
		t.Errorf("%d marked", o.conn.sackedNodes)
	}
	o.done()
}

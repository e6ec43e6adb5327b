package tcp

import (
	"fmt"
	"testing"
)

// reach brings a Conn to a state, with nothing owed.
var reach = map[State]func(*one){
	SynSent:     func(o *one) { o.conn.Open(&o.env, testTuple(0), testParams); o.out() },
	SynRcvd:     func(o *one) { o.accept(); o.out() },
	Established: func(o *one) { o.established() },
	FinWait1:    func(o *one) { o.established().conn.Shut(&o.env); o.out() },
	FinWait2: func(o *one) {
		o.established().conn.Shut(&o.env)
		o.out()
		o.in(ACK, 1, 2, 0)
	},
	CloseWait: func(o *one) { o.established().in(FIN|ACK, 1, 1, 0); o.out() },
	Closing: func(o *one) {
		o.established().conn.Shut(&o.env)
		o.out()
		o.in(FIN|ACK, 1, 1, 0)
		o.out()
	},
	LastAck: func(o *one) {
		o.established().in(FIN|ACK, 1, 1, 0)
		o.conn.Shut(&o.env)
		o.out()
	},
	TimeWaitState: func(o *one) {
		o.established().conn.Shut(&o.env)
		o.out()
		o.in(FIN|ACK, 1, 2, 0)
		o.out()
	},
}

// RFC 9293, figure 8.
func TestSimultaneousOpen(t *testing.T) {
	o := newOne(t)
	reach[SynSent](o)
	o.in(SYN, 0, 0, 0)
	if s := o.out(); len(s) != 1 || s[0].Flags != SYN|ACK || s[0].Seq != 0 || s[0].Ack != 1 {
		t.Fatalf("answer to the crossing SYN: %+v", s)
	}
	if o.in(SYN|ACK, 0, 1, 0) != Acceptable || o.conn.state != Established {
		t.Fatalf("state %s", o.conn.state.short())
	}
	if s := o.out(); len(s) != 1 || s[0].Flags != ACK {
		t.Fatalf("%+v", s)
	}
	o.done()
}

func TestSYNIsRetransmittedThenGivenUp(t *testing.T) {
	o := newOne(t)
	reach[SynSent](o)
	var waits []Time
	for o.conn.state == SynSent {
		waits = append(waits, o.wait()/Second)
		if s := o.out(); o.conn.state == SynSent && (len(s) != 1 || s[0].Flags != SYN) {
			t.Fatalf("%+v", s)
		}
	}
	if got := fmt.Sprint(waits); got != "[1 2 4 8 16 32 64]" {
		t.Errorf("waits %s", got)
	}
	if o.conn.Err() != TimedOut || o.conn.Events()&Finished == 0 {
		t.Errorf("err %v", o.conn.Err())
	}
	o.done()
}

func TestRefusedAndUnreachable(t *testing.T) {
	o := newOne(t)
	reach[SynSent](o)
	o.in(RST|ACK, 0, 1, 0)
	if o.conn.state != Closed || o.conn.Err() != Refused {
		t.Errorf("state %d, %v", o.conn.state, o.conn.Err())
	}
	o = newOne(t)
	reach[SynSent](o)
	o.conn.Unreachable(&o.env, o.conn.iss+5, true) // not what we sent
	if o.conn.state != SynSent {
		t.Error("a forged ICMP error was believed")
	}
	o.conn.Unreachable(&o.env, o.conn.iss, true)
	if o.conn.state != Closed || o.conn.Err() != Unreachable {
		t.Errorf("state %d, %v", o.conn.state, o.conn.Err())
	}
	o = newOne(t).established()
	o.send(100, 100, 0)
	o.out()
	o.conn.Unreachable(&o.env, o.conn.sndUna, true)
	if o.conn.state != Established {
		t.Error("an ICMP error ended an established flow (RFC 5927, 5.2)")
	}
	o.done()
}

func TestHalfClose(t *testing.T) {
	o := newOne(t).established()
	o.conn.Shut(&o.env)
	o.out()
	o.in(ACK, 1, 2, 0)
	for i := range 20 { // the answer takes its time
		o.env.Now += 20 * Second
		o.conn.Expire(&o.env)
		if o.in(ACK, Seq(1+100*i), 2, 100) != Acceptable {
			t.Fatal("data refused in FIN-WAIT-2")
		}
		o.out()
	}
	if o.read() != 2000 {
		t.Error("bytes missing")
	}
	o.in(FIN|ACK, 2001, 2, 0)
	if o.conn.state != TimeWaitState || o.conn.Events()&(PeerClosed|Finished) != PeerClosed|Finished {
		t.Errorf("state %s", o.conn.state.short())
	}
	w := o.conn.TimeWait(&o.env)
	if w.SndNxt != o.conn.iss+2 || w.RcvNxt != peerISS+2002 || w.Left(o.env.Now) < 2*o.conf.MSL {
		t.Errorf("%+v", w)
	}
	o.done()
}

func TestOrphanInFinWait2(t *testing.T) {
	o := newOne(t).established()
	o.conn.Shut(&o.env)
	o.out()
	o.in(ACK, 1, 2, 0)
	o.conn.Orphan(&o.env)
	if w := o.wait(); w != o.conf.FinWait2 || o.conn.state != Closed {
		t.Errorf("after %d s: state %s", w/Second, o.conn.state.short())
	}
	o = newOne(t).established()
	o.conn.Shut(&o.env)
	o.conn.Orphan(&o.env)
	o.out()
	o.in(ACK, 1, 2, 100)
	if s := o.out(); len(s) != 1 || s[0].Flags&RST == 0 {
		t.Errorf("data for nobody: %+v", s)
	}
	o.done()
}

func TestAbortSendsAReset(t *testing.T) {
	o := newOne(t).established()
	o.send(500, 100, 0)
	o.out()
	o.conn.Abort(&o.env)
	if o.conn.Events()&Finished != 0 {
		t.Error("Finished before the RST left")
	}
	if s := o.out(); len(s) != 1 || s[0].Flags != RST|ACK || s[0].Seq != 501 {
		t.Fatalf("%+v", s)
	}
	if o.conn.Events()&Finished == 0 || o.conn.Err() != Aborted || o.conn.Deadline() != Never {
		t.Error("not finished")
	}
	o.done()
}

func TestChallengeACKsAreLimitedPerFlow(t *testing.T) {
	o := newOne(t).established()
	for range 100 {
		o.in(SYN, 1, 0, 0)
		o.in(RST, 2, 0, 0)
	}
	if n := len(o.out()); n != 1 || o.count.ChallengeAcks != 1 || o.count.ChallengeSkipped != 199 {
		t.Errorf("%d answers, %d counted, %d skipped", n, o.count.ChallengeAcks, o.count.ChallengeSkipped)
	}
	o.env.Now += o.conf.ChallengeGap
	o.in(SYN, 1, 0, 0)
	if n := len(o.out()); n != 1 {
		t.Errorf("%d answers after the gap", n)
	}
	o.done()
}

package tcp

import (
	"fmt"
	"strings"
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

var stateNames = map[State]string{Closed: "CLOSED", SynSent: "SYN-SENT", SynRcvd: "SYN-RCVD", Established: "ESTAB",
	FinWait1: "FIN-WAIT-1", FinWait2: "FIN-WAIT-2", CloseWait: "CLOSE-WAIT", Closing: "CLOSING", LastAck: "LAST-ACK", TimeWaitState: "TIME-WAIT"}

// kinds of segments: flags, sequence and acknowledgement relative to what is
// expected next and to SND.NXT, payload.
var kinds = []struct {
	name     string
	flags    Flags
	seq, ack Seq
	n        int
}{
	{"ack", ACK, 0, 0, 0},
	{"data", ACK, 0, 0, 100},
	{"fin", FIN | ACK, 0, 0, 0},
	{"syn", SYN, 0, 0, 0},
	{"rst", RST, 0, 0, 0},
	{"rst+1", RST, 1, 0, 0},
	{"noack", 0, 0, 0, 100},
	{"unsent", ACK, 0, 1000, 0},
	{"old", ACK, 0, 0x80000000, 0},
	{"early", ACK, 100, 0, 100},
	{"beyond", ACK, 1 << 30, 0, 100},
}

// answers is, per state and kind, the state after it and what is sent: A an
// ACK, S a SYN-ACK, R a RST, - nothing; ! marks an Unacceptable verdict.
// Notable: only an exact RST resets (RFC 5961, 3.2); a SYN never does (4.2); no
// ACK comes of a pure ACK; data after the peer's FIN changes nothing.
const answers = `
SYN-SENT   ack: SYN-SENT -!  data: SYN-SENT -!  fin: SYN-SENT -!  syn: SYN-RCVD S  rst: SYN-SENT -!  rst+1: SYN-SENT -!  noack: SYN-SENT -!  unsent: SYN-SENT R!  old: SYN-SENT R!  early: SYN-SENT -!  beyond: SYN-SENT -!
SYN-RCVD   ack: ESTAB -      data: ESTAB -      fin: CLOSE-WAIT A  syn: SYN-RCVD A!  rst: CLOSED -  rst+1: SYN-RCVD A!  noack: SYN-RCVD -!  unsent: SYN-RCVD R!  old: SYN-RCVD R!  early: ESTAB A  beyond: SYN-RCVD A!
ESTAB      ack: ESTAB -      data: ESTAB -      fin: CLOSE-WAIT A  syn: ESTAB A!  rst: CLOSED -  rst+1: ESTAB A!  noack: ESTAB -!  unsent: ESTAB A!  old: ESTAB A!  early: ESTAB A  beyond: ESTAB A!
FIN-WAIT-1 ack: FIN-WAIT-2 -  data: FIN-WAIT-2 -  fin: TIME-WAIT A  syn: FIN-WAIT-1 A!  rst: CLOSED -  rst+1: FIN-WAIT-1 A!  noack: FIN-WAIT-1 -!  unsent: FIN-WAIT-1 A!  old: FIN-WAIT-1 A!  early: FIN-WAIT-2 A  beyond: FIN-WAIT-1 A!
FIN-WAIT-2 ack: FIN-WAIT-2 -  data: FIN-WAIT-2 -  fin: TIME-WAIT A  syn: FIN-WAIT-2 A!  rst: CLOSED -  rst+1: FIN-WAIT-2 A!  noack: FIN-WAIT-2 -!  unsent: FIN-WAIT-2 A!  old: FIN-WAIT-2 A!  early: FIN-WAIT-2 A  beyond: FIN-WAIT-2 A!
CLOSE-WAIT ack: CLOSE-WAIT -  data: CLOSE-WAIT A  fin: CLOSE-WAIT A  syn: CLOSE-WAIT A!  rst: CLOSED -  rst+1: CLOSE-WAIT A!  noack: CLOSE-WAIT -!  unsent: CLOSE-WAIT A!  old: CLOSE-WAIT A!  early: CLOSE-WAIT A  beyond: CLOSE-WAIT A!
CLOSING    ack: TIME-WAIT -  data: TIME-WAIT A  fin: TIME-WAIT A  syn: CLOSING A!  rst: CLOSED -  rst+1: CLOSING A!  noack: CLOSING -!  unsent: CLOSING A!  old: CLOSING A!  early: TIME-WAIT A  beyond: CLOSING A!
LAST-ACK   ack: CLOSED -     data: CLOSED -     fin: CLOSED -     syn: LAST-ACK A!  rst: CLOSED -  rst+1: LAST-ACK A!  noack: LAST-ACK -!  unsent: LAST-ACK A!  old: LAST-ACK A!  early: CLOSED -  beyond: LAST-ACK A!
TIME-WAIT  ack: TIME-WAIT -  data: TIME-WAIT A  fin: TIME-WAIT A  syn: TIME-WAIT A!  rst: TIME-WAIT -!  rst+1: TIME-WAIT -!  noack: TIME-WAIT -!  unsent: TIME-WAIT A!  old: TIME-WAIT A!  early: TIME-WAIT A  beyond: TIME-WAIT A!
`

func TestEveryStateAndKindOfSegment(t *testing.T) {
	for line := range strings.Lines(strings.TrimSpace(answers)) {
		w := strings.Fields(line)
		for w, state := w[1:], w[0]; len(w) >= 3; w = w[3:] {
			kind, want := strings.TrimSuffix(w[0], ":"), w[1]+" "+w[2]
			if got := answer(t, state, kind); got != want {
				t.Errorf("%s in %s: %s, want %s", kind, state, got, want)
			}
		}
	}
}

func answer(t *testing.T, state, kind string) string {
	o := newOne(t)
	for s, name := range stateNames {
		if name == state {
			reach[s](o)
			if o.conn.state != s {
				t.Fatalf("state %s instead of %s", stateNames[o.conn.state], name)
			}
		}
	}
	o.conn.challengeAt = 0
	o.conn.quick = 0
	next := o.conn.rcvNxt - peerISS
	if o.conn.state == SynSent {
		next = 0
	}
	s := ""
	for _, k := range kinds {
		if k.name != kind {
			continue
		}
		ack := Seq(0)
		if k.flags&ACK != 0 {
			ack = o.conn.sndNxt - o.conn.iss + k.ack
		}
		mark := ""
		if o.in(k.flags, next+k.seq, ack, k.n) == Unacceptable {
			mark = "!"
		}
		for _, seg := range o.out() {
			switch {
			case seg.Flags&RST != 0:
				s += "R"
			case seg.Flags&SYN != 0:
				s += "S"
			case seg.Len == 0:
				s += "A"
			}
		}
		if s == "" {
			s = "-"
		}
		s = fmt.Sprintf("%s %s%s", stateNames[o.conn.state], s, mark)
	}
	o.done()
	return s
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
		t.Fatalf("state %s", stateNames[o.conn.state])
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
		t.Errorf("state %s", stateNames[o.conn.state])
	}
	w := o.conn.TimeWait(&o.env)
	if w.SndNxt != o.conn.iss+2 || w.RcvNxt != peerISS+2002 || w.Until != o.env.Now+2*o.conf.MSL {
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
		t.Errorf("after %d s: state %s", w/Second, stateNames[o.conn.state])
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

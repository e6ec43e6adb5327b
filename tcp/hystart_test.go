package tcp

import "testing"

// slowly is a flow in its first slow start, whose rounds the test makes.
type slowly struct{ CC }

func newSlowly() *slowly {
	return &slowly{CC{Cwnd: 10000, Ssthresh: InitialSsthresh, MSS: 1000}}
}

// round is a round trip of n ACKs, each of 1000 bytes.
func (s *slowly) round(n int, rtt Time) {
	for i := range n {
		newReno{}.OnAck(&s.CC, AckSample{RTT: rtt, Acked: 1000, Limited: true, Round: i == 0})
	}
}

func (s *slowly) conservative() bool { return s.start.baseline != 0 }

// RFC 9406, 4.2: the threshold is an eighth of the round before, from 4 to 16 ms.
func TestHyStartEntersCSS(t *testing.T) {
	for _, c := range []struct{ before, at Time }{
		{Millisecond, 5 * Millisecond},
		{10 * Millisecond, 14 * Millisecond},
		{32 * Millisecond, 36 * Millisecond},
		{80 * Millisecond, 90 * Millisecond},
		{128 * Millisecond, 144 * Millisecond},
		{400 * Millisecond, 416 * Millisecond},
	} {
		s := newSlowly()
		s.round(8, c.before)
		if s.conservative() {
			t.Errorf("%d us: nothing to compare with", c.before/Microsecond)
		}
		s.round(8, c.at-Microsecond)
		if s.conservative() {
			t.Errorf("%d us: entered below the threshold", c.before/Microsecond)
		}
		s = newSlowly()
		s.round(8, c.before)
		s.round(8, c.at)
		if !s.conservative() {
			t.Errorf("%d us: not entered at %d", c.before/Microsecond, c.at/Microsecond)
		}
		if s.Ssthresh != InitialSsthresh {
			t.Error("slow start ended at once")
		}
	}
}

// Eight samples make a round's RTT, and the least of them is it: one ACK that
// was held up means nothing (N_RTT_SAMPLE).
func TestHyStartNeedsEightSamples(t *testing.T) {
	s := newSlowly()
	s.round(8, 100*Millisecond)
	s.round(7, 200*Millisecond)
	if s.conservative() {
		t.Error("entered after seven samples")
	}
	s.round(1, 300*Millisecond) // of the next round: they do not add up
	if s.conservative() {
		t.Error("entered after one sample of a round")
	}
	s = newSlowly()
	s.round(8, 100*Millisecond)
	s.round(7, 200*Millisecond)
	for range 50 { // one of the round was fast
		newReno{}.OnAck(&s.CC, AckSample{RTT: 101 * Millisecond, Acked: 1000, Limited: true})
		newReno{}.OnAck(&s.CC, AckSample{RTT: 200 * Millisecond, Acked: 1000, Limited: true})
	}
	if s.conservative() {
		t.Error("entered though the least RTT did not rise")
	}
	// ACKs without a sample are none.
	s = newSlowly()
	s.round(8, 100*Millisecond)
	s.round(7, 200*Millisecond)
	for range 50 {
		newReno{}.OnAck(&s.CC, AckSample{Acked: 1000, Limited: true})
	}
	if s.conservative() {
		t.Error("ACKs without RTT were counted")
	}
}

// cautious is a flow in conservative slow start, entered in the midst of a round
// at 120 ms, up from 100.
func cautious(t *testing.T) *slowly {
	t.Helper()
	s := newSlowly()
	s.round(8, 100*Millisecond)
	s.round(8, 120*Millisecond)
	if !s.conservative() {
		t.Fatal("not entered")
	}
	return s
}

// In it the window grows by a quarter of what is acknowledged (CSS_GROWTH_DIVISOR).
func TestHyStartGrowsByAQuarter(t *testing.T) {
	s := newSlowly()
	s.round(8, 100*Millisecond)
	if s.Cwnd != 10000+8*1000 {
		t.Errorf("window %d after 8 segments", s.Cwnd)
	}
	s = cautious(t)
	before := s.Cwnd
	s.round(20, 120*Millisecond)
	if s.Cwnd != before+20*250 {
		t.Errorf("20 segments were acknowledged, and the window went from %d to %d", before, s.Cwnd)
	}
}

// The rise was spurious if a later round is below the RTT with which it began:
// slow start goes on as if nothing had been, and may be left again.
func TestHyStartResumes(t *testing.T) {
	s := cautious(t)
	s.round(7, 119*Millisecond)
	if !s.conservative() {
		t.Fatal("resumed after seven samples")
	}
	newReno{}.OnAck(&s.CC, AckSample{RTT: 119 * Millisecond, Acked: 1000, Limited: true})
	if s.conservative() {
		t.Fatal("not resumed")
	}
	before := s.Cwnd
	s.round(10, 119*Millisecond)
	if s.Cwnd != before+10000 || s.Ssthresh != InitialSsthresh {
		t.Errorf("window from %d to %d with 10 segments, threshold %d", before, s.Cwnd, s.Ssthresh)
	}
	s.round(8, 119*Millisecond+119*Millisecond/8+Microsecond)
	if !s.conservative() {
		t.Error("not entered again")
	}
	// Five rounds count from there, and not from the first time.
	for i := range 4 {
		if s.round(8, 140*Millisecond); s.Ssthresh != InitialSsthresh {
			t.Fatalf("ended after %d rounds", i+1)
		}
	}
	if s.round(1, 140*Millisecond); s.Ssthresh == InitialSsthresh {
		t.Error("not ended after five")
	}
	// The same RTT is not below it.
	s = cautious(t)
	if s.round(8, 120*Millisecond); !s.conservative() {
		t.Error("resumed at the RTT with which it began")
	}
}

// Five rounds of it, the one included in which it was entered, and it is
// congestion avoidance (CSS_ROUNDS).
func TestHyStartEndsAfterFiveRounds(t *testing.T) {
	s := cautious(t) // in the first
	for i := range 4 {
		if s.round(10, 121*Millisecond); s.Ssthresh != InitialSsthresh {
			t.Fatalf("ended with round %d", i+1)
		}
	}
	before := s.Cwnd
	s.round(1, 121*Millisecond) // the first ACK of the sixth
	if s.Ssthresh != before {
		t.Fatalf("threshold %d, window %d", s.Ssthresh, before)
	}
	s.round(10, 121*Millisecond)
	if s.Cwnd > before+1000 {
		t.Errorf("congestion avoidance took the window from %d to %d in a round", before, s.Cwnd)
	}
}

// A loss ends both, and what follows is watched no more: later slow starts have a
// threshold that was found out (RFC 9406, 4.3).
func TestHyStartIsOverWithALoss(t *testing.T) {
	s := cautious(t)
	newReno{}.OnLoss(&s.CC, LossSample{InFlight: s.Cwnd})
	if s.Ssthresh == InitialSsthresh {
		t.Fatal("no threshold")
	}
	s.Cwnd = 2000
	rounds := s.start.rounds
	s.round(3, 300*Millisecond)
	s.round(8, 900*Millisecond)
	if s.start.rounds != rounds {
		t.Error("it counts on")
	}
}

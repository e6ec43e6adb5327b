package tcp

import (
	"strings"
	"testing"
)

// What one ACK in recovery lets out (RFC 6937, 3.1; RFC 9937, 6.2), in segments
// of 1000 bytes. Ssthresh is 10 of them, and 20 were in flight when it began.
func TestPRRWindow(t *testing.T) {
	for _, c := range []struct {
		name           string
		delivered, out uint32 // since recovery began, before this ACK
		now            uint32 // that this ACK delivers
		pipe           uint32 // after it
		safe, force    bool
		send           uint32 // bytes
	}{
		// More in flight than Ssthresh: one for two that arrive.
		{"proportional, first", 0, 0, 1, 18, false, false, 1000},
		{"proportional, even", 1, 1, 1, 18, true, false, 0},
		{"proportional, odd", 2, 1, 1, 17, true, false, 500},              // half a segment is none yet
		{"proportional, a stretched ACK", 4, 2, 6, 11, true, false, 3000}, // 10*10/20 less the 2 before
		{"proportional, nothing to send before", 7, 1, 1, 12, true, false, 3000},
		{"proportional, ahead of it", 2, 4, 1, 16, true, false, 0},
		// Less: as many as arrive (CRB) while losses are found.
		{"CRB", 4, 4, 1, 5, false, false, 1000},
		{"CRB, a stretched ACK", 4, 4, 3, 5, false, false, 3000},
		{"CRB, what was not sent before", 6, 3, 1, 5, false, false, 4000}, // 7 - 3
		{"CRB, up to Ssthresh", 10, 3, 1, 7, false, false, 3000},
		{"CRB, ahead of it", 4, 9, 1, 5, false, false, 1000}, // never less than this ACK delivers
		// And one more with progress and without a loss (SSRB), as slow start does.
		{"SSRB", 4, 4, 1, 5, true, false, 2000},
		{"SSRB, a stretched ACK", 4, 4, 3, 5, true, false, 4000},
		{"SSRB, what was not sent before", 6, 3, 1, 4, true, false, 5000},
		{"SSRB, up to Ssthresh", 4, 4, 1, 9, true, false, 1000},
		{"at Ssthresh", 4, 4, 1, 10, true, false, 0},
		// The first retransmission goes in any case, and what is forced.
		{"the first", 0, 0, 1, 10, false, false, 1000},
		{"an ACK that delivers nothing", 4, 4, 0, 15, false, false, 0},
		{"forced", 4, 4, 0, 15, false, true, 1000},
	} {
		o := newOne(t)
		o.established()
		f := &o.conn
		f.ctl = NewReno
		f.cc.MSS, f.cc.Ssthresh = 1000, 10000
		f.prrDelivered, f.prrOut, f.prrFlight = c.delivered*1000, c.out*1000, 20000
		f.pipe = c.pipe * 1000
		f.reduce(c.now*1000, c.safe, c.force)
		if n := f.cc.Cwnd - f.pipe; n != c.send {
			t.Errorf("%s: %d bytes may go, want %d", c.name, n, c.send)
		}
		f.pipe = 0
		o.done()
	}
}

// halved is a NewReno flow with 20 segments in flight, a window of as many, and
// more to send.
func halved(t *testing.T) *one {
	t.Helper()
	o := flying(t, 20)
	o.conn.ctl, o.conn.cc.Cwnd = NewReno, 20000
	o.send(60000, 1000, 0)
	return o
}

// row is what leaves with each ACK: N new, R again, both or none (.). first is
// the first segment that was not lost; SACKs for all behind come one by one.
func (o *one) row(first, end int) string {
	var b strings.Builder
	for i := first; i < end; i++ {
		o.env.Now += Millisecond
		o.in(ACK, 1, 1, 0, block(first, i+1))
		b.WriteString(letters(o.out()))
	}
	return b.String()
}

func letters(all []Segment) (s string) {
	for _, seg := range all {
		if seg.Again {
			s += "R"
		} else {
			s += "N"
		}
	}
	if s == "" {
		return "."
	}
	return s
}

// The first of 20 segments is lost: two new ones by limited transmit, the lost
// one again, and then one for each two ACKs, until the half of the flight is left
// (RFC 6937, 4, first example; with the third ACK half a segment is due, but the
// retransmission goes in any case). Not a pause of half a round trip first, and not a
// burst at its end.
func TestPRROfOneLoss(t *testing.T) {
	o := halved(t)
	if got, want := o.row(1, 20), "NNR..N.N.N.N.N.N..N"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if o.conn.cc.Ssthresh != 10000 {
		t.Errorf("Ssthresh %d", o.conn.cc.Ssthresh)
	}
	// 20 + 2 less the lost one and 19 SACKed ones, and 1 + 7 since.
	if o.conn.pipe != 10000 {
		t.Errorf("%d in flight after a round trip", o.conn.pipe)
	}
	o.env.Now += 100 * Millisecond
	o.in(ACK, 1, 20001, 0)
	if o.conn.cc.Cwnd != 10000 {
		t.Errorf("window %d after recovery", o.conn.cc.Cwnd)
	}
	o.done()
}

// The first 15 are lost: far less than Ssthresh is in flight when that is found,
// and a window of Ssthresh at once would be a burst into a queue that has just
// overflowed. As many leave as arrive, one for each SACK; two for each ACK that
// makes progress, until Ssthresh is reached (RFC 6937, 4, second example).
func TestPRROfManyLosses(t *testing.T) {
	o := halved(t)
	if got, want := o.row(15, 20), "NNRRR"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// 22 were sent, 15 lost, 5 arrived, 3 sent again.
	if o.conn.pipe != 5000 {
		t.Fatalf("%d in flight, Ssthresh %d", o.conn.pipe, o.conn.cc.Ssthresh)
	}
	o.env.Now += 90 * Millisecond
	if o.in(ACK, 1, 1, 0, block(15, 22)); letters(o.out()) != "RR" {
		t.Error("the two of limited transmit arrived: two may go")
	}
	got := ""
	pipes := []uint32{}
	for i := 1; i <= 8; i++ {
		o.env.Now += Millisecond
		o.in(ACK, 1, Seq(1+1000*i), 0, block(15, 22))
		got += letters(o.out()) + " "
		pipes = append(pipes, o.conn.pipe)
	}
	// One is gone with each ACK, two leave: from 5 to 10 in five ACKs. From there on
	// one leaves for each, and when all 15 were sent again they are new ones.
	if want := "RR RR RR RR RR N N N "; got != want || o.conn.pipe != 10000 {
		t.Errorf("%s, want %s; in flight %v", got, want, pipes)
	}
	o.done()
}

package tcp

import "testing"

// rater is a sampler with the nodes that it stamps, 1000 bytes each. Its clock
// counts milliseconds. What was delivered wraps soon.
type rater struct {
	rate
	nodes []Node
	pipe  uint32
}

const raterMinRTT = 100

func newRater() *rater { return &rater{rate: rate{delivered: 1<<32 - 4500}} }

func (r *rater) moment(ms int) Time { return Second + Time(ms)*Millisecond }

// send sends new nodes.
func (r *rater) send(ms, n int) {
	for range n {
		r.nodes = append(r.nodes, Node{})
		r.stamp(ms, len(r.nodes)-1, r.pipe == 0)
	}
}

// again sends a node that was lost.
func (r *rater) again(ms, i int) {
	r.pipe -= 1000
	r.stamp(ms, i, false)
}

func (r *rater) stamp(ms, i int, idle bool) {
	n := &r.nodes[i]
	n.sent = r.moment(ms)
	r.rate.send(n, n.sent, r.pipe, idle)
	r.pipe += 1000
}

// ack delivers nodes from i up to j, which is not one of them.
func (r *rater) ack(ms, i, j int) RateSample {
	var s rated
	for k := i; k < j; k++ {
		s.take(&r.nodes[k])
		r.pipe -= 1000
	}
	return r.rate.sample(&s, r.moment(ms), raterMinRTT*Millisecond, uint32(j-i)*1000)
}

// told verifies a sample: bytes delivered in ms.
func told(t *testing.T, name string, s RateSample, bytes uint32, ms Time) {
	t.Helper()
	if s.Bytes != bytes || s.Interval != ms*Millisecond {
		t.Errorf("%s: %d bytes in %d us, want %d in %d ms", name, s.Bytes, s.Interval/Microsecond, bytes, ms)
	}
}

// Ten segments in a round trip of 100 ms are 100 bytes per ms. The first flight
// cannot show it yet: its interval begins when the first segment left, as the
// flow had been silent (draft-cheng-iccrg-delivery-rate-estimation-02, 3.2).
func TestRateIsTheWindowPerRoundTrip(t *testing.T) {
	r := newRater()
	for k := range 10 {
		r.send(k, 1)
	}
	for k := range 10 {
		s := r.ack(100+k, k, k+1)
		told(t, "first flight", s, uint32(k+1)*1000, Time(100+k))
		r.send(100+k, 1)
	}
	for k := range 10 {
		s := r.ack(200+k, 10+k, 11+k)
		told(t, "second flight", s, 10000, 100)
		if s.Prior != uint32(k+1)*1000-4500 || s.Total != s.Prior+10000 {
			t.Errorf("from %d to %d", s.Prior, s.Total)
		}
	}
}

// A segment each 10 ms, and ACKs that come in bunches. One that leaves in the
// midst of a bunch is acknowledged 100 ms later, and in the meantime 15 were
// delivered: but what those were sent in, 150 ms, is the longer time and the
// right one (draft, 2.2: ACK compression).
func TestRateSurvivesAggregatedACKs(t *testing.T) {
	r := newRater()
	const period, rtt = 10, raterMinRTT
	acked, samples := 0, 0
	deliver := func(now int) {
		s := r.ack(now, acked, acked+1)
		if acked++; s.Interval == 0 {
			return
		}
		samples++
		if rate := int64(s.Bytes) * int64(Millisecond) / int64(s.Interval); rate > 1000/period {
			t.Errorf("ACK of %d at %d ms: %d bytes in %d us, that is %d per ms where the path carries %d",
				acked-1, now, s.Bytes, s.Interval/Microsecond, rate, 1000/period)
		}
		if acked-1 == 25 {
			told(t, "sent within the bunch", s, 15000, 150)
		}
	}
	for now := 0; now < 600; now += period {
		held := now >= 200 && now < 250 || now >= 410 && now < 480
		if !held && acked*period+rtt <= now {
			deliver(now)
		}
		r.send(now, 1)
		for !held && acked*period+rtt <= now {
			deliver(now)
		}
	}
	if samples != 50 {
		t.Errorf("%d samples, of 50", samples)
	}
	// One ACK for many is one sample, of the newest of them.
	told(t, "stretched", r.ack(690, acked, 60), 10000, 100)
}

// What is sent while the application leaves the path idle tells nothing of its
// rate, and neither does what follows until all that was in flight has arrived
// (draft, 3.4).
func TestRateKnowsWhenTheApplicationIsSlow(t *testing.T) {
	r := newRater()
	r.send(0, 10)
	r.starve(r.moment(0)) // nothing more to send, though the window has room
	r.send(50, 1)         // 10: 10000 bytes were in flight
	if s := r.ack(100, 0, 10); s.Limited {
		t.Error("sent before the pause, and limited")
	}
	r.send(120, 1) // 11: the bubble is still on its way
	if s := r.ack(150, 10, 11); !s.Limited {
		t.Error("sent after the pause, and not limited")
	}
	r.send(160, 1) // 12: it has arrived
	if s := r.ack(220, 11, 12); !s.Limited {
		t.Error("sent while the bubble was on its way, and not limited")
	}
	if s := r.ack(260, 12, 13); s.Limited {
		t.Error("limited for ever")
	}
	// A writer that is always in time for the next segment leaves no bubble.
	r.send(300, 5)
	r.starve(r.moment(300))
	r.send(300, 1)
	if s := r.ack(400, 13, 19); s.Limited {
		t.Error("it had more at once, and is limited")
	}
	// One ACK of some that were limited and one that was not: the newest counts.
	r.starve(r.moment(400))
	r.send(450, 2) // 19, 20
	told(t, "after silence", r.ack(550, 19, 20), 1000, 100)
	r.send(560, 1) // 21
	if s := r.ack(660, 20, 22); s.Limited {
		t.Error("the newest was not limited")
	}
	// What was limited and is sent again is judged by its last sending.
	r.starve(r.moment(700))
	r.send(710, 1) // 22, lost
	r.send(720, 1) // 23
	r.ack(820, 23, 24)
	r.send(830, 1) // 24
	r.ack(930, 24, 25)
	r.again(940, 22)
	if s := r.ack(1040, 22, 23); s.Limited {
		t.Error("what was sent again was not limited, and is")
	}
}

// What is sent again is measured from its last sending.
func TestRateOfARetransmission(t *testing.T) {
	r := newRater()
	r.send(0, 4)
	told(t, "SACKed", r.ack(100, 1, 4), 3000, 100)
	r.again(110, 0)
	told(t, "sent again", r.ack(210, 0, 1), 1000, 110) // since 100, when the others had arrived

	// It was not lost: what arrives 20 ms after it was sent again is the
	// original. Its time from then is none that a path could need, but the one in
	// which what arrives was sent is long enough.
	r = newRater()
	r.send(0, 4)
	r.ack(100, 1, 4)
	r.again(130, 0)
	told(t, "sent again needlessly", r.ack(150, 0, 1), 1000, 130)
}

// No path delivers in less than its least round trip (draft, 3.3).
func TestRateOfTooShortAnInterval(t *testing.T) {
	r := newRater()
	r.send(0, 2)
	if s := r.ack(raterMinRTT-1, 0, 1); s.Interval != 0 || s.Total != r.delivered {
		t.Errorf("%d bytes in %d us", s.Bytes, s.Interval/Microsecond)
	}
	told(t, "a whole round trip", r.ack(raterMinRTT, 1, 2), 2000, raterMinRTT)
}

// What was SACKed is delivered then, and not once more when it is acknowledged;
// what is lost counts as lost.
func TestRateCountsWhatIsSACKedOnce(t *testing.T) {
	o := flying(t, 10)
	r := &o.conn.cc.rate
	before := r.delivered
	for _, c := range []struct {
		ack             Seq
		blocks          []Block
		delivered, lost uint32
	}{
		{1, []Block{block(2, 5)}, 3000, 2000},
		{1, []Block{block(2, 5)}, 3000, 2000},              // once more
		{1, []Block{block(7, 8), block(2, 5)}, 4000, 4000}, // with it 5 and 6 are found lost, too
		{5001, []Block{block(7, 8)}, 6000, 4000},           // only 0 and 1 are new in it
		{10001, nil, 10000, 4000},
	} {
		o.in(ACK, 1, c.ack, 0, c.blocks...)
		if got := r.delivered - before; got != c.delivered || r.lost != c.lost {
			t.Errorf("ACK %d, %v: %d delivered, %d lost, want %d and %d", c.ack, c.blocks, got, r.lost, c.delivered, c.lost)
		}
	}
	o.done()
}

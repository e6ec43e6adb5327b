package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// short is one short flow from host 1 to host 0 over a link that drops chosen
// packets.
type short struct {
	seed     uint64
	delay    Time
	segments int
	drops    map[int]int // how often: a segment by its number, or a class
	jitter   Time
	sack, ts bool
	ctl      uint8
}

// Classes of packets that a drop names.
const (
	dropSYN = -1 - iota
	dropSYNACK
	dropFIN
	dropACK // and the numbers below it: the receiver's n-th segment after its SYN
)

func newShort(seed uint64) *short {
	r := rand.New(rand.NewPCG(seed, 99))
	s := &short{seed: seed, delay: [...]Time{1, 10, 50, 150}[r.IntN(4)] * Millisecond, drops: map[int]int{}}
	s.segments = 10 + r.IntN(91)
	if r.IntN(4) == 0 {
		s.segments = 1 + r.IntN(10)
	}
	s.sack, s.ts = r.IntN(8) != 0, r.IntN(4) != 0
	s.ctl = [...]uint8{CUBIC, NewReno}[r.IntN(2)]
	if r.IntN(4) == 0 {
		s.jitter = s.delay / 4
	}
	at := r.IntN(s.segments)
	for n := 1 + r.IntN(5); n > 0; n-- {
		switch r.IntN(16) {
		case 0:
			s.drops[dropSYN]++
		case 1:
			s.drops[dropSYNACK]++
		case 2:
			s.drops[dropFIN]++
		case 3, 4, 5:
			s.drops[dropACK-r.IntN(s.segments)]++
		case 6, 7, 8, 9:
			at = min(at+1, s.segments-1)
			s.drops[at]++
		case 10, 11:
			s.drops[at]++
		case 12:
			s.drops[s.segments-1]++
		default:
			at = r.IntN(s.segments)
			s.drops[at]++
		}
	}
	return s
}

func (s *short) String() string {
	return fmt.Sprintf("seed %d: delay %d ms, jitter %d, %d segments, SACK %v, TS %v, ctl %d, drops %v", s.seed, s.delay/Millisecond, s.jitter/Microsecond, s.segments, s.sack, s.ts, s.ctl, s.drops)
}

// run returns how long it took until the receiver had everything.
func (s *short) run(t *testing.T, lossy, trace bool) (took Time, c Counters) {
	left := map[int]int{}
	if lossy {
		for k, n := range s.drops {
			left[k] = n
		}
	}
	acks := 0
	l := link{delay: s.delay, jitter: s.jitter, rate: 125e6}
	var p *pair
	l.drop = func(to int, seg *Segment) bool {
		k := 0
		switch {
		case seg.Flags&(SYN|ACK) == SYN|ACK:
			k = dropSYNACK
		case seg.Flags&SYN != 0:
			k = dropSYN
		case to == 1:
			k = dropACK - acks
			acks++
		case seg.Flags&FIN != 0 && left[dropFIN] > 0:
			k = dropFIN
		default:
			k = int(seg.Seq-p.h[1].conn.iss-1) / 1448
			if !s.ts {
				k = int(seg.Seq-p.h[1].conn.iss-1) / 1460
			}
		}
		if left[k] > 0 {
			left[k]--
			if trace {
				t.Logf("drop %d", k)
			}
			return true
		}
		return false
	}
	p = &pair{t: t, now: Second, rnd: rand.New(rand.NewPCG(s.seed, s.seed)), link: l, trace: trace}
	for i := range p.h {
		p.h[i] = newHost(s.seed+uint64(i), DefaultConfig(), 256)
		h := p.h[i]
		h.conf.NoSACK, h.conf.NoTimestamps, h.conf.Controller = !s.sack, !s.ts, s.ctl
		h.piece = 1448
		if !s.ts {
			h.piece = 1460
		}
	}
	p.h[1].toSend, p.h[1].shut, p.h[0].shut = s.segments*p.h[1].piece, true, true
	p.open()
	start := p.now
	if !p.run(1000*Second, func() bool { return p.h[0].ev&PeerClosed != 0 }) {
		t.Fatalf("%v: not done", s)
	}
	took = p.now - start
	c = p.h[1].count
	if p.h[0].got != p.h[1].toSend {
		t.Errorf("%v: %d bytes", s, p.h[0].got)
	}
	if !p.run(1000*Second, func() bool { return p.h[0].ev&p.h[1].ev&Finished != 0 }) {
		t.Fatalf("%v: does not close", s)
	}
	p.finish()
	return took, c
}

// bound is what the losses may cost at most, by the arithmetic of the timers: each
// lost SYN its timeout; then, for the same segment over and over, a probe in place
// of the first RTO and RTOs that double; and round trips, for what is found lost
// one after the other and for a smaller window.
func (s *short) bound(ideal Time) Time {
	rtt := 2*s.delay + s.jitter
	var handshake, others int
	var wait Time
	for k, n := range s.drops {
		switch k {
		case dropSYN, dropSYNACK:
			handshake += n
		case dropACK: // the handshake's third: the RTT is measured too long
			handshake += n
			others += n
		default:
			others += n
		}
	}
	rto := max(4*rtt, rtt+200*Millisecond)
	if handshake > 0 {
		wait = Second<<handshake - Second
		rto = 3*Second + 2*rtt // RFC 6298, 5.7
	}
	if others > 0 {
		if wait += rto << (others - 1); !s.sack { // no probe in place of the first
			wait += rto<<(others-1) - rto
		}
	}
	return 2*ideal + wait + Time(2*others+6*handshake)*rtt
}

// Whatever is lost of a short flow, up to five packets anywhere: it is over
// when the timers explain it.
func TestShortFlows(t *testing.T) {
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 150
	}
	var worst Time
	for seed := range seeds {
		s := newShort(seed)
		ideal, _ := s.run(t, false, false)
		took, c := s.run(t, true, false)
		if took > s.bound(ideal) {
			t.Errorf("%v: %d ms instead of %d, at most %d is explained; %d RTO, %d TLP", s, took/Millisecond, ideal/Millisecond,
				s.bound(ideal)/Millisecond, c.Timeouts, c.TLPProbes)
		}
		worst = max(worst, (took-ideal)*100/(s.bound(ideal)-ideal))
	}
	t.Logf("the worst of %d seeds took %d%% of what is explained", seeds, worst)
}

// Every two losses of a short flow, of segments or ACKs, without reordering: no
// timeout unless a retransmission was lost and nothing followed it, no needless
// retransmission but a probe.
func TestTwoLosses(t *testing.T) {
	for _, n := range []int{6, 14} {
		for _, ts := range []bool{true, false} {
			clean := short{seed: 1, delay: 20 * Millisecond, segments: n, sack: true, ts: ts, ctl: CUBIC}
			ideal, _ := clean.run(t, false, false)
			for i := range 2 * n {
				for j := i; j < 2*n; j++ {
					if i == n || j == n {
						continue // the handshake's third ACK: its loss lengthens the first RTT sample
					}
					s := clean
					s.drops = map[int]int{}
					sent := 0
					for _, k := range [...]int{i, j} {
						if k < n {
							sent++
						} else {
							k = dropACK - (k - n)
						}
						s.drops[k]++
					}
					took, c := s.run(t, true, false)
					const rtt, rto = 40 * Millisecond, 240 * Millisecond
					// PRR lets one hole be repaired at once, and the other when
					// that is acknowledged.
					most, again := 2*rtt+rtt/2, uint64(sent)+c.TLPProbes
					if c.TLPProbes > 0 {
						most += rto + rtt // the probe, and what its SACK shows
					}
					if i == j && i < n {
						most += rto
					} else if c.Timeouts > 0 {
						t.Errorf("%v: %d timeouts", &s, c.Timeouts)
					}
					if took-ideal > most || c.RetransSegs > again {
						t.Errorf("%v: %d ms more than without loss; %d segments again, %d TLP, %d RTO", &s, (took-ideal)/Millisecond, c.RetransSegs, c.TLPProbes, c.Timeouts)
					}
				}
			}
		}
	}
}

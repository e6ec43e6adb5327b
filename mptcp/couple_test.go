package mptcp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// reckon is what the papers say, in their own terms: for windows in segments,
// the gain on an increase of 1/w, and what a loss leaves.
var reckon = map[string]func(w, rtt, clean []float64, i int) (gain, keep float64){
	"lia": func(w, rtt, _ []float64, i int) (float64, float64) {
		total, best, sum := 0.0, 0.0, 0.0
		for k := range w {
			total += w[k]
			best = max(best, w[k]/rtt[k]/rtt[k])
			sum += w[k] / rtt[k]
		}
		alpha := total * best / sum / sum
		return min(alpha/total, 1/w[i]) * w[i], 0.5
	},
	"olia": func(w, rtt, clean []float64, i int) (float64, float64) {
		widest, best, sum := 0.0, 0.0, 0.0
		for k := range w {
			widest, best = max(widest, w[k]), max(best, clean[k]/rtt[k]/rtt[k])
			sum += w[k] / rtt[k]
		}
		var m, collected float64
		for k := range w {
			if w[k] == widest {
				m++
			} else if clean[k]/rtt[k]/rtt[k] == best {
				collected++
			}
		}
		a := 0.0
		switch n := float64(len(w)); {
		case collected == 0:
		case w[i] == widest:
			a = -1 / n / m
		case clean[i]/rtt[i]/rtt[i] == best:
			a = 1 / n / collected
		}
		return min((w[i]/rtt[i]/rtt[i]/sum/sum+a/w[i])*w[i], 1), 0.5
	},
	"balia": func(w, rtt, _ []float64, i int) (float64, float64) {
		most, sum := 0.0, 0.0
		for k := range w {
			most = max(most, w[k]/rtt[k])
			sum += w[k] / rtt[k]
		}
		x := w[i] / rtt[i]
		a := most / x
		return x / rtt[i] / sum / sum * (1 + a) / 2 * (4 + a) / 5 * w[i], 1 - min(a, 1.5)/2
	},
}

// parts does what active does with the flows of a connection.
func parts(w, rtt, clean []float64) (subs []Coupled) {
	sum := 0.0
	for k := range w {
		sum += w[k] / rtt[k]
	}
	for k := range w {
		subs = append(subs, Coupled{Window: uint32(w[k] * 1000), RTT: uint64(rtt[k] * 1e6), Clean: uint32(clean[k]),
			Part: uint64(max(w[k]/rtt[k]/sum*one, 1))})
	}
	return subs
}

// TestCouplings compares the integers with the formulas, and with one subflow they
// are NewReno (RFC 8684, 3.3.7).
func TestCouplings(t *testing.T) {
	seed := uint64(1)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 20_000 {
		n := 1 + r.IntN(8)
		var w, rtt, clean []float64
		for range n {
			w = append(w, math.Floor(2*math.Pow(1e4, r.Float64())))
			rtt = append(rtt, math.Floor(200*math.Pow(1e4, r.Float64()))/1e6)
			clean = append(clean, math.Floor(1e3*math.Pow(1e5, r.Float64())))
		}
		for _, k := range couplings[1:] {
			subs := parts(w, rtt, clean)
			k.Couple(subs)
			for i, v := range subs {
				gain, keep := reckon[k.Name()](w, rtt, clean, i)
				got, kept := float64(v.Gain)/whole, float64(v.Keep)/whole
				if v.Keep == 0 {
					kept = 0.5
				}
				if math.Abs(got-gain) > 0.004+math.Abs(gain)/100 || math.Abs(kept-keep) > 0.004 {
					t.Fatalf("seed %d, round %d, %s, %d of %d: gain %f, want %f; keeps %f, want %f\nwindows %v\nrtts %v\nclean %v",
						seed, round, k.Name(), i, n, got, gain, kept, keep, w, rtt, clean)
				}
				if v.Gain == 0 || n == 1 && v.Gain != whole {
					t.Fatalf("%s: gain %d of %d subflows", k.Name(), v.Gain, n)
				}
			}
		}
	}
}

// TestCouplingBounds: the largest and smallest that a flow can have.
func TestCouplingBounds(t *testing.T) {
	for _, k := range couplings[1:] {
		for _, window := range []uint32{1, 1 << 30} {
			for _, rtt := range []uint64{1, 1 << 27} {
				subs := make([]Coupled, maxViews)
				for i := range subs {
					subs[i] = Coupled{Window: 1 << 30, RTT: 1, Part: one / maxViews, Clean: 1<<32 - 1}
				}
				subs[0] = Coupled{Window: window, RTT: rtt, Part: 1}
				k.Couple(subs)
				for i, v := range subs {
					if v.Gain == 0 || v.Gain > whole || v.Gain < -whole || v.Keep > whole {
						t.Errorf("%s, window %d, rtt %d, subflow %d: %+v", k.Name(), window, rtt, i, v)
					}
				}
			}
		}
	}
}

// TestCouple: a connection is coupled from its second subflow on, until it is
// left with one.
func TestCouple(t *testing.T) {
	w := newWorld(t, 41, &path{up: true, delay: 5 * tcp.Millisecond, rate: 2e6}, &path{up: true, delay: 20 * tcp.Millisecond, rate: 2e6})
	w.srv.set.conf.Coupling = LIA
	c, s := w.pair(0, 4<<20)
	c.keepOpen, s.keepOpen = true, true
	see := func(when string, subflows int, ctl uint8, coupled bool) {
		t.Helper()
		n := 0
		w.srv.set.EachFlow(s.c, func(f Flow) {
			n++
			st := w.srv.set.Tcp(f).Status()
			if st.Control != ctl || coupled != (st.Gain != 0) {
				t.Errorf("%s: controller %d, gain %d", when, st.Control, st.Gain)
			}
		})
		if n != subflows {
			t.Errorf("%s: %d subflows", when, n)
		}
	}
	w.after(300*tcp.Millisecond, func() {
		see("with one", 1, tcp.CUBIC, false)
		if !w.join(c.c, 1, 2000, false) {
			t.Error("no join")
		}
	})
	w.after(1300*tcp.Millisecond, func() {
		see("with two", 2, tcp.NewReno, true)
		w.paths[1].up = false
		w.cli.set.EachFlow(c.c, func(f Flow) {
			if tup := w.cli.tuples[f]; tup.LocalPort == 2000 {
				w.cli.set.kill(&w.cli.env, w.cli.set.owner(w.cli.set.flow(f)), w.cli.set.flow(f), Unspecified)
			}
		})
		w.paths[1].up = true
	})
	end := w.now + 1600*tcp.Millisecond
	w.run(10*tcp.Second, func() bool { return w.now >= end })
	see("with one again", 1, tcp.CUBIC, false)
	if !w.srv.set.SetCoupling(&w.srv.env, s.c, BALIA) || w.srv.set.SetCoupling(&w.srv.env, s.c, BALIA+1) || w.srv.set.SetCoupling(&w.srv.env, 0, LIA) {
		t.Error("SetCoupling takes what it should not, or not what it should")
	}
	w.run(60*tcp.Second, func() bool { return c.got == 4<<20 })
	if c.got != 4<<20 || c.bad {
		t.Errorf("got %d bytes, bad %v", c.got, c.bad)
	}
}

package mptcp

import (
	"math/bits"

	"github.com/mpxd/mpxd/tcp"
)

// Coupling lets the subflows of a connection grow together as one TCP flow
// does, so that two over one bottleneck take no more than one flow's share of it,
// and moves traffic to the less congested paths (RFC 8684, 3.3.7; RFC 6356, 2). It is data: a gain
// on NewReno's growth, and what a loss leaves of the window. It has no
// state: what it may know is in the subflows it is shown.
type Coupling interface {
	Name() string
	// Couple sets Gain and Keep of each subflow.
	Couple(subs []Coupled)
}

// Coupled is a subflow as coupling sees it.
type Coupled struct {
	Window uint32 // the congestion window in bytes
	RTT    uint64 // smoothed, in microseconds, from 1 to 2^27
	Part   uint64 // of the rate of all, window over round trip, in 1/one
	Clean  uint32 // bytes between its last two losses, or since the last, if more

	Gain int16  // of NewReno's growth, in 1/1024
	Keep uint16 // of the window after a loss, in 1/1024; 0: a half

	index uint32
}

// Numbers of the couplings. 0 is none: subflows know nothing of each other.
const (
	LIA uint8 = iota + 1
	OLIA
	BALIA
)

var couplings = [...]Coupling{LIA: lia{}, OLIA: olia{}, BALIA: balia{}}

// CouplingByName is the number of a coupling; false: there is none of that name.
func CouplingByName(name string) (uint8, bool) {
	for i, k := range couplings[1:] {
		if k.Name() == name {
			return uint8(i + 1), true
		}
	}
	return 0, false
}

// CouplingNames are the names that CouplingByName knows.
func CouplingNames() (names []string) {
	for _, k := range couplings[1:] {
		names = append(names, k.Name())
	}
	return names
}

// whole is a gain of 1, and one the rate of all.
const (
	whole = 1 << 10
	one   = 1 << 24
)

// SetCoupling chooses the coupling of a connection; 0 is none. False: it is gone,
// or there is no such coupling.
func (s *Set) SetCoupling(e *tcp.Env, h Conn, n uint8) bool {
	c := s.conn(h)
	if c == nil || int(n) >= len(couplings) {
		return false
	}
	if c.coupling != 0 && n == 0 {
		s.uncouple(e, c)
	}
	c.coupling, c.coupleAt = n, 0
	return true
}

// coupleEvery is how often a connection with one subflow looks for a second.
const coupleEvery = 10 * tcp.Millisecond

// couple recomputes, once in the shortest round trip (RFC 6356, 4: more often
// is not needed), how the subflows of a connection grow. While only one is usable the
// connection is a TCP flow, with the configured controller. From the second
// on all are NewReno, which is what coupling is defined for.
func (s *Set) couple(e *tcp.Env, c *conn) {
	if c.coupling == 0 || e.Now < c.coupleAt {
		return
	}
	usable := 0
	for i := c.first; i != 0; i = s.flows.At(i).next {
		if s.flows.At(i).usable() {
			usable++
		}
	}
	if usable < 2 {
		c.coupleAt = e.Now + coupleEvery
		s.uncouple(e, c)
		return
	}
	subs, rtt := s.active(e, c)
	c.coupleAt = e.Now + max(rtt, tcp.Millisecond)
	if len(subs) == 0 {
		return
	}
	couplings[c.coupling].Couple(subs)
	for i := range subs {
		v := &subs[i]
		s.flows.At(v.index).tcp.Couple(v.Gain, v.Keep)
	}
}

// uncouple gives each subflow back to itself.
func (s *Set) uncouple(e *tcp.Env, c *conn) {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		sf.tcp.Couple(0, 0)
		sf.tcp.Control(e, 0)
	}
}

// active are the subflows that load their paths now, and the shortest of their
// round trips. One without data under way takes nothing from anybody; until it
// has some again its gain is what it was last.
func (s *Set) active(e *tcp.Env, c *conn) (subs []Coupled, shortest tcp.Time) {
	subs = s.coupled[:0]
	var sum uint64
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if !sf.usable() || len(subs) == cap(subs) {
			continue
		}
		sf.tcp.Control(e, tcp.NewReno)
		st := sf.tcp.Status()
		sf.lossless(&st)
		if st.SRTT == 0 || st.Unacked == 0 || sf.stale {
			continue
		}
		v := Coupled{Window: max(st.Cwnd, 1), RTT: uint64(min(max(st.SRTT/tcp.Microsecond, 1), 1<<27)), Clean: sf.clean, index: sf.self}
		if st.Recovery {
			v.Window = min(v.Window, st.Ssthresh) // what it will be
		}
		v.Part = uint64(v.Window) << 28 / v.RTT // a window is at most 2^30: 2^63 all together
		sum += v.Part
		if shortest == 0 || st.SRTT < shortest {
			shortest = st.SRTT
		}
		subs = append(subs, v)
	}
	for i := range subs {
		hi, lo := bits.Mul64(subs[i].Part, one)
		part, _ := bits.Div64(hi, lo, sum)
		subs[i].Part = max(part, 1)
	}
	return subs, shortest
}

// lossless keeps how many bytes went without loss, between two reductions of
// the window or since the last.
func (sf *subflow) lossless(st *tcp.Status) {
	if st.Reduced != sf.reduced {
		sf.clean, sf.reduced = uint32(st.Reduced-sf.reduced), st.Reduced
	}
	if n := int32(st.SndUna - sf.reduced); n > 0 {
		sf.clean = max(sf.clean, uint32(n))
	}
}

package tcp

// CC is the congestion state of a flow, in bytes. It is inline in the Conn:
// controllers keep no state of their own. What only one of them uses is kept
// in few and short words: times in 32 bits wrap, differences of them do not.
type CC struct {
	Cwnd     uint32
	Ssthresh uint32
	MSS      uint32
	// Gain scales NewReno's growth in congestion avoidance, in 1/1024; below 0
	// the window shrinks instead. Keep is what NewReno leaves of the window after a
	// loss, in 1/1024. 0 is RFC 5681's: 1024 and 512. Couple sets both.
	Gain int16
	Keep uint16
	// Pace is the rate at which segments leave, in bytes of payload per
	// second; 0: as fast as the window lets them. A rate beyond 32 bits, 34
	// Gbit/s, needs none.
	Pace uint32

	rate  rate
	acc   uint32 // acknowledged bytes not yet turned into growth, scaled; less than Cwnd
	start hystart
	cubic cubicState
	saved saved
	model model
}

// saved is what OnUndo restores.
type saved struct {
	cwnd, ssthresh uint32
	cubic          cubicState
}

// InitialSsthresh is "arbitrarily high" (RFC 5681, 3.1).
const InitialSsthresh = 1<<32 - 1

// maxCwnd bounds growth: no flow has more in flight than its sequence space
// lets it have.
const maxCwnd = 1 << 30

// AckSample is what an ACK told, passed by value.
type AckSample struct {
	Now      Time
	RTT      Time // 0: no sample
	SRTT     Time
	MinRTT   Time
	Rate     RateSample
	Acked    uint32 // bytes newly acknowledged, cumulatively or by SACK
	Lost     uint32 // bytes this ACK showed to be lost
	InFlight uint32 // before this ACK
	Pipe     uint32 // in flight after it
	Limited  bool   // the congestion window was in use (RFC 7661; RFC 9438, 5.8)
	Held     bool   // the peer's window, not ours, is what holds new data up
	Round    bool   // a round trip began with this ACK
	Recovery bool   // in loss recovery: PRR rules the window
	Open     bool   // neither loss nor timeout is being recovered from
}

// LossSample begins a recovery.
type LossSample struct {
	Now      Time
	InFlight uint32
	ECN      bool // a router marked a segment; nothing was lost
	// Again: what timed out belongs to a window of data for which Ssthresh was set when
	// its first loss was found. Cwnd is what PRR has left of it, and no measure.
	Again bool
}

// IdleSample tells of a flow that sends again with nothing outstanding.
type IdleSample struct {
	Now    Time
	Idle   Time // since it last sent
	RTO    Time
	Window uint32 // the initial window
}

// Controller is a congestion control algorithm without state of its own.
//
//   - Init sets what the algorithm needs; Cwnd, Ssthresh and MSS are set. rtt
//     is the handshake's, 0 if it could not be measured.
//   - OnAck grows Cwnd; in recovery it leaves it alone.
//   - OnLoss sets Ssthresh; PRR (RFC 6937) leads the window there. After a mark
//     of ECN there is no recovery: it sets Cwnd as well.
//   - OnRTO sets Ssthresh, once per window of data, and Cwnd to one segment (RFC 5681, 3.1).
//   - OnIdle adapts Cwnd to a silence.
//   - OnUndo restores what the last OnLoss or OnRTO changed, after it proved
//     spurious.
//   - Leads reports whether OnAck leads Cwnd, and Pace, at all times: then
//     there is neither PRR nor Ssthresh.
type Controller interface {
	Name() string
	Init(cc *CC, now, rtt Time)
	OnAck(*CC, AckSample)
	OnLoss(*CC, LossSample)
	OnRTO(*CC, LossSample)
	OnIdle(*CC, IdleSample)
	OnUndo(*CC)
	Leads() bool
}

// Numbers of the controllers; 0 is the configured default.
const (
	CUBIC uint8 = iota + 1
	NewReno
	BBR
)

var controllers = [...]Controller{CUBIC: cubic{}, NewReno: newReno{}, BBR: bbr{}}

// ControllerByName is the number of a controller; false: there is none of
// that name.
func ControllerByName(name string) (uint8, bool) {
	for i, ctl := range controllers[1:] {
		if ctl.Name() == name {
			return uint8(i + 1), true
		}
	}
	return 0, false
}

// ControllerNames are the names that ControllerByName knows.
func ControllerNames() (names []string) {
	for _, ctl := range controllers[1:] {
		names = append(names, ctl.Name())
	}
	return names
}

func (c *Conn) control() Controller { return controllers[c.ctl] }

// grow adds to the window in slow start or says that it is up to congestion
// avoidance.
func (cc *CC) grow(s AckSample) (avoid bool) {
	if cc.Ssthresh == InitialSsthresh {
		cc.start.sample(cc, s)
	}
	if s.Recovery || !s.Limited {
		return false
	}
	if cc.Cwnd >= cc.Ssthresh {
		return true
	}
	// Byte counting without the limit of RFC 3465: receivers that coalesce
	// (GRO) acknowledge whole bursts, and HyStart++ guards the end.
	cc.Cwnd = min(cc.Cwnd+cc.start.slow(s.Acked), cc.Ssthresh, maxCwnd)
	return false
}

// increase adds to the window num bytes for each window of acknowledged ones.
// What is left of the division waits for the next ACK.
func (cc *CC) increase(num uint64, acked uint32) {
	n := uint64(cc.acc) + num*uint64(acked)
	w := uint64(max(cc.Cwnd, 1))
	cc.acc = uint32(n % w)
	cc.Cwnd = uint32(min(uint64(cc.Cwnd)+n/w, maxCwnd))
}

// decrease takes from the window what increase would add.
func (cc *CC) decrease(num uint64, acked uint32) {
	n, w := num*uint64(acked), uint64(max(cc.Cwnd, 1))
	if n <= uint64(cc.acc) {
		cc.acc -= uint32(n)
		return
	}
	n -= uint64(cc.acc)
	k := (n + w - 1) / w
	cc.acc = uint32(k*w - n)
	cc.Cwnd = uint32(max(int64(cc.Cwnd)-int64(k), int64(2*cc.MSS)))
	cc.Ssthresh = min(cc.Ssthresh, cc.Cwnd) // it is no slow start
}

// reduce notes the state for undo and sets Ssthresh to num/den of the window.
func (cc *CC) reduce(s LossSample, num, den uint32) {
	cc.saved = saved{cc.Cwnd, cc.Ssthresh, cc.cubic}
	if s.Again {
		return
	}
	cc.Ssthresh = max(uint32(uint64(cc.Cwnd)*uint64(num)/uint64(den)), 2*cc.MSS)
	cc.start = hystart{}
	cc.acc = 0
	if s.ECN {
		// At once: what was marked has arrived, so that there is no recovery
		// that could lead the window there.
		cc.Cwnd = min(cc.Cwnd, cc.Ssthresh)
	}
}

// shrink is for windows that nobody has tested for a while: half for each RTO,
// not below the initial window (RFC 5681, 4.1; RFC 2861, 3.1).
func (cc *CC) shrink(s IdleSample) {
	if cc.Cwnd <= s.Window || s.Idle <= s.RTO {
		return
	}
	cc.Ssthresh = max(cc.Ssthresh, cc.Cwnd/4*3)
	for idle := s.Idle; idle > s.RTO && cc.Cwnd > s.Window; idle -= s.RTO {
		cc.Cwnd = max(cc.Cwnd/2, s.Window)
	}
}

func (cc *CC) undo() {
	cc.Cwnd = max(cc.Cwnd, cc.saved.cwnd)
	cc.Ssthresh = max(cc.Ssthresh, cc.saved.ssthresh)
	cc.cubic = cc.saved.cubic
}

// micros and millis are times for fields of 32 bits.
func micros(t Time) uint32 { return uint32(t / Microsecond) }
func millis(t Time) uint32 { return uint32(t / Millisecond) }

package tcp

// CC is the congestion state of a flow, in bytes. It is inline in the Conn:
// controllers keep no state of their own.
type CC struct {
	Cwnd     uint32
	Ssthresh uint32
	MSS      uint32
	// Gain scales the growth in congestion avoidance, in 1/1024; 0 means
	// 1024. Coupling writes it, tcp never learns why.
	Gain uint32

	start hystart
	saved saved
	acc   uint64 // acknowledged bytes not yet turned into growth, scaled
	cubic cubicState
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
	Acked    uint32 // bytes newly acknowledged, cumulatively or by SACK
	InFlight uint32 // before this ACK
	RTT      Time   // 0: no sample
	SRTT     Time
	MinRTT   Time
	Limited  bool // the congestion window was in use (RFC 7661; RFC 9438, 5.8)
	Round    bool // a round trip began with this ACK
	Recovery bool // in loss recovery: PRR rules the window
}

// LossSample begins a recovery.
type LossSample struct {
	Now      Time
	InFlight uint32
	ECN      bool
}

// Controller is a congestion control algorithm without state of its own.
//
//   - Init sets what the algorithm needs; Cwnd, Ssthresh and MSS are set.
//   - OnAck grows Cwnd; in recovery it leaves it alone.
//   - OnLoss sets Ssthresh; PRR (RFC 6937) leads the window there.
//   - OnRTO sets Ssthresh, and Cwnd to one segment (RFC 5681, 3.1).
//   - OnUndo restores what the last OnLoss or OnRTO changed, after it proved
//     spurious.
type Controller interface {
	Name() string
	Init(*CC)
	OnAck(*CC, AckSample)
	OnLoss(*CC, LossSample)
	OnRTO(*CC, LossSample)
	OnUndo(*CC)
}

// Numbers of the controllers; 0 is the configured default.
const (
	CUBIC uint8 = iota + 1
	NewReno
)

var controllers = [...]Controller{CUBIC: cubic{}, NewReno: newReno{}}

// grow adds to the window in slow start or, by avoid, in congestion avoidance.
func (cc *CC) grow(s AckSample) (avoid bool) {
	cc.start.sample(cc, s)
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

// reduce notes the state for undo and sets Ssthresh to num/den of the window.
func (cc *CC) reduce(num, den uint32) {
	cc.saved = saved{cc.Cwnd, cc.Ssthresh, cc.cubic}
	cc.Ssthresh = max(uint32(uint64(cc.Cwnd)*uint64(num)/uint64(den)), 2*cc.MSS)
	cc.start = hystart{}
	cc.acc = 0
}

func (cc *CC) undo() {
	cc.Cwnd = max(cc.Cwnd, cc.saved.cwnd)
	cc.Ssthresh = max(cc.Ssthresh, cc.saved.ssthresh)
	cc.cubic = cc.saved.cubic
}

// gain is Gain with its default.
func (cc *CC) gain() uint64 {
	if cc.Gain == 0 {
		return 1024
	}
	return uint64(cc.Gain)
}

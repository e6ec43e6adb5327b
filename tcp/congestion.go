package tcp

// CC is the congestion state of a flow, in bytes. It is inline in the Conn; controllers own Priv.
type CC struct {
	Cwnd     uint32
	Ssthresh uint32
	MSS      uint32
	// Gain scales the growth of congestion avoidance, in 1/1024: coupling writes it, tcp never learns why.
	Gain uint32
	Priv [6]uint64
}

// InitialSsthresh is "arbitrarily high" (RFC 5681, 3.1).
const InitialSsthresh = 1<<32 - 1

// AckSample is what an ACK told, passed by value.
type AckSample struct {
	Now      Time
	Acked    uint32 // bytes newly acknowledged, cumulatively or by SACK
	InFlight uint32 // before this ACK
	RTT      Time   // 0: no sample
	SRTT     Time
	MinRTT   Time
	Limited  bool // the congestion window was in use when the data was sent (RFC 9438, 5.8; RFC 7661)
	Round    bool // a round trip began with this ACK
	Recovery bool // in loss recovery: PRR rules the window
}

// LossSample begins a recovery: the controller sets Ssthresh (and keeps what OnUndo needs).
type LossSample struct {
	Now      Time
	InFlight uint32
	ECN      bool
}

// Controller is a congestion control algorithm without state of its own. OnLoss sets Ssthresh only; the window is led
// there by PRR. OnRTO sets Ssthresh and Cwnd to one segment (RFC 5681, 3.1). OnUndo restores both after a
// recovery or timeout that proved spurious.
type Controller interface {
	Name() string
	Init(*CC, *Config)
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

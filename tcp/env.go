package tcp

import (
	"math/rand/v2"

	"github.com/mpxd/mpxd/internal/frame"
)

// Env is what a shard lends to every call. One per shard; the pointer is not
// kept.
type Env struct {
	Now   Time // read once per turn
	Pool  *frame.Pool
	Nodes *Nodes
	Rand  *rand.ChaCha8
	Conf  *Config
	Count *Counters
	// Windows is what the flows may promise together.
	Windows Budget
}

// Config holds what all flows of a shard share. The zero value is not usable:
// start from DefaultConfig.
type Config struct {
	Secret [32]byte // keys ISNs, timestamp offsets and ports; random per start

	RcvBuf   uint32 // bytes a flow's receive buffer may grow to
	RcvStart uint32 // bytes it begins with
	SndBuf   uint32 // bytes a flow's send queue may grow to

	InitialWindow uint32 // segments (RFC 6928)
	MinRTO        Time
	MaxRTO        Time
	InitialRTO    Time // RFC 6298, 2.1
	DelAck        Time // RFC 9293, 3.8.6.3: at most 500 ms
	MSL           Time // TIME-WAIT lasts 2 MSL

	SynRetries    uint8 // SYN retransmissions before giving up
	SynAckRetries uint8 // SYN-ACK retransmissions: fewer, it may be a forger whom we answer
	DataRetries   uint8 // consecutive RTOs before giving up (R2)
	PersistFor    Time  // how long a peer may keep its window shut without taking an eighth of what waits
	UserTimeout   Time  // how long data may wait unacknowledged, in the same sense (RFC 5482); 0: as DataRetries and PersistFor say
	KeepIdle      Time  // idle time before the first keepalive probe; 0 is off
	KeepInterval  Time
	KeepProbes    uint8
	FinWait2      Time   // how long an orphaned FIN-WAIT-2 lasts, and how long an orphan may be without progress
	MinMSS        uint16 // an MSS below it is taken as it (CVE-2019-11477)
	ChallengeGap  Time   // least distance of two challenge ACKs of one flow
	NoTimestamps  bool
	NoSACK        bool
	Controller    uint8 // congestion controller of new flows: CUBIC, NewReno or BBR
	Pace          bool  // pace CUBIC and NewReno too
	ECN           uint8 // ECNOff, ECNOn or ECNAccept
}

// DefaultConfig is what production starts from.
func DefaultConfig() Config {
	return Config{
		RcvBuf: 4 << 20, RcvStart: 128 << 10,
		SndBuf:        4 << 20,
		InitialWindow: 10,
		MinRTO:        200 * Millisecond, // Linux's; RFC 6298, 2.4 says 1 s
		MaxRTO:        120 * Second,
		InitialRTO:    Second,
		DelAck:        40 * Millisecond,
		MSL:           30 * Second,
		SynRetries:    6, SynAckRetries: 5, DataRetries: 15,
		PersistFor: 5 * 60 * Second,
		KeepIdle:   2 * 60 * Second, KeepInterval: 15 * Second, KeepProbes: 8,
		FinWait2:     60 * Second,
		MinMSS:       216,
		ChallengeGap: 500 * Millisecond,
		Controller:   CUBIC,
		ECN:          ECNAccept,
	}
}

// Params are what a new flow learns from its route.
type Params struct {
	// MSS is what we announce: the largest payload we want to receive, TCP
	// options not counted (RFC 6691).
	MSS uint16
	// PathMSS bounds what we send in a segment, options counted: MTU of the
	// route less IP and TCP header.
	PathMSS    uint16
	Controller uint8  // 0: Config's
	RcvBuf     uint32 // 0: Config's
	SndBuf     uint32 // 0: Config's
	// Wrapped: SetWindow will rule the window, and the wrapper answers for the
	// memory.
	Wrapped     bool
	UserTimeout Time // 0: Config's
	NoKeepAlive bool // RFC 9293, 3.8.4, MUST-24: the application can turn it off
	// ISN, if HasISN, is the initial sequence number to use: a tuple taken
	// over from TIME-WAIT must begin beyond the old flow.
	ISN    Seq
	HasISN bool
	// Answered: the SYN-ACK, with ISN, has been sent as a cookie.
	Answered bool
}

package tcp

// Conn is one flow. It holds no Go pointers and is meant to live in a slab.
//
// The sending side's sequence space:
//
//	     sndUna            sndNxt              sndEnd
//	-------|-----------------|-------------------|------
//	 acked   in flight, lost   queued, not sent
//	         or sacked         (FIN included)
//
// The receiving side's:
//
//	              rcvNxt            rcvAdv
//	----|-----------|-----------------|------
//	     waits for    out of order:     not promised
//	     Recv         may be held
type Conn struct {
	cc CC

	// Timers. 0 is off. Exactly one of the retry kinds runs at a time.
	retryAt   Time
	reorderAt Time // RACK's
	ackAt     Time // delayed ACK
	idleAt    Time // keepalive
	waitAt    Time // FIN-WAIT-2 of an orphan, TIME-WAIT
	release   Time // when pacing lets the next burst go; a timer if paceWait

	lastIn      Time // when an acceptable segment last came
	lastOut     Time // when payload, SYN or FIN last left
	rtoBase     Time // when the retransmission timer was last restarted
	stall       Stall
	challengeAt Time // no challenge ACK before it
	tsRecentAt  Time

	srtt, rttvar, rto Time
	minRTT, minRTTAt  Time
	longest           Time // Persevere
	rackSent, rackRTT Time // RFC 8985, 5.2: of the newest delivered node

	iss, sndUna, sndNxt, sndEnd Seq
	wl1, wl2                    Seq // SND.WL1, SND.WL2 (RFC 9293, 3.3.1)
	cwrEnd                      Seq // what lies before was sent before the window was last reduced
	recover                     Seq // recovery ends when it is acknowledged
	roundEnd                    Seq // a round trip ends when it is acknowledged
	limitedEnd                  Seq // what lies before it was sent with the congestion window in use
	rackEnd                     Seq
	fack                        Seq // the highest delivered
	dsackRound                  Seq
	tlpEnd                      Seq
	undoTS                      uint32 // timestamp of the first retransmission
	undoFrom                    Seq    // SND.UNA when recovery began
	lostEnd                     Seq    // the highest found lost
	undone                      Seq    // no other undo before it is acknowledged
	rstSeq                      Seq
	userTimeout                 uint32 // ms (RFC 5482); 0: none

	sndWnd, maxWnd uint32
	shutAt         uint32 // since when the peer's window is closed, in ms; 0: it is not
	credit         uint32
	sndBuf         uint32
	sndq           queue
	fresh          uint32 // first node of sndq never sent; 0: none
	flight, gone   chain  // nodes in flight by time of sending; lost ones by sequence number
	goneHint       uint32 // the node last found lost, if it still is
	pipe           uint32 // bytes in flight (RFC 6675), that is of the nodes in flight
	goneBytes      uint32
	sackedNodes    uint32
	sackedJoined   uint32 // of them those that were not the first of their segment
	hint           uint32 // a node of sndq near the last SACK block
	prrDelivered   uint32
	prrOut         uint32
	prrFlight      uint32
	sackSeen       [4]Block // blocks already entered in the scoreboard

	irs, rcvNxt, rcvAdv Seq
	lastAck             Seq    // Last.ACK.sent (RFC 7323, 4.3)
	finSeq              Seq    // of the peer's FIN
	rcv                 Sizing // the receive buffer
	rcvBytes            uint32
	advertise, accept   uint32 // SetWindow
	rcvRTT              uint32 // round trip as the receiver sees it, in us; 0: not known
	rttMark             uint32 // rcvRTT: the last echo, or the sequence number that ends the measurement
	rttAt               uint32 // when it began, without timestamps, in us
	rcvq, ofoq          queue
	early               tree     // of ofoq
	untold              uint32   // the last of the nodes of ofoq that no SACK block told of
	blocks              [4]Block // islands of ofoq, the most recent first
	dsack               Block

	tsRecent, tsOffset uint32

	flags   flags
	path    pathSearch
	events  Event
	owe     owed
	nBlocks uint8
	dupAcks uint16
	// undoLeft is how many retransmissions no DSACK has reported yet.
	undoLeft uint16

	// peerMSS is what the peer takes, and once established no more than the link does.
	peerMSS, pathMSS, ourMSS uint16
	rcvMSS                   uint16 // largest payload seen: what "full-sized" means for delayed ACKs

	state                State
	err                  Reason
	ctl                  uint8
	phase                phase
	retryKind            retryKind
	timeouts, probes     uint8
	quick                uint8 // ACKs still sent at once
	dupOwed              uint8 // duplicate ACKs owed to a peer without SACK
	sndScale, rcvScale   uint8
	reoMult, reoPersist  uint8
	reserveData, reserve uint8
	retries              uint8 // Persevere
}

// flags are facts about a flow.
type flags uint32

const (
	useSACK flags = 1 << iota
	useTS
	useScale
	passive    // began with Accept
	shut       // the application ended our side
	finQueued  // sndq ends with the FIN
	finKnown   // finSeq is valid
	orphan     // nobody will Recv
	ownWindow  // SetWindow rules
	ownCredit  // Credit rules
	reordering // the network reorders (RFC 8985, 5.2)
	roundDSACK // dsackRound is valid
	hasDSACK   // dsack is owed
	tlpOut     // tlpEnd is valid
	tlpAgain   // the probe was a retransmission
	undoKnown  // undoTS is valid
	undoPast   // the ACK whose echo tells whether the recovery was spurious has come
	undoDSACK  // undoFrom and undoLeft are valid
	softError  // an ICMP error came while connecting
	windowShut // Output found the peer's window closed
	synAgain   // our SYN was retransmitted
	paceWait   // nothing leaves before release
	paceLags   // release lies behind because the flow was woken late
	forward    // F-RTO: the timeout may be found spurious
	forwardNew // and new data goes to find out
	partial    // no SACK: a partial ACK came in this recovery
	useECN     // both ends agreed on it
	ecnAsked   // our SYN asks for it
	echoCE     // the peer's data was marked, and it has not slowed down yet
	oweCWR     // new data tells the peer that we have
	cwrKnown   // cwrEnd is valid
	noKeep     // no keepalive
)

// owed is what Output must send when it is next called.
type owed uint8

const (
	oweRST owed = 1 << iota
	oweSYN
	oweACK
	oweProbe // window or keepalive probe
	oweTail  // tail loss probe
)

func (c *Conn) has(f flags) bool { return c.flags&f != 0 }

// State is the state of RFC 9293.
func (c *Conn) State() State { return c.state }

// Err says why a Finished flow ended.
func (c *Conn) Err() Reason { return c.err }

// Events returns and clears what changed.
func (c *Conn) Events() Event {
	ev := c.events
	c.events = 0
	return ev
}

// Reserve keeps option bytes free for the wrapper: on segments with payload
// and on pure ACKs (fewer SACK blocks).
func (c *Conn) Reserve(onData, onAck int) {
	// Timestamps take 12 of the 40.
	c.reserveData = uint8(min(max(onData, 0), MaxOptions-12))
	c.reserve = uint8(min(max(onAck, 0), MaxOptions-12))
	c.cc.MSS = c.mss()
}

// AckNow makes Output yield an ACK even if none is owed.
func (c *Conn) AckNow() {
	if c.synchronized() {
		c.owe |= oweACK
	}
}

// synchronized: both sides know each other's sequence numbers, and we still
// have something to say.
func (c *Conn) synchronized() bool { return c.state >= Established }

// mss is the payload of a full segment.
func (c *Conn) mss() uint32 {
	n := uint32(min(c.peerMSS, c.pathMSS))
	n -= min(n, uint32(c.tsRoom()))
	// Options take at most 40 bytes and Config.MinMSS is far above: the floor
	// only guards against a careless Config.
	return max(n-min(n, uint32(c.reserveData)), 1)
}

// tsRoom is what the timestamp option takes, padding included.
func (c *Conn) tsRoom() int {
	if c.has(useTS) {
		return 12
	}
	return 0
}

// Status is what schedulers and people want to know of a flow.
type Status struct {
	State     State
	Peer      uint32 // the peer's window in bytes, as last announced
	MSS       uint32 // payload of a full segment now, after Reserve
	Cwnd      uint32 // bytes
	InFlight  uint32 // bytes (RFC 6675 pipe)
	Unsent    uint32 // bytes queued and never sent
	Unacked   uint32 // bytes sent and not cumulatively acknowledged
	Delivered uint32 // bytes, cumulatively acknowledged or by SACK, so far; it wraps
	SRTT      Time   // 0: no sample yet
	RTTVar    Time
	MinRTT    Time
	RTO       Time
	Timeouts  uint8  // consecutive RTOs without progress
	Ssthresh  uint32 // bytes
	Pace      uint32 // bytes per second; 0: not paced
	Burst     uint32 // bytes that leave at once; 0: not paced
	ISS, IRS  Seq
	SndUna    Seq
	SndNxt    Seq
	RcvNxt    Seq
	Reduced   Seq // what lies before was sent before the window was last reduced
	Recovery  bool
	Control   uint8 // number of the controller
	Gain      int16 // of Couple
	SndWScale uint8
	RcvWScale uint8
}

// Status returns a snapshot.
func (c *Conn) Status() Status {
	return Status{
		State: c.state, Peer: c.sndWnd, MSS: c.mss(), Cwnd: c.cc.Cwnd,
		InFlight: c.inFlight(), Unsent: uint32(c.sndEnd - c.sndNxt), Unacked: uint32(c.sndNxt - c.sndUna),
		Delivered: c.cc.rate.delivered,
		SRTT:      c.srtt, RTTVar: c.rttvar, MinRTT: c.minRTT, RTO: c.rto, Timeouts: c.timeouts,
		Ssthresh: c.cc.Ssthresh, Pace: c.cc.Pace, Burst: c.cc.burst(),
		ISS: c.iss, IRS: c.irs, SndUna: c.sndUna, SndNxt: c.sndNxt, RcvNxt: c.rcvNxt,
		Reduced: c.cwrEnd, Recovery: c.phase != open, Control: c.ctl, Gain: c.cc.Gain, SndWScale: c.sndScale, RcvWScale: c.rcvScale,
	}
}

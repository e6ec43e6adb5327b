package tcp

import "github.com/mpxd/mpxd/internal/frame"

// Conn is one flow. It holds no Go pointers and is meant to live in a slab.
type Conn struct {
	state State
}

// Open begins an active open: Output then yields the SYN.
func (c *Conn) Open(e *Env, t *Tuple, p Params) { panic("not written") }

// Accept begins a passive open with a SYN that was found to be for us: Output
// then yields the SYN-ACK.
func (c *Conn) Accept(e *Env, t *Tuple, p Params, syn *Segment) { panic("not written") }

// Input takes a segment whose checksum was verified.
func (c *Conn) Input(e *Env, seg *Segment) Verdict { panic("not written") }

// Output names the next segment to send now, and takes it as sent; false: nothing (more) to send.
// Payload is named by seg.Run: the caller sends the span if it is Whole, or Gathers it. Call until false.
func (c *Conn) Output(e *Env, seg *Segment) bool { panic("not written") }

// Expire runs what is due at e.Now. Extra calls are no-ops.
func (c *Conn) Expire(e *Env) { panic("not written") }

// Deadline is when Expire is to be called next, or Never. A flow that may send now says so by Output, not here.
func (c *Conn) Deadline() Time { panic("not written") }

// Send appends a span to the send queue (retaining its frame). Bytes with different marks never share a segment.
// False: the queue's limit is reached or the sending side is closed; nothing was taken.
func (c *Conn) Send(e *Env, d frame.Span, mark uint64) bool { panic("not written") }

// Recv takes the next in-order span: the caller now holds its frame. at is the sequence number of its first byte.
func (c *Conn) Recv(e *Env) (d frame.Span, at Seq, ok bool) { panic("not written") }

// Shut ends our sending side: a FIN follows what is queued.
func (c *Conn) Shut(e *Env) { panic("not written") }

// Abort drops all that is queued; Output yields a RST if the state owes one, then the flow is Finished.
func (c *Conn) Abort(e *Env) { panic("not written") }

// Free releases every node and frame. The Conn is then the zero value.
func (c *Conn) Free(e *Env) { panic("not written") }

// Events returns and clears what changed.
func (c *Conn) Events() Event { panic("not written") }

// Err says why a Finished flow ended.
func (c *Conn) Err() Reason { panic("not written") }

// State is the state of RFC 9293.
func (c *Conn) State() State { return c.state }

// Room is how many bytes Send still takes.
func (c *Conn) Room() uint32 { panic("not written") }

// Readable is how many in-order bytes wait for Recv.
func (c *Conn) Readable() uint32 { panic("not written") }

// SetWindow overrides flow control for a wrapper: advertise is the window (bytes) told to the peer from now on,
// accept how many bytes beyond RCV.NXT are taken. Before its first call both follow the receive buffer. Calling it
// does not send anything; AckNow does.
func (c *Conn) SetWindow(advertise, accept uint32) { panic("not written") }

// Credit lets n more bytes of new data go whatever the peer's window says. From the first call on only credit counts,
// retransmissions are exempt from any window, and persist is the wrapper's business.
func (c *Conn) Credit(n uint32) { panic("not written") }

// Reserve keeps option bytes free for the wrapper: on segments with payload and on pure ACKs (fewer SACK blocks).
func (c *Conn) Reserve(onData, onAck int) { panic("not written") }

// AckNow makes Output yield an ACK even if none is owed.
func (c *Conn) AckNow() { panic("not written") }

// Unreachable tells of an ICMP error whose quoted sequence number is seq: hard or soft (RFC 5927).
func (c *Conn) Unreachable(e *Env, seq Seq, hard bool) { panic("not written") }

// SetPathMSS lowers (never below the configured floor) what a segment may carry after a validated ICMP
// packet-too-big that quoted seq; it reports whether seq was in flight (RFC 5927, 4).
func (c *Conn) SetPathMSS(e *Env, seq Seq, mss uint16) bool { panic("not written") }

// Status is what schedulers and people want to know of a flow.
type Status struct {
	State     State
	Peer      uint32 // the peer's window in bytes, as last announced
	MSS       uint32 // payload of a full segment now, after Reserve
	Cwnd      uint32 // bytes
	InFlight  uint32 // bytes (RFC 6675 pipe)
	Unsent    uint32 // bytes queued and never sent
	Unacked   uint32 // bytes sent and not cumulatively acknowledged
	SRTT      Time   // 0: no sample yet
	MinRTT    Time
	RTO       Time
	Timeouts  uint8 // consecutive RTOs without progress
	ISS, IRS  Seq
	SndUna    Seq
	SndNxt    Seq
	RcvNxt    Seq
	Recovery  bool
	SndWScale uint8
	RcvWScale uint8
}

// Status returns a snapshot.
func (c *Conn) Status() Status { panic("not written") }

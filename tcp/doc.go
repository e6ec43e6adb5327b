// Package tcp is one TCP flow as a value: a state machine without clock,
// goroutine, lock, socket or log.
//
// Time, randomness, memory, counters and configuration arrive with every call
// in an [Env]. A [Conn] keeps no Go pointers: queued bytes are named by
// frame.Span and linked through the shard's [Nodes].
//
// The verbs of a Conn and their contract:
//
//   - Open or Accept begins a flow.
//   - Input takes one segment that passed checksum validation. It borrows the
//     segment's spans and says whether it was acceptable.
//   - Output is called while the port has room, until it reports false. Each
//     call names one segment to send now.
//   - Expire runs what is due at Env.Now; extra calls are no-ops.
//   - Deadline says when Expire wants to be called next.
//   - Send, Recv, Shut, Abort are the application's side.
//   - Events tells, once, what changed since it was last asked.
//   - Orphan says that nobody will Recv any more.
//   - Free gives everything back.
//
// Where it deviates from the RFCs it says why: a retransmission timeout's floor
// lies under the variance (rto.go), PAWS forgives what was merely overtaken
// and a missing timestamp (timestamp.go), window probes carry no byte
// (output.go), payload of a SYN is not taken (open.go). A retransmission that is lost, too, does not
// lower ssthresh a second time, as RFC 5681, 4.3 has it: one window of data is one sign
// of congestion, as in Linux (recovery.go).
//
// Nagle's algorithm is not there (RFC 9293, 3.7.4, SHLD-7: "SHOULD implement"). It is for applications that write
// in small pieces; ours is a relay, which passes on whole bursts as they came, so that a small segment is the end
// of one: to hold it back for an ACK would delay answers by a round trip, or by a delayed ACK, and save
// nothing. An application that writes in pieces gathers them itself, as Go's do; MUST-17, that it can be
// turned off, is so fulfilled. What has to be avoided in any case is: a window that opens in drops is not
// filled in drops (silly window avoidance, output.go), pieces that wait are merged into full segments (send.go), and
// what a peer may leave waiting is bounded.
//
// Nothing here knows of MPTCP. What a wrapper needs are neutral knobs:
// SetWindow, Credit, Reserve, AckNow, the mark of Send, Segment.Raw and
// Segment.NoDup.
package tcp

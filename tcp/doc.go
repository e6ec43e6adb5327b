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
// (output.go), payload of a SYN is not taken (open.go).
//
// Nothing here knows of MPTCP. What a wrapper needs are neutral knobs:
// SetWindow, Credit, Reserve, AckNow, the mark of Send, Segment.Raw and
// Segment.NoDup.
package tcp

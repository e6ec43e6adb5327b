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
//   - Free gives everything back.
//
// Nothing here knows of MPTCP. What a wrapper needs are neutral knobs:
// SetWindow, Credit, Reserve, AckNow, the mark of Send, Segment.Raw and
// Segment.NoDup.
package tcp

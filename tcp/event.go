package tcp

// Event is a set of edges: what changed since Events was last called.
type Event uint16

const (
	// Connected: the three-way handshake is complete.
	Connected Event = 1 << iota
	// Readable: Recv has something it had not before.
	Readable
	// Writable: Room grew, or in-flight data was acknowledged.
	Writable
	// PeerClosed: the peer's FIN came in order; what Recv still holds
	// precedes it.
	PeerClosed
	// Finished: the flow is over; Err says how. Free it.
	Finished
	// Stalled: a retransmission timeout fired.
	Stalled
	// Timer: the application's own timer (stack.Shard.SetTimer) is due.
	Timer
)

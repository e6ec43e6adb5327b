package stack

import "github.com/mpxd/mpxd/internal/frame"

// Port is one queue of one NIC, spoken to in batches. xdp.Socket is one, the simulator's is another.
type Port interface {
	// Recv fills in with the spans of whole packets (a chain is flagged frame.More on all but its last span and never
	// cut) and returns how many spans. Each frame has one holder: the caller. len(in) is at least 64.
	Recv(in []frame.Span) int
	// Send takes packets, one span each, and returns how many. The port calls Pool.TxStart for each it took and
	// Pool.TxDone when it is done; the caller keeps its own hold.
	Send(out []frame.Span) int
	// Room is how many spans Send would take.
	Room() int
	// Flush makes the NIC send, and collects what it has sent.
	Flush()
}

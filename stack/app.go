package stack

import (
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// App is the application of a shard, driven in the turn. It must not block.
type App interface {
	// Accept decides about an incoming connection whose handshake is complete; false aborts it.
	Accept(s *Shard, c mptcp.Conn) bool
	// Ready tells of events. Edges: what is not consumed is not told again, except that a connection which hits the
	// bound of spans per visit is called again in the next turn if it asks with Requeue.
	Ready(s *Shard, c mptcp.Conn, ev tcp.Event)
}

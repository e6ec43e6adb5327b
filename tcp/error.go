package tcp

// Reason says why a flow ended.
type Reason uint8

const (
	NoError     Reason = iota // closed in order, or not closed at all
	Refused                   // RST in answer to our SYN
	ResetByPeer               // RST later
	TimedOut                  // retransmissions, probes or keepalives unanswered
	Unreachable               // ICMP said so while connecting
	Aborted                   // by our own application
	Shed                      // frames were short, and nobody had held more of them for longer
)

func (r Reason) String() string {
	return [...]string{"closed", "connection refused", "connection reset by peer", "timed out", "unreachable", "aborted", "shed"}[r]
}

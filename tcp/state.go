package tcp

// State is a state of RFC 9293, 3.3.2.
type State uint8

const (
	Closed State = iota
	SynSent
	SynRcvd
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWaitState
)

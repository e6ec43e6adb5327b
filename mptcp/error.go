package mptcp

// Reset is why a subflow was reset, in MP_TCPRST (RFC 8684, 3.6).
type Reset uint8

const (
	Unspecified Reset = iota
	ProtocolError
	LackOfResources
	Prohibited
	TooMuchOutstanding
	BadPerformance
	Middlebox
)

func (r Reset) String() string {
	names := [...]string{"unspecified", "MPTCP-specific error", "lack of resources", "administratively prohibited",
		"too much outstanding data", "unacceptable performance", "middlebox interference"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

//go:build linux

package interop

import (
	"fmt"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/internal/link"
)

// Cell is one conversation between a client and a server, and what is to come
// of it.
type Cell struct {
	Name           string
	Client, Server Host
	V6             bool // the first subflow; those of endpoints are as they say
	Wire           Wire
	Steps          []Step // what happens while both sides talk
	End            Ending
	Joins          int    // subflows opened beside the first, all in all
	ByServer       bool   // the server opens them
	Rate           int64  // bytes per second that each side says at most; 0: 50 MiB/s
	Rare           bool   // now and then it fails, and nobody has mended it yet: it is left out of samples, and may be tried thrice
	Plain          bool   // the connection is to be, or to become, plain TCP
	ClientCounts   Counts // beside what follows from the above
	ServerCounts   Counts
}

// Kind is whose TCP a host runs.
type Kind string

// The kinds of hosts.
const (
	Kernel Kind = "kernel"
	Ours   Kind = "ours"
)

// Host is one end and its configuration. What the zero value leaves open is the
// default of the kernel, or of ours.
type Host struct {
	Kind
	Checksum    bool // asks for DSS checksums
	DenyInitial bool // sets the C flag: no joins to the initial address
	Version0    bool // ours: offers version 0 (RFC 6824)
	Cookies     bool // answers each SYN by a cookie
	TCPOnly     bool // does not offer or take MPTCP
	Endpoints   []Endpoint
	Accepts     int               // ours: how many addresses that the peer announces may be connected to; the kernel takes 8
	Ports       int               // ours: how many subflows there are between the first two addresses; 0: 1
	Sysctls     map[string]string // of the kernel
}

// Endpoint is an address that may be announced, or be the source of a subflow.
type Endpoint struct {
	Addr  int // index of the host's address; those of index 0 and 1 are on different links, and so on in turns
	V6    bool
	Port  uint16 // only with lab.Signal, 0: the connection's
	ID    uint8  // 0: the address's index
	Flags lab.EndpointFlags
}

func (e Endpoint) id() uint8 {
	switch {
	case e.ID != 0:
		return e.ID
	case e.V6:
		return uint8(e.Addr) + 100 // both families of an index may be there at once
	}
	return uint8(e.Addr)
}

// Wire is what is between the two hosts.
type Wire struct {
	MTU   int           // 0: 1500
	Off   []lab.Offload // turned off at both ends of both links
	Cable bool          // a cable that can be cut in silence, between two more pairs
	Boxes *[links]Box   // a middlebox on each link instead; offloads are off then
}

// Box is what a link does to the frames of either direction.
type Box struct{ ToServer, ToClient link.Config }

// Ending is how a conversation ends.
type Ending string

// The endings. A reset is a close that discards what was not sent or not read:
// MPTCP says it by MP_FASTCLOSE.
const (
	InOrder      Ending = "" // both half-close and hear each other out
	ClientResets Ending = "the client resets"
	ServerResets Ending = "the server resets"
)

// Side is the client or the server of a cell.
type Side int

// The sides.
const (
	Client Side = iota
	Server
)

func (s Side) String() string { return [...]string{"client", "server"}[s] }

// Counts are bounds of counters by their names in MPTcpExt.
type Counts map[string]Range

// anyNumber is more than anything counts to.
const anyNumber = 1 << 62

// Range is from Min to Max, both included.
type Range struct{ Min, Max int64 }

// Exactly, AtLeast and Between are ranges.
func Exactly(n int64) Range           { return Range{n, n} }
func AtLeast(n int64) Range           { return Range{n, anyNumber} }
func Between(min, max int64) Range    { return Range{min, max} }
func (r Range) contains(n int64) bool { return r.Min <= n && n <= r.Max }

func (r Range) String() string {
	switch {
	case r.Min == r.Max:
		return fmt.Sprint(r.Min)
	case r.Max == anyNumber:
		return fmt.Sprintf("at least %d", r.Min)
	}
	return fmt.Sprintf("%d to %d", r.Min, r.Max)
}

// expects is what a side's counters are to come to: what follows from the cell,
// and what the cell says of them.
func (c *Cell) expects(s Side) Counts {
	out := Counts{}
	host, own := &c.Client, c.ClientCounts
	if s == Server {
		host, own = &c.Server, c.ServerCounts
	}
	offered := int64(1)
	if c.Client.TCPOnly {
		offered = 0
	}
	established := offered
	if c.Plain {
		established = 0
	}
	opens := (s == Server) == c.ByServer
	joins := Exactly(int64(c.Joins))
	none := Exactly(0)
	switch {
	case s == Client:
		out["MPCapableSYNTX"], out["MPCapableSYNACKRX"] = Exactly(offered), Exactly(established)
	case !host.TCPOnly:
		out["MPCapableSYNRX"], out["MPCapableACKRX"] = Exactly(offered), Exactly(established)
	}
	if opens {
		out["MPJoinSynTx"], out["MPJoinSynAckRx"] = joins, joins
		out["MPJoinSynRx"], out["MPJoinAckRx"] = none, none
	} else {
		out["MPJoinSynRx"], out["MPJoinAckRx"] = joins, joins
		out["MPJoinSynTx"], out["MPJoinSynAckRx"] = none, none
	}
	for _, name := range lab.TroubleNames() {
		out[name] = none
	}
	resets, hears := none, none
	if c.End != InOrder && !c.Plain {
		resets, hears = AtLeast(1), AtLeast(1)
	}
	if (c.End == ClientResets) == (s == Client) {
		hears = none
	} else {
		resets = none
	}
	out["MPFastcloseTx"], out["MPFastcloseRx"] = resets, hears
	for name, r := range own {
		out[name] = r
	}
	return out
}

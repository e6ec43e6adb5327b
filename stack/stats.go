package stack

import (
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Stats counts what a shard did. It belongs to the shard's thread: others ask
// for a copy through the mailbox.
type Stats struct {
	Turns                uint64
	RxPackets, RxFrames  uint64
	RxBytes              uint64 // Ethernet header and padding included
	RxPartial            uint64 // segments whose checksum the link vouched for
	TxPackets, TxBytes   uint64
	ZeroCopy             uint64 // data segments whose headers were written in front of the payload
	Gathered             uint64 // data segments that were copied into a fresh frame
	Resets               uint64 // RSTs sent for no flow
	NoRoom               uint64 // segments with payload that came while frames were short
	Solicits             uint64 // ARP requests and neighbour solicitations sent
	NeighborFails        uint64
	PathsNarrowed        uint64 // packet-too-big messages that were believed and told something new
	PathsEvicted         uint64 // remembered paths that gave way to others
	TimeWaitEvicted      uint64 // oldest entries that gave way to newer ones
	TimeWaitDialed       uint64 // dials that took over a tuple in TIME-WAIT, by its timestamps
	PortsExhausted       uint64 // dials that found no port free at any of our addresses
	AppVisits, AppQueued uint64
	Shed                 [numSteps]uint64 // what each step did while frames were short
	BacklogFull          uint64           // connections reset since a listener's backlog was full
	Drops                [numDrops]uint64
	TCP                  tcp.Counters
}

// Stats are the live counters.
func (s *Shard) Stats() *Stats { return &s.stats }

// MPTCP are the live counters of the connections.
func (s *Shard) MPTCP() *mptcp.Counters { return &s.set.Count }

package stack

// Drop says why a packet was not carried further. Every one has a counter in
// Stats.Drops.
type Drop uint8

const (
	Carried Drop = iota
	// Ethernet.
	DropShort     // shorter than its link header
	DropChain     // more spans than a super-packet may have
	DropMAC       // addressed to another station
	DropEtherType // neither IPv4, IPv6 nor ARP
	// ARP.
	DropARP            // malformed
	DropARPNotOurs     // asks for somebody else
	DropARPUnsolicited // answers what was not asked
	// IP.
	DropIPHeader    // malformed
	DropIPChecksum  // IPv4 header checksum
	DropIPLength    // length field beyond the frame
	DropFragment    // not reassembled
	DropExtension   // IPv6 extension header unknown, malformed, or one too many
	DropSource      // a source no packet may come from
	DropDestination // not one of our addresses
	DropProtocol    // neither TCP nor ICMP
	// ICMP and NDP.
	DropICMP           // malformed
	DropICMPChecksum   //
	DropICMPType       // of no interest here
	DropICMPNoFlow     // an error about a flow we do not have
	DropICMPStale      // a packet-too-big that quotes nothing in flight, tells nothing new, or what cannot be
	DropEchoLimit      // echo requests beyond the rate limit
	DropNDP            // malformed, or its hop limit is not 255
	DropNDPNotOurs     //
	DropNDPUnsolicited //
	DropTCPHeader      // malformed
	DropTCPChecksum    //
	DropTCPPort        // port 0, which nobody has
	DropTCPNoFlow      // for no flow, and must not be answered
	DropTimeWait       // met a flow in TIME-WAIT and needs no answer
	DropTimeWaitLimit  // met one that has answered just now
	DropSynNoRoute     // a SYN from where no route leads back
	DropJoinEarly      // an MP_JOIN that overtook the connection's third ACK: it will come again
	DropSynLimit       // a SYN, but connections or neighbours are at their limit
	DropSynPressure    // a SYN while frames are short
	DropSynHalfOpen    // a SYN while too many handshakes are in progress, and a cookie will not do
	DropResetLimit     // would be answered by RST, beyond the rate limit
	DropTxFull         // no room in the TX ring for an answer that nobody repeats
	DropTxNoFrame      // no frame for it
	DropTxNoNeighbor   // next hop does not answer
	DropTxTooLong      // longer than the MTU of the link that answered
	numDrops           = iota
)

var dropNames = [numDrops]string{
	"carried", "short", "chain", "mac", "ethertype",
	"arp", "arp_not_ours", "arp_unsolicited",
	"ip_header", "ip_checksum", "ip_length", "fragment", "extension", "source", "destination", "protocol",
	"icmp", "icmp_checksum", "icmp_type", "icmp_no_flow", "icmp_stale", "echo_limit",
	"ndp", "ndp_not_ours", "ndp_unsolicited",
	"tcp_header", "tcp_checksum", "tcp_port", "tcp_no_flow", "time_wait", "time_wait_limit", "syn_no_route", "join_early", "syn_limit", "syn_pressure", "syn_half_open",
	"reset_limit", "tx_full", "tx_no_frame", "tx_no_neighbor", "tx_too_long",
}

func (d Drop) String() string { return dropNames[d] }

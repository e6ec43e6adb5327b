// Package mptcp is one shard's population of connections over one or several
// TCP flows: MPTCP (RFC 8684) where the peer speaks it, plain TCP otherwise.
// Like tcp it has no clock, goroutine, lock, socket or log.
//
// A connection is what the application sees; a subflow contains a tcp.Conn and
// carries a part of it. Plain TCP is a connection with one subflow in
// fallback, whose verbs go straight to the tcp.Conn.
//
// The life of a segment:
//
//   - Input parses the MPTCP options, lets tcp judge the segment, and acts on
//     the options only if it was acceptable (RFC 8684, 3: "subject to the
//     standard TCP validity checks").
//   - What the subflow then yields in order is placed in the connection's
//     sequence space by the mappings the peer declared, and read by Recv.
//   - Send appends to the connection's queue. The scheduler cuts bursts from
//     it; each burst is one mapping and goes to one subflow, where its segments
//     all carry that mapping unchanged.
//   - Output adds the options to what tcp names.
//
// Two sequence spaces meet here. A subflow sequence number (SSN) counts bytes
// of one subflow, its first being 1. A data sequence number (DSN) counts bytes
// of the connection, 64 bits wide:
//
//	     sndUna          sndNxt            wndEnd         sndEnd
//	........|###############|.................|..............|
//	 DATA_   in some subflow  may be scheduled   must wait for
//	 ACKed                                       the peer's window
//
//	     rcvNxt                    rcvEdge
//	........|......#####..###........|
//	 read or in     held out of      never promised
//	 the queue      order
package mptcp

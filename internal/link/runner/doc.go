// Package runner drives the links of package link in real time: it carries
// frames between pairs of network interfaces, as a wire or a radio would.
//
// What makes such an emulator honest, and how it is done here:
//
//   - The kernel stamps every frame on arrival, and the model computes with that
//     stamp: when the runner gets round to reading it does not matter.
//   - Frames leave in batches, one round at most every 100 us. Sleeping until each frame is
//     due would cost more processor than the hosts on the same machine can
//     spare, and would be late anyway.
//   - The thread has a process of its own, and real-time scheduling where that is
//     allowed.
//   - How late every frame left is recorded; [Stats] tells the percentiles, and
//     a measurement whose emulator was late is to be thrown away.
//
// Frames come in through a memory-mapped packet socket (AF_PACKET,
// TPACKET_V2) and stay in its ring until they leave by sendmmsg on the other
// interface: one copy in, one out. AF_XDP would need as many copies on veth, and knows
// neither arrival times nor how to send on a frame whose checksum the sender
// left to its "hardware". Here that knowledge travels along (PACKET_VNET_HDR): a
// partial checksum stays one, and the far end, be it a kernel or an AF_XDP
// socket, sees what it would see on the sender's own veth pair.
//
// What a frame costs is mostly not the runner's: a veth pair has no interrupt, so
// the receiving host's protocol stack runs inside the runner's sendmmsg (about
// 60 % of its time) and is counted in [Stats].Used. [Path].GRO has it receive
// super-packets, as from a NIC or a radio that merges. When the machine cannot
// keep up, frames leave late, and the lateness says so.
//
// Super-packets do not travel: a link model decides about packets of the wire. They
// are dropped and counted ([Stats].Super); turn TSO and GSO of the senders off
// ([lab.AllOffloads] does).
package runner

// Package interop runs one MPTCP connection between two hosts, each of them the
// Linux kernel or a shard of ours, in network namespaces joined by two veth
// pairs, and compares what both sides counted with what the RFC has them do.
//
// A [Cell] is data: who is at either end, how the two are configured, what
// happens while bytes go both ways, how it ends, and which counters come out
// otherwise than by default. [Cells] is the matrix. Each cell has fresh
// namespaces, so that nothing of one is left for the next.
package interop

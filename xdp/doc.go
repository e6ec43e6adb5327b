// Package xdp is the NIC's side of the wall: the UMEM, AF_XDP sockets and
// their rings, the redirect program, and what a NIC can do.
//
// A [Group] is what one shard has of the network: a [Socket] on every queue of
// every interface it was given, all over one [Umem], and per interface the
// program that redirects the traffic of our addresses (ARP, ICMP, TCP, NDP)
// into them; everything else goes to the kernel as before. A Socket speaks in
// batches of frame.Span and satisfies stack.Port.
//
// # Who holds a frame
//
//   - free: the frame.Pool.
//   - in a fill ring, in the kernel, or in an RX ring: the Socket is its one
//     holder. Recv passes that hold to its caller.
//   - in a TX ring: counted by Pool.TxStart and TxDone, beside the holds of
//     whoever sent it.
//
// After Group.Close every frame is back in one of the first two hands: free,
// or held by the caller who received it.
//
// # Threads
//
// A Group and its Sockets belong to one goroutine (a shard). Only Wake,
// AddAddress and RemoveAddress may be called from any goroutine. Open works in
// the network namespace of the calling thread; lock the goroutine to its
// thread if namespaces are switched.
//
// # Privileges
//
// Open needs CAP_NET_RAW (the sockets), CAP_NET_ADMIN and CAP_BPF (the
// program). Nothing after it needs any.
//
// All unsafe code of mpxd is here.
package xdp

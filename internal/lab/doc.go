// Package lab builds what tests, the demo and the measurements run in: real
// network namespaces joined by veth pairs, with addresses, routes, offloads and
// MPTCP endpoints set through netlink, and the kernel's own TCP and MPTCP as
// peers in them.
//
// It calls no external program, and it touches nothing but the namespaces it
// made: they are called mpxd-PID-NAME, so that [Sweep] can tell what a dead
// process left behind.
//
// A socket belongs for life to the namespace of the thread that made it, so
// whatever makes one runs inside [NS.Do]; the socket may be used anywhere.
package lab

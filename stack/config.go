package stack

import (
	"net/netip"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Config is a host as one shard sees it.
type Config struct {
	Addresses []Address
	Routes    []Route // a default route has Prefix 0.0.0.0/0 or ::/0
	TCP       tcp.Config
	MPTCP     mptcp.Config
}

// Address is one of our own. Its prefix is on-link.
type Address struct {
	Prefix netip.Prefix // the address itself and the length of its subnet
	Link   int          // the link the subnet is on, or AnyLink: neighbours are asked for on every link
}

// Route sends a prefix to a gateway.
type Route struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
}

// AnyLink leaves it to neighbour discovery where a subnet is.
const AnyLink = -1

// Link is a NIC: its queues are the Ports that name it.
type Link struct {
	Name string
	MAC  [6]byte
	MTU  int
	// Virtual: frames may carry partial checksums (veth, tun); they are trusted.
	Virtual bool
	Ports   []Port
}

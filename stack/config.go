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

	// Seed feeds all random choices of the shard; zero: drawn from the
	// system. TCP.Secret is drawn from it if it is zero.
	Seed [32]byte

	// DialMSSReserve is by how much the MSS that dialled connections announce
	// is smaller than the link allows, so that one segment from an origin fits
	// into one segment to a client. Both legs spend 12 bytes on timestamps;
	// the client's leg spends 28 more on its DSS option. So it is 28 if
	// MPTCP is enabled (0 means that default); negative: none. An origin without
	// timestamps sends 12 bytes more than fit: those segments are gathered.
	DialMSSReserve int

	// MaxNeighbors and MaxTimeWait bound the tables; 0: 4096 and 65536.
	MaxNeighbors int
	MaxTimeWait  int

	// Ports are the first and the last that dialled connections use; zero: 32768
	// to 65535.
	Ports [2]uint16

	// SynBacklog is how many handshakes may be in progress at a listening port
	// before SYNs are answered by cookies (SynCookies says otherwise); 0: 1024.
	// A network, that is a /24 or a /48, may have a quarter of it.
	SynBacklog int
	SynCookies CookieMode
}

// Address is one of our own. Its prefix is on-link.
type Address struct {
	Prefix netip.Prefix // the address itself and the length of its subnet
	Link   int          // the link the subnet is on, or AnyLink: neighbours are asked for on every link
}

// Route sends a prefix to a gateway, which is on-link.
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
	MTU  int // of the network layer: without the Ethernet header
	// Virtual: frames may carry partial checksums (veth, tun); they are trusted.
	Virtual bool
	Ports   []Port
}

const (
	defaultNeighbors = 4096
	defaultTimeWait  = 1 << 16
	defaultReserve   = 28
	defaultBacklog   = 1024
)

// ports is the range that dialled connections use.
func (c *Config) ports() (first uint16, n uint32) {
	lo, hi := c.Ports[0], c.Ports[1]
	if lo == 0 || hi < lo {
		lo, hi = firstPort, lastPort
	}
	return lo, uint32(hi-lo) + 1
}

func (c *Config) reserve() int {
	switch {
	case c.DialMSSReserve > 0:
		return c.DialMSSReserve
	case c.DialMSSReserve < 0 || !c.MPTCP.Enabled:
		return 0
	}
	return defaultReserve
}

package stack

import (
	"context"
	"net"
	"net/netip"

	"github.com/mpxd/mpxd/mptcp"
)

// Dial connects over plain TCP: network is tcp, tcp4 or tcp6, address an IP
// address and a port. Names are not resolved: the stack has no resolver.
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return n.DialContext(context.Background(), network, address)
}

// DialContext is Dial that gives up when ctx ends. It fits http.Transport.
func (n *Net) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dial(ctx, network, address, (*Shard).Dial)
}

// DialMPTCP is DialContext that offers MPTCP; NetConn.MultipathTCP tells what
// became of it.
func (n *Net) DialMPTCP(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dial(ctx, network, address, (*Shard).DialMPTCP)
}

func (n *Net) dial(ctx context.Context, network, address string, verb dialVerb) (net.Conn, error) {
	to, err := parse(network, address)
	if err != nil {
		return nil, opError("dial", "connect", network, nil, nil, err)
	}
	c := newNetConn(n, network)
	refused := make(chan error, 1)
	if err = ctx.Err(); err == nil && !n.do(task(func(s *Shard) { c.begin(s, to, verb, refused) })) {
		err = net.ErrClosed
	}
	if err == nil {
		select {
		case <-c.ready:
			return c, nil
		case err = <-refused:
		case <-c.done:
			err = c.err
		case <-ctx.Done():
			err = ctx.Err()
		case <-n.gone:
			err = net.ErrClosed
		}
		c.SetLinger(0)
		c.Close()
	}
	return nil, opError("dial", "connect", network, nil, net.TCPAddrFromAddrPort(to), err)
}

type dialVerb func(*Shard, netip.AddrPort, uint32) (mptcp.Conn, error)

// begin connects; it is called by the shard. Who closed c meanwhile wants no more.
func (c *NetConn) begin(s *Shard, to netip.AddrPort, verb dialVerb, refused chan<- error) {
	id, err := verb(s, to, 0)
	if err != nil {
		refused <- dialErrno(err)
		return
	}
	c.net.conns[id] = c
	c.bind(s, id)
}

// parse reads an address of the network. A host that is left out is unspecified.
func parse(network, address string) (netip.AddrPort, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.LookupPort(network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip := netip.IPv6Unspecified()
	if network == "tcp4" {
		ip = netip.IPv4Unspecified()
	}
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil || ip.Zone() != "" {
			return netip.AddrPort{}, &net.AddrError{Err: "not an IP address", Addr: address}
		}
		ip = ip.Unmap()
	}
	if network == "tcp4" && !ip.Is4() || network == "tcp6" && ip.Is4() {
		return netip.AddrPort{}, &net.AddrError{Err: "not an address of network " + network, Addr: address}
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

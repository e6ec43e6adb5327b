package lab

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Flow is one TCP flow of a host: a connection, or a subflow of one.
type Flow struct {
	Local, Remote netip.AddrPort
	Acked         int64 // payload bytes that the peer has acknowledged
	Received      int64 // payload bytes that came
}

// tcpEstablished is TCP_ESTABLISHED of linux/tcp_states.h.
const tcpEstablished = 1

// Flows lists the namespace's established TCP sockets, subflows of MPTCP
// connections among them (inet_diag).
func (ns *NS) Flows() (list []Flow, err error) {
	err = ns.Do(func() error {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			socks, err := netlink.SocketDiagTCPInfo(family)
			if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
				return err
			}
			for _, s := range socks {
				if s.InetDiagMsg == nil || s.TCPInfo == nil || s.InetDiagMsg.State != tcpEstablished {
					continue
				}
				id := s.InetDiagMsg.ID
				list = append(list, Flow{
					Local: addrPort(id.Source, id.SourcePort), Remote: addrPort(id.Destination, id.DestinationPort),
					Acked: int64(s.TCPInfo.Bytes_acked), Received: int64(s.TCPInfo.Bytes_received),
				})
			}
		}
		return nil
	})
	return list, err
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip) // of 4 or 16 bytes, as the library makes it
	return netip.AddrPortFrom(a.Unmap(), port)
}

// Destroy kills the socket of an IPv4 flow: its peer gets a RST (SOCK_DESTROY).
func (ns *NS) Destroy(f Flow) error {
	return ns.Do(func() error {
		return netlink.SocketDestroy(net.TCPAddrFromAddrPort(f.Local), net.TCPAddrFromAddrPort(f.Remote))
	})
}

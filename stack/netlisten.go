package stack

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// backlog is how many connections wait for Accept; the next one is reset.
const backlog = 1024

// NetListener is a port of the stack as a net.Listener.
type NetListener struct {
	net     *Net
	network string
	addr    *net.TCPAddr
	at      place

	accepting sync.Mutex // held by one Accept, waiting included
	arrived   chan struct{}

	mu      sync.Mutex // guards the rest
	waiting []*NetConn
	dl      deadline
	closed  bool
}

// place is where somebody listens.
type place struct {
	addr netip.Addr // or everywhere
	port uint16
}

var _ net.Listener = (*NetListener)(nil)

// Listen opens a port: network is tcp, tcp4 or tcp6, address a host of ours or
// none (all of them), and a port, 0 meaning any. What is accepted is a *NetConn,
// over MPTCP when the peer speaks it and the shard may.
func (n *Net) Listen(network, address string) (net.Listener, error) {
	fail := func(at net.Addr, err error) (net.Listener, error) {
		return nil, opError("listen", "bind", network, nil, at, err)
	}
	at, err := parse(network, address)
	if err != nil {
		return fail(nil, err)
	}
	l := &NetListener{net: n, network: network, arrived: make(chan struct{}, 1)}
	said := make(chan error, 1)
	if !n.do(task(func(s *Shard) { said <- l.open(s, at) })) {
		return fail(net.TCPAddrFromAddrPort(at), net.ErrClosed)
	}
	select {
	case err = <-said:
	case <-n.gone:
		err = net.ErrClosed
	}
	if err != nil {
		return fail(net.TCPAddrFromAddrPort(at), err)
	}
	return l, nil
}

// open begins to listen; the error is what the kernel would say.
func (l *NetListener) open(s *Shard, at netip.AddrPort) error {
	l.at = place{at.Addr().Unmap(), at.Port()}
	if l.network == "tcp" && at.Addr().IsUnspecified() {
		l.at.addr = everywhere
	}
	switch a := fromNetip(at.Addr()); {
	case !at.Addr().IsUnspecified() && !s.ours(&a):
		return syscall.EADDRNOTAVAIL
	case at.Port() != 0 && s.taken(l.at.addr, at.Port()):
		return syscall.EADDRINUSE
	}
	if at.Port() == 0 {
		port, ok := s.idlePort()
		if !ok {
			return syscall.EADDRINUSE
		}
		at = netip.AddrPortFrom(at.Addr(), port)
		l.at.port = port
	}
	l.addr = net.TCPAddrFromAddrPort(at)
	l.net.listeners[l.at] = l
	return s.listen(l.at.addr, l.at.port)
}

// idlePort draws a port that nobody listens on.
func (s *Shard) idlePort() (uint16, bool) {
	lo, ports := s.conf.ports()
	first := uint32(s.rand.Uint64())
	for i := range uint32(portTries) {
		if port := lo + uint16((first+i)%ports); !s.listening(port) {
			return port, true
		}
	}
	return 0, false
}

// offer lines up a connection; it is called by the shard. False: the backlog
// is full, or the listener has just been closed.
func (l *NetListener) offer(c *NetConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.waiting) == backlog {
		return false
	}
	l.waiting = append(l.waiting, c)
	signal(l.arrived)
	return true
}

// Accept implements net.Listener.
func (l *NetListener) Accept() (net.Conn, error) {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	for {
		c, err := l.next()
		if err != nil {
			return nil, opError("accept", "accept", l.network, nil, l.addr, err)
		}
		if c != nil {
			return c, nil
		}
		<-l.arrived
	}
}

func (l *NetListener) next() (*NetConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, net.ErrClosed
	case l.dl.passed:
		return nil, os.ErrDeadlineExceeded
	case len(l.waiting) == 0:
		return nil, nil
	}
	c := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return c, nil
}

// SetDeadline bounds the waiting of Accept.
func (l *NetListener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return opError("set", "set", l.network, nil, l.addr, net.ErrClosed)
	}
	l.dl.set(&l.mu, t, l.arrived)
	return nil
}

// Close implements net.Listener. Connections that nobody accepted are reset.
func (l *NetListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return opError("close", "close", l.network, nil, l.addr, net.ErrClosed)
	}
	l.closed = true
	l.dl.set(&l.mu, time.Time{}, l.arrived)
	for _, c := range l.waiting {
		c.SetLinger(0)
		c.Close()
	}
	l.waiting = nil
	signal(l.arrived)
	l.net.do(task(l.shut))
	return nil
}

// shut closes the port; it is called by the shard.
func (l *NetListener) shut(s *Shard) {
	if l.net.listeners[l.at] == l {
		delete(l.net.listeners, l.at)
		s.unlisten(l.at.addr, l.at.port)
	}
}

// Addr implements net.Listener: a *net.TCPAddr.
func (l *NetListener) Addr() net.Addr { return l.addr }

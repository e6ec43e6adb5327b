//go:build linux

package main

import (
	"fmt"
	"net/netip"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// bulk is the application at both ends of engine: it sends without end or
// discards what comes. With socks set it asks a proxy for that destination
// first.
type bulk struct {
	source    bool
	multipath bool
	socks     netip.AddrPort

	got    uint64 // bytes discarded
	ready  int    // connections that relay
	joined int    // connections with a second subflow under way
	failed error
	state  map[mptcp.Conn]*leg
}

// leg is a connection to the proxy.
type leg struct {
	answer int // bytes of the proxy's answer still to come
	joined bool
}

// socksAnswer is how long method choice and reply are (RFC 1928, 3 and 6).
const socksAnswer = 2 + 10

var payload [32 << 10]byte

func (b *bulk) dial(s *stack.Shard, to netip.AddrPort) error {
	dial := s.Dial
	if b.multipath {
		dial = s.DialMPTCP
	}
	c, err := dial(to, 0)
	if err != nil {
		return err
	}
	if b.state == nil {
		b.state = map[mptcp.Conn]*leg{}
	}
	b.state[c] = &leg{answer: socksAnswer}
	return nil
}

// Accept implements stack.App.
func (b *bulk) Accept(s *stack.Shard, c mptcp.Conn) bool {
	s.Requeue(c, tcp.Writable)
	return true
}

// Ready implements stack.App.
func (b *bulk) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	if ev&tcp.Finished != 0 {
		_, _, err := s.Status(c)
		b.failed = fmt.Errorf("a connection ended: %v", err)
		s.Close(c)
		return
	}
	if ev&tcp.Connected != 0 && b.socks.IsValid() {
		to := b.socks.Addr().As4()
		port := b.socks.Port()
		s.Write(c, append(append([]byte{5, 1, 0, 5, 1, 0, 1}, to[:]...), byte(port>>8), byte(port)))
	}
	l := b.state[c] // nil at the origin
	b.read(s, c, l)
	if l != nil && b.multipath && !l.joined && l.answer == 0 {
		// It cannot begin before the peer's first DSS (RFC 8684, 3.1).
		if s.OpenSubflow(c, engineClient[1].Addr(), engineService, 1, false) == nil {
			l.joined = true
			b.joined++
		}
	}
	if b.source && (l == nil || l.answer == 0) {
		for s.Write(c, payload[:]) == len(payload) {
		}
	}
}

func (b *bulk) read(s *stack.Shard, c mptcp.Conn, l *leg) {
	for {
		d, ok := s.Recv(c)
		if !ok {
			return
		}
		n := int(d.Len)
		if l != nil && l.answer > 0 {
			k := min(l.answer, n)
			n -= k
			if l.answer -= k; l.answer == 0 {
				b.ready++
			}
		}
		b.got += uint64(n)
		s.Pool().Release(d.Frame)
	}
}

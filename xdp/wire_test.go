//go:build linux

package xdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/lab"
)

const testFrames = 8192

// wire is two namespaces and a veth pair: a kernel peer at one end, a group at
// the other.
type wire struct {
	peer, host *lab.NS
}

const (
	peerAddr = "10.9.0.1"
	hostAddr = "10.9.0.2" // not configured in the host's kernel
)

func newWire(t *testing.T, e lab.End) wire {
	t.Helper()
	w := wire{newNS(t, "peer"), newNS(t, "host")}
	peer := lab.End{NS: w.peer, Name: "vp", MTU: e.MTU, Queues: e.Queues, Off: e.Off, Pfifo: 1000,
		Addrs: []netip.Prefix{netip.MustParsePrefix(peerAddr + "/24")}}
	host := lab.End{NS: w.host, Name: "vh", MTU: e.MTU, Queues: e.Queues, Pfifo: 1000}
	if err := lab.Veth(peer, host); err != nil {
		t.Fatal(err)
	}
	if err := w.peer.SetSysctl("net/ipv4/ping_group_range", "0 2147483647"); err != nil {
		t.Fatal(err)
	}
	return w
}

func newNS(t *testing.T, name string) *lab.NS {
	t.Helper()
	ns, err := lab.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// side is a group, its memory and what it takes to end it.
type side struct {
	*Group
	t    *testing.T
	umem *Umem
	pool *frame.Pool
	in   []frame.Span
}

func open(t *testing.T, ns *lab.NS, c Config) *side {
	t.Helper()
	s := &side{t: t, in: make([]frame.Span, 64)}
	var err error
	if s.umem, err = NewUmem(testFrames); err != nil {
		t.Fatal(err)
	}
	s.pool = frame.New(s.umem.Bytes(), chunkShift)
	if err = ns.Do(func() (e error) { s.Group, e = Open(c, s.umem, s.pool); return e }); err != nil {
		s.umem.Close()
		t.Fatal(err)
	}
	return s
}

// end closes the group; every frame must be in the pool then.
func (s *side) end() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
	if leaks := s.pool.Leaks(5); len(leaks) > 0 {
		s.t.Error("frames did not come back: ", leaks)
	}
	if err := s.umem.Close(); err != nil {
		s.t.Error(err)
	}
}

// each calls f for every packet that comes within d, until f reports it is
// done. The bytes of a chain are joined.
func (s *side) each(d time.Duration, f func(q *Socket, packet []byte) (done bool)) bool {
	s.t.Helper()
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		s.Wait(int64(left))
		done := false
		for _, q := range s.Sockets() {
			n := q.Recv(s.in)
			var packet []byte
			for _, span := range s.in[:n] {
				packet = append(packet, s.pool.Bytes(span)...)
				s.pool.Release(span.Frame)
				if span.Flags&frame.More == 0 {
					done = f(q, packet) || done
					packet = nil
				}
			}
			if packet != nil {
				s.t.Fatal("Recv ended in the middle of a packet")
			}
		}
		if done {
			return true
		}
	}
}

// send sends one packet, in pieces if it must.
func (s *side) send(q *Socket, packet []byte) {
	s.t.Helper()
	var out []frame.Span
	for len(packet) > 0 {
		f, ok := s.pool.Get()
		if !ok {
			s.t.Fatal("no frame")
		}
		span := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(min(len(packet), chunkSize-frame.Headroom))}
		packet = packet[copy(s.pool.Bytes(span), packet):]
		if len(packet) > 0 {
			span.Flags = frame.More
		}
		out = append(out, span)
	}
	if q.Send(out) != len(out) {
		s.t.Fatal("no room")
	}
	for _, span := range out {
		s.pool.Release(span.Frame)
	}
	q.Flush()
}

// answer is the ARP reply to a request, from mac.
func answer(request []byte, mac [6]byte) []byte {
	b := bytes.Clone(request[:42])
	copy(b[0:6], request[6:12])
	copy(b[6:12], mac[:])
	b[21] = 2
	copy(b[22:28], mac[:])
	copy(b[28:32], request[38:42])
	copy(b[32:42], request[22:32])
	return b
}

// reply is the echo reply to an ICMP request: addresses swapped, type 0, the
// checksum corrected (RFC 1624).
func reply(request []byte) []byte {
	b := bytes.Clone(request)
	copy(b[0:6], request[6:12])
	copy(b[6:12], request[0:6])
	copy(b[26:30], request[30:34])
	copy(b[30:34], request[26:30])
	b[34] = 0
	sum := uint32(binary.BigEndian.Uint16(b[36:])) + 0x0800
	binary.BigEndian.PutUint16(b[36:], uint16(sum+sum>>16))
	return b
}

// ping has the peer's kernel send an echo request and returns when the reply
// is there.
func ping(ns *lab.NS, to string, payload int) error {
	return ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		limit := unix.NsecToTimeval(int64(5 * time.Second))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return err
		}
		request := append([]byte{8, 0, 0, 0, 0, 0, 0, 1}, make([]byte, payload)...)
		for i := range payload {
			request[8+i] = byte(i)
		}
		if err := unix.Sendto(fd, request, 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(to).As4()}); err != nil {
			return err
		}
		b := make([]byte, 65536)
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			return fmt.Errorf("no reply: %w", err)
		}
		if !bytes.Equal(b[8:n], request[8:]) {
			return errors.New("the reply has another payload")
		}
		return nil
	})
}

// pongs lets the group answer ARP and pings until f returns.
func (s *side) pongs(f func() error) error {
	done := make(chan error, 1)
	go func() {
		done <- f()
		s.Wake()
	}()
	var err error
	ended := false
	for i := 0; i < 1000 && !ended; i++ {
		s.each(20*time.Millisecond, s.pong)
		select {
		case err = <-done:
			ended = true
		default:
		}
	}
	if !ended {
		return errors.New("no end")
	}
	return err
}

// pong answers what a ping needs.
func (s *side) pong(q *Socket, b []byte) bool {
	switch {
	case binary.BigEndian.Uint16(b[12:]) == unix.ETH_P_ARP && b[21] == 1:
		s.send(q, answer(b, q.Interface().MAC))
	case b[23] == unix.IPPROTO_ICMP && b[34] == 8:
		s.send(q, reply(b))
	}
	return true
}

func config(m Mode) Config {
	return Config{Interfaces: []string{"vh"}, Addresses: []netip.Addr{netip.MustParseAddr(hostAddr)}, Mode: m}
}

// refused opens what cannot be opened and returns why. Nothing may stay.
func refused(t *testing.T, ns *lab.NS, c Config) error {
	t.Helper()
	u, err := NewUmem(testFrames)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	pool := frame.New(u.Bytes(), chunkShift)
	err = ns.Do(func() error { _, e := Open(c, u, pool); return e })
	if err == nil {
		t.Fatal("it was opened")
	}
	if l := pool.Leaks(3); l != nil {
		t.Error(l)
	}
	if a, err := ns.Interface("vh"); err != nil || a.Xdp.Attached {
		t.Errorf("left behind: %+v, %v", a.Xdp, err)
	}
	return err
}

//go:build linux

package xdp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
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

// send sends one packet.
func (s *side) send(q *Socket, packet []byte) {
	s.t.Helper()
	f, ok := s.pool.Get()
	if !ok {
		s.t.Fatal("no frame")
	}
	span := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(len(packet))}
	copy(s.pool.Bytes(span), packet)
	if q.Send([]frame.Span{span}) != 1 {
		s.t.Fatal("no room")
	}
	s.pool.Release(f)
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

func TestPing(t *testing.T) {
	lab.Root(t)
	for _, m := range []Mode{Generic, Native, Auto} {
		t.Run(m.String(), func(t *testing.T) {
			w := newWire(t, lab.End{})
			s := open(t, w.host, config(m))
			defer s.end()
			want := "generic"
			if m != Generic {
				want = "native"
			}
			if s.Mode().String() != want {
				t.Errorf("granted %v, want %s", s.Mode(), want)
			}
			i := s.Sockets()[0].Interface()
			if i.Name != "vh" || i.MTU != 1500 || !i.Virtual || i.Driver != "veth" || i.MAC != [6]byte(lab.MAC("host", "vh")) {
				t.Errorf("interface %+v", i)
			}
			for _, payload := range []int{8, 1400} {
				if err := s.pongs(func() error { return ping(w.peer, hostAddr, payload) }); err != nil {
					t.Error(err)
				}
			}
			if c := s.Stats()[0]; c.Counters.RxPackets < 3 || c.Counters.TxPackets < 3 || c.Counters.TxBusy > 0 || c.Kernel != (KernelCounters{TxRingEmpty: c.Kernel.TxRingEmpty}) {
				t.Errorf("statistics %+v", c)
			}
		})
	}
}

func TestZeroCopyOnVethIsRefused(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	u, err := NewUmem(testFrames)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	pool := frame.New(u.Bytes(), chunkShift)
	err = w.host.Do(func() error { _, e := Open(config(ZeroCopy), u, pool); return e })
	if !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("got %v", err)
	}
	if l := pool.Leaks(3); l != nil {
		t.Error(l)
	}
	if a, err := w.host.Interface("vh"); err != nil || a.Xdp.Attached {
		t.Errorf("left behind: %+v, %v", a.Xdp, err)
	}
}

func TestRebind(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{Queues: 2})
	for i := range 20 {
		m := []Mode{Generic, Native}[i%2]
		s := open(t, w.host, config(m))
		if len(s.Sockets()) != 2 {
			t.Fatalf("%d sockets", len(s.Sockets()))
		}
		if err := s.pongs(func() error { return ping(w.peer, hostAddr, 100) }); err != nil {
			t.Error(i, err)
		}
		s.end()
	}
}

// A group that is closed with traffic running.
func TestCloseUnderLoad(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	for _, m := range []Mode{Generic, Native} {
		s := open(t, w.host, config(m))
		q := s.Sockets()[0]
		packet := ip4(peerAddr, unix.IPPROTO_UDP, 0, 0)
		for range 500 {
			f, _ := s.pool.Get()
			span := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(len(packet))}
			copy(s.pool.Bytes(span), packet)
			q.Send([]frame.Span{span})
			s.pool.Release(f)
		}
		s.end()
	}
}

// Somebody else's program stays, and is named.
func TestForeignProgram(t *testing.T) {
	lab.Root(t)
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, actionPass), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Close()
	info, err := pass.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	byLink := func(f link.XDPAttachFlags) func(int) (func() error, error) {
		return func(index int) (func() error, error) {
			l, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: index, Flags: f})
			if err != nil {
				return nil, err
			}
			return l.Close, nil
		}
	}
	byNetlink := func(index int) (func() error, error) {
		l, err := netlink.LinkByIndex(index)
		if err != nil {
			return nil, err
		}
		return func() error { return nil }, netlink.LinkSetXdpFdWithFlags(l, pass.FD(), unix.XDP_FLAGS_SKB_MODE)
	}
	for name, attach := range map[string]func(int) (func() error, error){
		"generic by link": byLink(link.XDPGenericMode), "native by link": byLink(link.XDPDriverMode), "by netlink": byNetlink,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, lab.End{})
			var detach func() error
			err := w.host.Do(func() error {
				a, err := netlink.LinkByName("vh")
				if err == nil {
					detach, err = attach(a.Attrs().Index)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer detach()
			u, err := NewUmem(testFrames)
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			for _, m := range []Mode{Auto, Generic, Native} {
				err := w.host.Do(func() error { _, e := Open(config(m), u, frame.New(u.Bytes(), chunkShift)); return e })
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("id %d", id)) {
					t.Errorf("%v: %v", m, err)
				}
			}
			if a, err := w.host.Interface("vh"); err != nil || a.Xdp.ProgId != uint32(id) {
				t.Errorf("the program is gone: %+v, %v", a.Xdp, err)
			}
			// The race: it came after we looked.
			err = w.host.Do(func() error {
				n := &nic{Name: "vh", queues: 1}
				l, _ := netlink.LinkByName("vh")
				n.Index = l.Attrs().Index
				n.sockets, n.program = nil, pass
				return n.attach(Auto)
			})
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("id %d", id)) {
				t.Errorf("late: %v", err)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	u, err := NewUmem(1024)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	pool := frame.New(u.Bytes(), chunkShift)
	few, err := NewUmem(64)
	if err != nil {
		t.Fatal(err)
	}
	defer few.Close()
	for _, c := range []struct {
		want string
		c    Config
		u    *Umem
		p    *frame.Pool
	}{
		{"no interface given", Config{}, u, pool},
		{`no such interface "nope"`, Config{Interfaces: []string{"nope"}}, u, pool},
		{"given twice", Config{Interfaces: []string{"vh", "vh"}}, u, pool},
		{"power of two", Config{Interfaces: []string{"vh"}, RingSize: 1000}, u, pool},
		{"not the whole UMEM", Config{Interfaces: []string{"vh"}}, u, frame.New(make([]byte, 1024<<12), 12)},
		{"too few", Config{Interfaces: []string{"vh"}}, few, frame.New(few.Bytes(), 12)},
		{"not an address of an interface", Config{Interfaces: []string{"vh"}, Addresses: []netip.Addr{netip.IPv4Unspecified()}}, u, pool},
	} {
		err := w.host.Do(func() error { _, e := Open(c.c, c.u, c.p); return e })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if a, e := w.host.Interface("vh"); e != nil || a.Xdp.Attached {
			t.Fatalf("after %v: a program stayed", err)
		}
	}
}

// Two wires in a row; what is in the middle has one UMEM for both its
// interfaces and forwards frames as they are.
func TestForwardWithoutCopy(t *testing.T) {
	lab.Root(t)
	for _, m := range []Mode{Generic, Native} {
		t.Run(m.String(), func(t *testing.T) {
			left, middle, right := newNS(t, "left"), newNS(t, "middle"), newNS(t, "right")
			if err := errors.Join(
				lab.Veth(lab.End{NS: left, Name: "l", Pfifo: 1000}, lab.End{NS: middle, Name: "m1", Pfifo: 1000}),
				lab.Veth(lab.End{NS: middle, Name: "m2", Pfifo: 1000}, lab.End{NS: right, Name: "r", Pfifo: 1000}),
			); err != nil {
				t.Fatal(err)
			}
			addrs := []netip.Addr{netip.MustParseAddr(hostAddr)}
			gen := open(t, left, Config{Interfaces: []string{"l"}, Addresses: addrs, Mode: m})
			defer gen.end()
			mid := open(t, middle, Config{Interfaces: []string{"m1", "m2"}, Addresses: addrs, Mode: m})
			defer mid.end()
			sink := open(t, right, Config{Interfaces: []string{"r"}, Addresses: addrs, Mode: m})
			defer sink.end()

			const packets = 5000
			sum := sha256.New()
			in := make([]frame.Span, 64)
			sent, got, forwarded := 0, 0, 0
			for end := time.Now().Add(20 * time.Second); got < packets && time.Now().Before(end); {
				for i := 0; i < 32 && sent < packets && sent-got < 256; i++ {
					b := ip4(hostAddr, unix.IPPROTO_TCP, 0, 0)
					b = append(b, make([]byte, sent%1400)...)
					binary.BigEndian.PutUint32(b[34:], uint32(sent))
					sum.Reset()
					sum.Write(b[34:])
					gen.send(gen.Sockets()[0], sum.Sum(b))
					sent++
				}
				n := mid.Sockets()[0].Recv(in)
				if mid.Sockets()[1].Send(in[:n]) != n {
					t.Fatal("no room")
				}
				for _, s := range in[:n] {
					mid.pool.Release(s.Frame)
				}
				forwarded += n
				mid.Sockets()[1].Flush()
				sink.each(time.Millisecond, func(_ *Socket, b []byte) bool {
					body := b[34 : len(b)-sha256.Size]
					if want := sha256.Sum256(body); !bytes.Equal(want[:], b[len(b)-sha256.Size:]) {
						t.Fatalf("packet %d arrived changed", got)
					}
					if n := binary.BigEndian.Uint32(body); n != uint32(got) {
						t.Fatalf("packet %d arrived as number %d", n, got)
					}
					got++
					return true
				})
			}
			if got != packets {
				t.Errorf("%d of %d packets arrived, %d forwarded; %+v", got, packets, forwarded, append(mid.Stats(), sink.Stats()...))
			}
		})
	}
}

// The kernel's TCP sends more than a segment at a time where nothing segments.
func TestSuperPackets(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	s := open(t, w.host, config(Generic))
	defer s.end()
	largest, bytesGot := 0, 0
	total := 256 << 10
	received := map[uint32]bool{}
	done := make(chan error, 1)
	go func() { done <- dialAndWrite(w.peer, hostAddr, total) }()
	f := &sinkTCP{s: s, t: t, received: received}
	ok := s.each(10*time.Second, func(q *Socket, b []byte) bool {
		n := f.input(q, b)
		largest = max(largest, n)
		bytesGot = f.inOrder
		return bytesGot >= total
	})
	if !ok {
		t.Errorf("%d of %d bytes, %+v", bytesGot, total, s.Stats())
	}
	if largest <= 2*1460 {
		t.Errorf("the largest packet carried %d bytes: no super-packet came", largest)
	}
	if !f.intact {
		t.Error("bytes arrived changed")
	}
	f.reset()
	if err := <-done; err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Error(err)
	}
	t.Logf("largest packet: %d bytes of payload", largest)
}

// Two queues, and a socket on each.
func TestTwoQueues(t *testing.T) {
	lab.Root(t)
	for _, m := range []Mode{Generic, Native} {
		t.Run(m.String(), func(t *testing.T) {
			w := newWire(t, lab.End{Queues: 2})
			s := open(t, w.host, config(m))
			defer s.end()
			peer := open(t, w.peer, Config{Interfaces: []string{"vp"}, Mode: m})
			defer peer.end()
			for i, q := range s.Sockets() {
				if q.Interface().Queue != i {
					t.Errorf("socket %d is on queue %d", i, q.Interface().Queue)
				}
			}
			got := map[int]int{}
			for _, q := range peer.Sockets() {
				for range 50 {
					peer.send(q, ip4(hostAddr, unix.IPPROTO_TCP, 0, 0))
				}
			}
			total := 0
			s.each(5*time.Second, func(q *Socket, _ []byte) bool {
				got[q.Interface().Queue]++
				total++
				return total == 100
			})
			// Generic mode is off by one: queue 1's packets come to queue 0.
			want := map[int]int{0: 50, 1: 50}
			if m == Generic {
				want = map[int]int{0: 100}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("received %v by queue, want %v", got, want)
			}
		})
	}
}

func TestWaitAndWake(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	s := open(t, w.host, config(Generic))
	defer s.end()
	begin := time.Now()
	s.Wait(int64(3 * time.Millisecond))
	if d := time.Since(begin); d < 3*time.Millisecond {
		t.Errorf("slept %v", d)
	}
	for range 200 { // from another goroutine, at any moment
		woken := make(chan struct{})
		go func() {
			s.Wake()
			s.Wake()
			close(woken)
		}()
		begin := time.Now()
		s.Wait(int64(5 * time.Second))
		if time.Since(begin) > 4*time.Second {
			t.Fatal("a wake was lost")
		}
		<-woken
		s.Wait(0) // answers one that came after
	}
	begin = time.Now()
	s.Wait(int64(2 * time.Millisecond))
	if time.Since(begin) < 2*time.Millisecond {
		t.Error("a wake was answered twice")
	}
	s.Wake()
	s.Wait(-1)
	go func() { s.Wake() }()
	s.Wait(-1)
	// Packets end a sleep.
	done := make(chan error, 1)
	go func() { done <- ping(w.peer, hostAddr, 8) }()
	if !s.each(4*time.Second, s.pong) {
		t.Error("packets did not end the sleep")
	}
	if err := s.pongs(func() error { return <-done }); err != nil {
		t.Error(err)
	}
}

func TestLinkDown(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	s := open(t, w.host, config(Generic))
	defer s.end()
	q := s.Sockets()[0]
	if err := w.host.SetUp("vh", false); err != nil {
		t.Fatal(err)
	}
	s.send(q, ip4(peerAddr, unix.IPPROTO_TCP, 0, 0))
	if q.count.TxDown == 0 || q.sending != 1 {
		t.Errorf("counted %+v, %d being sent", q.count, q.sending)
	}
	if err := w.host.SetUp("vh", true); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); q.sending > 0 && time.Now().Before(end); {
		s.Wait(int64(time.Millisecond))
	}
	if q.sending != 0 {
		t.Errorf("the packet did not leave when the link came back: %+v", q.count)
	}
}

// More than the link takes is lost by the kernel, and counted.
func TestOversizeIsCounted(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	s := open(t, w.host, config(Generic))
	defer s.end()
	q := s.Sockets()[0]
	s.send(q, append(ip4(peerAddr, 17, 0, 0), make([]byte, 1519-54)...))
	s.send(q, ip4(peerAddr, 17, 0, 0))
	if q.count.TxBusy != 1 || q.sending != 0 {
		t.Errorf("counted %+v, %d being sent", q.count, q.sending)
	}
}

//go:build linux

package xdp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/lab"
)

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

// Packets of several pieces, both ways.
func TestJumboPing(t *testing.T) {
	lab.Root(t)
	for _, m := range []Mode{Generic, Native} {
		t.Run(m.String(), func(t *testing.T) {
			w := newWire(t, lab.End{MTU: 9000})
			s := open(t, w.host, config(m))
			defer s.end()
			if err := s.pongs(func() error { return ping(w.peer, hostAddr, 8900) }); err != nil {
				t.Error(err)
			}
			if c := s.Stats()[0].Counters; c.RxBytes < 8900 || c.TxBusy > 0 {
				t.Errorf("counted %+v", c)
			}
		})
	}
}

// One interface that refuses native mode (its peer sends on two queues, it
// receives on one) makes the group generic as a whole.
func TestModeIsTheWeakest(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	if err := lab.Veth(lab.End{NS: w.peer, Name: "vp2", Queues: 2}, lab.End{NS: w.host, Name: "vh2"}); err != nil {
		t.Fatal(err)
	}
	c := config(Auto)
	c.Interfaces = []string{"vh", "vh2"}
	s := open(t, w.host, c)
	q := s.Sockets()
	if s.Mode() != (Granted{}) || q[0].Interface().Mode != (Granted{Native: true}) || q[1].Interface().Mode != (Granted{}) {
		t.Errorf("granted %v: %v and %v", s.Mode(), q[0].Interface().Mode, q[1].Interface().Mode)
	}
	if err := s.pongs(func() error { return ping(w.peer, hostAddr, 100) }); err != nil {
		t.Error(err)
	}
	s.end()

	c.Mode = Native
	if err := refused(t, w.host, c); !strings.Contains(err.Error(), "queues") {
		t.Errorf("forced: %v", err)
	}
}

func TestZeroCopyOnVethIsRefused(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	if err := refused(t, w.host, config(ZeroCopy)); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("got %v", err)
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

// The peer's kernel asks for an IPv6 address on its multicast group; the
// address comes and goes while the group is open.
func TestNeighbourSolicitation(t *testing.T) {
	lab.Root(t)
	for _, m := range []Mode{Generic, Native} {
		t.Run(m.String(), func(t *testing.T) {
			w := newWire(t, lab.End{})
			if err := w.peer.AddAddr("vp", netip.MustParsePrefix("fd00:9::1/64")); err != nil {
				t.Fatal(err)
			}
			s := open(t, w.host, config(m))
			defer s.end()
			ours := netip.MustParseAddr("fd00:9::12:3456")
			group := solicitedNode(ours).As16()
			asked := func(within time.Duration) bool {
				t.Helper()
				err := w.peer.Do(func() error {
					c, err := net.Dial("udp6", netip.AddrPortFrom(ours, 9).String())
					if err != nil {
						return err
					}
					defer c.Close()
					_, err = c.Write([]byte("who has it?")) // asks three times, a second apart
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return s.each(within, func(_ *Socket, b []byte) bool {
					const solicitation = 135
					return len(b) >= 78 && [16]byte(b[38:54]) == group && b[54] == solicitation && [16]byte(b[62:78]) == ours.As16()
				})
			}
			if asked(200 * time.Millisecond) {
				t.Error("asked for an address that is not ours")
			}
			if err := s.AddAddress(ours); err != nil {
				t.Fatal(err)
			}
			if !asked(5 * time.Second) {
				t.Error("no solicitation came")
			}
			if err := s.RemoveAddress(ours); err != nil {
				t.Fatal(err)
			}
			s.each(time.Millisecond, func(*Socket, []byte) bool { return false }) // what came before
			if asked(1200 * time.Millisecond) {
				t.Error("asked for an address that is not ours any more")
			}
		})
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
	for begin, asked := time.Now(), q.count.TxDown; ; s.Wait(int64(time.Millisecond)) {
		passed := time.Since(begin)
		if n := q.count.TxDown - asked; n > uint64(passed/downRest)+1 {
			t.Errorf("asked %d times in %v whether the link is back", n, passed)
		}
		if passed > 10*downRest {
			break
		}
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

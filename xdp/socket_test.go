//go:build linux

package xdp

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
)

// kernel is the other side of a socket whose rings are plain memory.
type kernel struct {
	t                *testing.T
	s                *Socket
	fill, completion ring[uint64]
	rx, tx           ring[desc]
	answers          []unix.Errno // to the next calls of transmit; then 0
	budget           int          // packets each call sends, 0: all
	calls            int
}

func newKernel(t *testing.T, frames int, size uint32) *kernel {
	pool := frame.New(make([]byte, frames<<chunkShift), chunkShift)
	k := &kernel{t: t}
	s := &Socket{
		fd: -1, nic: &nic{Name: "mem"}, pool: pool, id: 1, sg: true,
		owner: make([]uint16, frames), inTx: make([]uint8, frames),
		fillMax: min(size, uint32(frames/2)),
	}
	s.fill, k.fill = memRing[uint64](size)
	s.completion, k.completion = memRing[uint64](size)
	s.rx, k.rx = memRing[desc](size)
	s.tx, k.tx = memRing[desc](size)
	s.tx.flags.Store(unix.XDP_RING_NEED_WAKEUP) // as in copy mode
	s.receive = func(int) unix.Errno { return 0 }
	s.transmit = func(int) unix.Errno { return k.send() }
	s.refill()
	k.s = s
	return k
}

// deliver receives a packet in pieces of the given lengths.
func (k *kernel) deliver(lengths ...uint32) {
	for i, n := range lengths {
		k.deliverPiece(n, i+1 < len(lengths))
	}
}

func (k *kernel) deliverPiece(n uint32, more bool) {
	k.t.Helper()
	if k.fill.ready() == 0 {
		k.t.Fatal("the fill ring is empty")
	}
	d := desc{Addr: k.fill.at(0) + 256, Len: n}
	k.fill.release(1)
	if more {
		d.Options = unix.XDP_PKT_CONTD
	}
	k.rx.put(0, d)
	k.rx.submit(1)
}

// send takes what the TX ring has and completes it, as a driver would.
func (k *kernel) send() unix.Errno {
	k.calls++
	answer := unix.Errno(0)
	if len(k.answers) > 0 {
		answer, k.answers = k.answers[0], k.answers[1:]
	}
	n := k.tx.look()
	switch answer {
	case 0:
	case unix.EBUSY:
		n = min(n, 1) // the one that is lost
	default:
		return answer
	}
	if k.budget > 0 && n > uint32(k.budget) {
		n, answer = uint32(k.budget), unix.EAGAIN
	}
	for i := range n {
		k.completion.put(i, k.tx.at(i).Addr)
	}
	k.tx.release(n)
	k.completion.submit(n)
	return answer
}

// end closes the socket and looks for frames that did not come back.
func (k *kernel) end() {
	k.t.Helper()
	_ = k.s.close() // no descriptor to close here
	if leaks := k.s.pool.Leaks(5); len(leaks) > 0 {
		k.t.Fatal(leaks)
	}
}

func (k *kernel) release(in []frame.Span) {
	for _, s := range in {
		k.s.pool.Release(s.Frame)
	}
}

// packet takes a frame and makes a packet of n bytes in it.
func (k *kernel) packet(n uint16) frame.Span {
	k.t.Helper()
	f, ok := k.s.pool.Get()
	if !ok {
		k.t.Fatal("no frame")
	}
	return frame.Span{Frame: f, Off: frame.Headroom, Len: n}
}

func TestRecv(t *testing.T) {
	k := newKernel(t, 256, 64)
	in := make([]frame.Span, 64)
	for range 100 { // more than one turn of the ring
		k.deliver(60)
		k.deliver(1514)
		n := k.s.Recv(in)
		if n != 2 || in[0].Len != 60 || in[1].Len != 1514 || in[0].Off != 256 || in[0].Flags != 0 {
			t.Fatalf("received %+v", in[:n])
		}
		if k.s.filled != k.s.fillMax {
			t.Fatalf("the kernel has %d frames to receive into, want %d", k.s.filled, k.s.fillMax)
		}
		k.release(in[:n])
	}
	if c := k.s.count; c.RxPackets != 200 || c.RxBytes != 100*(60+1514) {
		t.Errorf("counted %+v", c)
	}
	k.end()
}

func TestRecvNeverCutsAChain(t *testing.T) {
	k := newKernel(t, 512, 128)
	in := make([]frame.Span, 64)
	k.deliverPiece(3840, true)
	k.deliverPiece(3840, true)
	if n := k.s.Recv(in); n != 0 {
		t.Fatalf("received %d spans of an unfinished packet", n)
	}
	k.deliverPiece(100, false)
	n := k.s.Recv(in)
	if n != 3 || in[0].Flags != frame.More || in[1].Flags != frame.More || in[2].Flags != 0 {
		t.Fatalf("received %+v", in[:n])
	}
	k.release(in[:n])

	long := make([]uint32, frame.MaxChain)
	for i := range long {
		long[i] = 1000
	}
	for range 5 {
		k.deliver(long...)
	}
	for got := 0; got < 5; {
		n := k.s.Recv(in)
		if n == 0 || n%frame.MaxChain != 0 {
			t.Fatalf("received %d spans, which is no number of whole packets of %d", n, frame.MaxChain)
		}
		got += n / frame.MaxChain
		k.release(in[:n])
	}
	k.end()
}

func TestRecvDropsAChainThatIsTooLong(t *testing.T) {
	k := newKernel(t, 1024, 256)
	in := make([]frame.Span, 64)
	for range 40 { // comes in two parts
		k.deliverPiece(1000, true)
	}
	if n := k.s.Recv(in); n != 0 {
		t.Fatalf("received %d spans", n)
	}
	for range 40 {
		k.deliverPiece(1000, true)
	}
	k.deliverPiece(1000, false)
	k.deliver(60)
	n := 0
	for range 3 {
		n += k.s.Recv(in[n:])
	}
	if n != 1 || in[0].Len != 60 {
		t.Fatalf("received %+v", in[:n])
	}
	if k.s.count.RxTooLong != 1 {
		t.Errorf("counted %+v", k.s.count)
	}
	k.release(in[:n])
	k.end()
}

func TestRecvBelievesNoDescriptor(t *testing.T) {
	k := newKernel(t, 256, 64)
	in := make([]frame.Span, 64)
	mine := k.packet(60)
	give := func(d desc) {
		k.rx.put(0, d)
		k.rx.submit(1)
	}
	good := k.fill.at(0)
	for _, d := range []desc{
		{Addr: 1 << 60, Len: 60},                                     // outside the UMEM
		{Addr: ^uint64(0), Len: 60},                                  //
		{Addr: uint64(mine.Frame)<<chunkShift + 256, Len: 60},        // not with the kernel
		{Addr: k.fill.at(1) + 4000, Len: 97},                         // over the frame's end
		{Addr: k.fill.at(2) + 256, Len: ^uint32(0)},                  //
		{Addr: k.fill.at(3) + 256, Len: 0},                           // nothing
		{Addr: k.fill.at(4) + 256, Len: 4, Options: ^uint32(0) &^ 1}, // strange, but a packet
		{Addr: good + 256, Len: 60},                                  // good
		{Addr: good + 256, Len: 60},                                  // twice
	} {
		give(d)
	}
	n := k.s.Recv(in)
	if n != 2 || in[0].Len != 4 || in[1].Len != 60 {
		t.Fatalf("received %+v", in[:n])
	}
	if k.s.count.RxInvalid != 7 {
		t.Errorf("counted %+v", k.s.count)
	}
	k.release(in[:n])
	k.s.pool.Release(mine.Frame)
	k.end()
}

func TestRefillCountsAnEmptyPool(t *testing.T) {
	k := newKernel(t, 128, 64) // all of the reserve is with the kernel
	in := make([]frame.Span, 64)
	var held []uint32
	for {
		f, ok := k.s.pool.Get()
		if !ok {
			break
		}
		held = append(held, f)
	}
	k.deliver(60)
	if n := k.s.Recv(in); n != 1 || k.s.count.PoolEmpty != 1 || k.s.filled != k.s.fillMax-1 {
		t.Fatalf("received %d, filled %d, counted %+v", n, k.s.filled, k.s.count)
	}
	k.release(in[:1])
	k.s.Flush() // the first thing a free frame is used for
	if k.s.filled != k.s.fillMax || k.s.pool.Free() != 0 {
		t.Fatalf("filled %d of %d, %d frames free", k.s.filled, k.s.fillMax, k.s.pool.Free())
	}
	for _, f := range held {
		k.s.pool.Release(f)
	}
	k.end()
}

func TestSend(t *testing.T) {
	k := newKernel(t, 256, 64)
	if r := k.s.Room(); r != 64 {
		t.Fatalf("room for %d", r)
	}
	var out []frame.Span
	for range 70 {
		out = append(out, k.packet(1514))
	}
	if n := k.s.Send(out); n != 64 || k.s.Room() != 0 {
		t.Fatalf("took %d, room for %d", n, k.s.Room())
	}
	k.release(out[:64]) // the ring alone keeps them now
	free := k.s.pool.Free()
	k.s.Flush()
	if k.s.pool.Free() != free+64 || k.s.Room() != 64 {
		t.Fatalf("%d frames came back, room for %d", k.s.pool.Free()-free, k.s.Room())
	}
	if n := k.s.Send(out[64:]); n != 6 {
		t.Fatalf("took %d", n)
	}
	k.release(out[64:])
	if c := k.s.count; c.TxPackets != 70 || c.TxBytes != 70*1514 {
		t.Errorf("counted %+v", c)
	}
	k.end() // with six in the ring
}

func TestSendTakesWholeChains(t *testing.T) {
	k := newKernel(t, 512, 64)
	var out []frame.Span
	for range 22 {
		for i := range 3 {
			s := k.packet(1000)
			if i < 2 {
				s.Flags = frame.More
			}
			out = append(out, s)
		}
	}
	if n := k.s.Send(out); n != 63 { // 21 of 22 packets
		t.Fatalf("took %d spans", n)
	}
	for i := range k.tx.look() {
		if more := k.tx.at(i).Options&unix.XDP_PKT_CONTD != 0; more != (i%3 < 2) {
			t.Fatalf("descriptor %d: continued %v", i, more)
		}
	}
	k.release(out)
	k.end()
}

func TestSendRefusesWhatTheKernelWouldKeep(t *testing.T) {
	k := newKernel(t, 256, 64)
	a, b := k.packet(60), k.packet(60)
	long := k.packet(0)
	open := a
	open.Flags = frame.More
	over := frame.Span{Frame: a.Frame, Off: 4000, Len: 97}
	strange := frame.Span{Frame: 1 << 30, Len: 60}
	if n := k.s.Send([]frame.Span{long, over, strange, b, open}); n != 5 {
		t.Fatalf("took %d", n)
	}
	if c := k.s.count; c.TxInvalid != 4 || c.TxPackets != 1 {
		t.Errorf("counted %+v", c)
	}
	k.s.sg = false
	if k.s.Send([]frame.Span{open, b}) != 2 || k.s.count.TxInvalid != 5 {
		t.Errorf("counted %+v", k.s.count)
	}
	k.release([]frame.Span{a, b, long})
	k.end()
}

func TestFlush(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []unix.Errno
		budget  int
		left    uint32 // packets still in the ring
		calls   int
		count   func(*Counters) uint64
		want    uint64
	}{
		{name: "sent", calls: 1, count: func(c *Counters) uint64 { return c.TxWakeups }, want: 1},
		{name: "budget of 4", budget: 4, calls: 3, count: func(c *Counters) uint64 { return c.TxAgain }, want: 2},
		{name: "back-pressure", answers: []unix.Errno{unix.EAGAIN}, left: 10, calls: 1, count: func(c *Counters) uint64 { return c.TxAgain }, want: 1},
		{name: "two lost", answers: []unix.Errno{unix.EBUSY, unix.EBUSY}, calls: 3, count: func(c *Counters) uint64 { return c.TxBusy }, want: 2},
		{name: "all lost", answers: []unix.Errno{16, 16, 16, 16, 16, 16, 16, 16, 16, 16}, calls: 10, count: func(c *Counters) uint64 { return c.TxBusy }, want: 10},
		{name: "link down", answers: []unix.Errno{unix.ENETDOWN}, left: 10, calls: 1, count: func(c *Counters) uint64 { return c.TxDown }, want: 1},
		{name: "interface gone", answers: []unix.Errno{unix.ENXIO}, left: 10, calls: 1, count: func(c *Counters) uint64 { return c.TxUnbound }, want: 1},
		{name: "no memory", answers: []unix.Errno{unix.ENOBUFS}, left: 10, calls: 1, count: func(c *Counters) uint64 { return c.TxNoMem }, want: 1},
		{name: "unheard of", answers: []unix.Errno{unix.EBADF}, left: 10, calls: 1, count: func(c *Counters) uint64 { return c.TxFailed }, want: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKernel(t, 256, 64)
			var out []frame.Span
			for range 10 {
				out = append(out, k.packet(100))
			}
			k.s.Send(out)
			k.release(out)
			k.answers, k.budget = c.answers, c.budget
			k.s.Flush()
			if k.s.tx.pending() != c.left || k.calls != c.calls || c.count(&k.s.count) != c.want {
				t.Errorf("%d left, %d calls, counted %+v", k.s.tx.pending(), k.calls, k.s.count)
			}
			if k.s.blocked() != (c.left > 0) {
				t.Errorf("blocked: %v", k.s.blocked())
			}
			k.answers = nil
			k.s.restUntil = time.Time{}
			k.s.Flush() // what is left goes when the kernel takes it
			if k.s.sending != 0 {
				t.Errorf("%d still being sent", k.s.sending)
			}
			k.end()
		})
	}
}

func TestFlushLeavesABusyDriverAlone(t *testing.T) {
	k := newKernel(t, 256, 64)
	k.s.tx.flags.Store(0) // zero copy: the driver is at it
	p := k.packet(60)
	k.s.Send([]frame.Span{p})
	k.s.Flush()
	if k.calls != 0 || k.s.blocked() {
		t.Errorf("%d calls, blocked %v", k.calls, k.s.blocked())
	}
	k.s.pool.Release(p.Frame)
	k.end()
}

// FuzzRings lets the other side of the rings write anything while the socket
// goes on working: nothing panics, no frame is believed to be in two hands,
// and all come back.
func FuzzRings(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{3, 0xff, 3, 0xff, 4, 0x80, 0, 1, 5, 9, 1, 2, 2, 2, 0, 0, 6, 200, 0, 0})
	f.Add([]byte("the quick brown fox jumps over the lazy dog"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		k := newKernel(t, 256, 64)
		in := make([]frame.Span, 64)
		held := make([]uint32, 0, 256)
		for i := 0; i+1 < len(ops) && i < 4096; i += 2 {
			v := uint64(ops[i+1])
			switch ops[i] % 8 {
			case 0: // an honest packet
				if k.fill.ready() > 0 && k.rx.pending() < 64 {
					k.deliverPiece(uint32(v)+1, v&1 != 0)
				}
			case 1: // any descriptor
				d := desc{Addr: v << 12 * (v & 3), Len: uint32(v * v * 7), Options: uint32(v >> 3)}
				k.rx.put(0, d)
				k.rx.submit(1)
			case 2: // an entry that was read before
				k.rx.submit(uint32(v))
			case 3: // any completion
				k.completion.put(0, v<<chunkShift)
				k.completion.submit(1)
			case 4:
				k.completion.submit(uint32(v))
			case 5:
				n := k.s.Recv(in)
				for _, s := range in[:n] {
					held = append(held, s.Frame)
				}
			case 6:
				for len(held) > 0 && v > 0 {
					last := held[len(held)-1]
					held = held[:len(held)-1]
					k.s.Send([]frame.Span{{Frame: last, Off: uint16(v), Len: uint16(v) * 20, Flags: uint8(v) & frame.More}})
					k.s.pool.Release(last)
					v >>= 1
				}
			case 7:
				if v&1 != 0 {
					k.answers = append(k.answers[:0], unix.EBUSY, unix.EAGAIN)
				}
				k.s.Flush()
			}
			seen := map[uint32]bool{}
			for _, h := range held {
				if seen[h] || k.s.owner[h] != 0 {
					t.Fatalf("frame %d is in two hands", h)
				}
				seen[h] = true
			}
		}
		for _, h := range held {
			k.s.pool.Release(h)
		}
		k.end()
	})
}

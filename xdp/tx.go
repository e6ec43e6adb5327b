//go:build linux

package xdp

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
)

// maxSendPieces bounds a packet we send: the kernel puts the first piece and
// MAX_SKB_FRAGS - 1 more into a socket buffer.
const maxSendPieces = 17

// Room is how many spans Send would take. It counts what was collected so far:
// Recv and Flush collect.
func (s *Socket) Room() int { return int(s.tx.size() - s.sending) }

// Send puts packets into the TX ring and returns how many spans it took:
// always whole packets, as many as there is room for. For each span taken it
// calls Pool.TxStart, and Pool.TxDone when the NIC is done with it; the
// caller's own hold stays the caller's. Nothing is on the wire before Flush.
//
// A packet that cannot be sent (bytes outside its frame, an unfinished chain,
// too many pieces) is taken, dropped and counted.
func (s *Socket) Send(out []frame.Span) int {
	if s.Room() < len(out) {
		s.reap()
	}
	var put uint32
	n := 0
	for n < len(out) {
		k := 1
		for out[n+k-1].Flags&frame.More != 0 && n+k < len(out) {
			k++
		}
		packet := out[n : n+k]
		if !s.sendable(packet) {
			s.count.TxInvalid++
			n += k
			continue
		}
		if k > s.Room() {
			break
		}
		for _, span := range packet {
			s.enqueue(put, span)
			put++
		}
		s.count.TxPackets++
		n += k
	}
	if put > 0 {
		s.tx.submit(put)
	}
	return n
}

// sendable reports whether the kernel would take the packet. One it refuses is
// never completed: its frame would be lost.
func (s *Socket) sendable(packet []frame.Span) bool {
	if packet[len(packet)-1].Flags&frame.More != 0 || len(packet) > maxSendPieces || len(packet) > 1 && !s.sg {
		return false
	}
	for _, span := range packet {
		if int(span.Frame) >= len(s.inTx) || span.Len == 0 || int(span.Off)+int(span.Len) > chunkSize {
			return false
		}
	}
	return true
}

func (s *Socket) enqueue(i uint32, span frame.Span) {
	d := desc{Addr: uint64(span.Frame)<<chunkShift + uint64(span.Off), Len: uint32(span.Len)}
	if span.Flags&frame.More != 0 {
		d.Options = unix.XDP_PKT_CONTD
	}
	s.pool.TxStart(span.Frame)
	s.inTx[span.Frame]++
	s.sending++
	s.tx.put(i, d)
	s.count.TxBytes += uint64(span.Len)
}

// Flush makes the kernel send what is in the TX ring, collects what was sent
// and refills the fill ring. What the kernel does not take now (back-pressure,
// link down) stays in the ring for the next Flush.
func (s *Socket) Flush() {
	pending := s.tx.pending()
	// Each call sends a budget of packets or loses one (EBUSY), so there are
	// at most as many calls as descriptors, and one that finds nothing.
	for calls := pending + 1; pending > 0 && calls > 0 && s.tx.needWakeup() && !s.resting(); calls-- {
		s.count.TxWakeups++
		errno := s.transmit(s.fd)
		before := pending
		pending = s.tx.pending()
		if !s.goOn(errno, pending < before) {
			break
		}
	}
	s.reap()
	s.refill()
}

// goOn counts the answer of the kernel and decides whether asking again now
// is of use.
func (s *Socket) goOn(errno unix.Errno, moved bool) bool {
	switch errno {
	case 0: // with zero copy the driver works on it by itself
		return moved
	case unix.EAGAIN: // budget used up; or, if nothing moved, back-pressure
		s.count.TxAgain++
		return moved
	case unix.EBUSY: // dropped below us and completed; the rest is waiting
		s.count.TxBusy++
		return true
	case unix.ENETDOWN:
		s.count.TxDown++
		s.restUntil = time.Now().Add(downRest)
	case unix.ENXIO:
		s.count.TxUnbound++
	case unix.ENOBUFS, unix.ENOMEM:
		s.count.TxNoMem++
	default:
		s.count.TxFailed++
	}
	return false
}

// downRest is how long a link that is down is left alone: no event tells us of its
// return, and each question is a system call in vain.
const downRest = 10 * time.Millisecond

// resting reports whether the link was found down just now.
func (s *Socket) resting() bool {
	if s.restUntil.IsZero() {
		return false
	}
	if time.Now().Before(s.restUntil) {
		return true
	}
	s.restUntil = time.Time{}
	return false
}

// reap collects what was sent.
func (s *Socket) reap() {
	done := s.completion.ready()
	if done == 0 {
		return
	}
	for i := range done {
		f := s.completion.at(i) >> chunkShift
		if f >= uint64(len(s.inTx)) || s.inTx[f] == 0 {
			s.count.CompletionInvalid++
			continue
		}
		s.inTx[f]--
		s.sending--
		s.pool.TxDone(uint32(f))
	}
	s.completion.release(done)
}

// blocked reports whether the socket waits for the kernel without anything
// that would wake us: packets it did not take, or no room for more.
func (s *Socket) blocked() bool {
	return s.tx.pending() > 0 && s.tx.needWakeup() || s.Room() == 0
}

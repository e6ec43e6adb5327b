//go:build linux

package xdp

import (
	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
)

// Recv fills in with the spans of received packets and returns how many spans.
// The caller becomes the one holder of each span's frame. A packet of several
// pieces is a chain (frame.More on all but its last) and comes whole or not
// yet; in has room for at least frame.MaxChain spans. Recv also collects what
// was sent and refills the fill ring.
//
// A descriptor is believed only if it names a frame the kernel holds for this
// socket, and bytes inside it; otherwise its packet is dropped and counted.
func (s *Socket) Recv(in []frame.Span) int {
	s.reap()
	ready := s.rx.ready()
	var used uint32
	n := 0
	for used < ready {
		if s.skipping {
			d := s.rx.at(used)
			s.skipping = d.Options&unix.XDP_PKT_CONTD != 0
			s.discard(d)
			used++
			continue
		}
		k := s.pieces(used, ready)
		if k == 0 { // its end was not there when we last looked
			if now := s.rx.look(); now > ready {
				ready = now
				continue
			}
			break
		}
		if k > frame.MaxChain {
			s.count.RxTooLong++
			s.skipping = true
			continue
		}
		if n+int(k) > len(in) {
			break
		}
		n += s.take(in[n:], used, k)
		used += k
	}
	if used > 0 {
		s.rx.release(used)
	}
	s.refill()
	return n
}

// pieces is the length of the packet that begins at the i-th of ready
// descriptors: 0 if its end is not among them, more than frame.MaxChain if it
// has too many.
func (s *Socket) pieces(i, ready uint32) uint32 {
	for k := uint32(0); i+k < ready && k < frame.MaxChain; k++ {
		if s.rx.at(i+k).Options&unix.XDP_PKT_CONTD == 0 {
			return k + 1
		}
	}
	if i+frame.MaxChain < ready {
		return frame.MaxChain + 1
	}
	return 0
}

// take moves the k descriptors of a packet, from the i-th on, into in. It
// returns k, or 0 if the packet had to be dropped.
func (s *Socket) take(in []frame.Span, i, k uint32) int {
	bytes, valid := uint64(0), true
	n := 0
	for j := range k {
		span, ok := s.claim(s.rx.at(i + j))
		if !ok {
			valid = false
			continue
		}
		if j+1 < k {
			span.Flags = frame.More
		}
		bytes += uint64(span.Len)
		in[n] = span
		n++
	}
	if !valid {
		s.count.RxInvalid++
		for _, span := range in[:n] {
			s.pool.Release(span.Frame)
		}
		return 0
	}
	s.count.RxPackets++
	s.count.RxBytes += bytes
	return n
}

// claim takes the frame of a descriptor back from the kernel and checks its
// bounds; what it refuses is released.
func (s *Socket) claim(d desc) (frame.Span, bool) {
	f, off := d.Addr>>chunkShift, d.Addr&(chunkSize-1)
	if f >= uint64(len(s.owner)) || s.owner[f] != s.id {
		return frame.Span{}, false
	}
	s.owner[f] = 0
	s.filled--
	if d.Len == 0 || off+uint64(d.Len) > chunkSize {
		s.pool.Release(uint32(f))
		return frame.Span{}, false
	}
	return frame.Span{Frame: uint32(f), Off: uint16(off), Len: uint16(d.Len)}, true
}

// discard drops one piece of a packet that is not wanted.
func (s *Socket) discard(d desc) {
	if span, ok := s.claim(d); ok {
		s.pool.Release(span.Frame)
	}
}

// refill brings the kernel back to fillMax frames to receive into. These
// frames are the reserve nobody else can touch: they come from the pool as
// soon as packets are taken out of the ring, before the packets are looked at.
// There is always room for them: no more than the ring's size are outstanding.
func (s *Socket) refill() {
	var i uint32
	for s.filled < s.fillMax {
		f, ok := s.pool.Get()
		if !ok {
			s.count.PoolEmpty++
			break
		}
		s.owner[f] = s.id
		s.filled++
		s.fill.put(i, uint64(f)<<chunkShift)
		i++
	}
	if i == 0 {
		return
	}
	s.fill.submit(i)
	if s.fill.needWakeup() { // only drivers with zero copy ask for it
		s.count.RxWakeups++
		s.receive(s.fd)
	}
}

package runner

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A batch is what a port sends by one system call: messages of a frame each, or
// of several that are merged on the way into the interface (gro.go).
type batch struct {
	n      int // messages
	parts  int // iovecs in use
	msgs   [maxBatch]mmsghdr
	frames [maxBatch]int            // of each message
	iovs   [2 * maxBatch]unix.Iovec // a frame, or a header and payloads
	heads  [maxBatch][vnetLen + maxHeader]byte

	last super // what the last message is, for the next frame to join
}

// mmsghdr is struct mmsghdr, which x/sys does not have.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// maxBatch bounds a sendmmsg: the whole receive path of the other end runs in
// it, about 1 us per frame.
const maxBatch = 64

func (b *batch) reset() { b.n, b.parts, b.last = 0, 0, super{} }

// add appends a frame, which begins with a virtio header, as a message of its own.
func (b *batch) add(frame []byte) {
	m := &b.msgs[b.n]
	m.hdr.Iov = &b.iovs[b.parts]
	m.hdr.SetIovlen(1)
	b.part(frame)
	b.frames[b.n] = 1
	b.n++
}

// part appends bytes to the last message. The iovecs of a message lie side by
// side since only the last one grows.
func (b *batch) part(p []byte) {
	b.iovs[b.parts].Base = &p[0]
	b.iovs[b.parts].SetLen(len(p))
	b.parts++
}

// send sends the batch and returns how many frames the interface refused.
func (p *port) send(b *batch) (refused int) {
	for i := 0; i < b.n; {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(p.fd),
			uintptr(unsafe.Pointer(&b.msgs[i])), uintptr(b.n-i), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			refused += b.frames[i] // the others may fare better
			i++
		default:
			i += int(sent)
		}
	}
	return refused
}

//go:build linux

package xdp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// chunkShift: 4 KiB chunks, the largest the kernel takes (PAGE_SIZE). Less
	// makes some drivers split frames without saying so.
	chunkShift = 12
	chunkSize  = 1 << chunkShift

	hugePage = 2 << 20
)

// Umem is the memory the kernel and we exchange frames in.
type Umem struct{ mem []byte }

// NewUmem maps memory for so many frames of 4 KiB, in huge pages where the
// machine has some to spare. It is locked in memory as soon as a Group is
// opened on it (CAP_IPC_LOCK, or RLIMIT_MEMLOCK large enough).
func NewUmem(frames int) (*Umem, error) {
	if frames <= 0 {
		return nil, fmt.Errorf("xdp: a UMEM of %d frames", frames)
	}
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	size := frames << chunkShift
	if size%hugePage == 0 {
		if mem, err := unix.Mmap(-1, 0, size, prot, flags|unix.MAP_HUGETLB); err == nil {
			return &Umem{mem}, nil
		}
	}
	mem, err := unix.Mmap(-1, 0, size, prot, flags)
	if err != nil {
		return nil, fmt.Errorf("xdp: mapping a UMEM of %d bytes: %w", size, err)
	}
	// A hint: the kernel may refuse it and all is well.
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	return &Umem{mem}, nil
}

// Bytes is the whole memory, to make a frame.Pool of.
func (u *Umem) Bytes() []byte { return u.mem }

// Close unmaps the memory. Nothing may use it any more: Groups on it are
// closed, and so is whoever looks at frames.
func (u *Umem) Close() error {
	m := u.mem
	u.mem = nil
	if m == nil {
		return nil
	}
	return unix.Munmap(m)
}

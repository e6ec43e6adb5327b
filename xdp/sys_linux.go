package xdp

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// desc is struct xdp_desc: one piece of a packet in the UMEM.
type desc = unix.XDPDesc

// transmit is sendto on an AF_XDP socket: send what the TX ring has. It does
// not block, so it keeps its processor (RawSyscall): a budget of packets takes
// some 50 us.
func transmit(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// receive is recvfrom on an AF_XDP socket: look at the fill ring again.
func receive(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// registerUmem makes the memory the UMEM of the socket.
func registerUmem(fd int, mem []byte) error {
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&mem[0]))), Len: uint64(len(mem)), Size: chunkSize}
	return setsockopt(fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
}

// setRing gives a ring of the socket its size.
func setRing(fd, option int, entries uint32) error {
	return setsockopt(fd, option, unsafe.Pointer(&entries), unsafe.Sizeof(entries))
}

// mapRing maps a ring into our memory.
func mapRing[T any](fd int, pgoff int64, o unix.XDPRingOffset, entries uint32) (ring[T], error) {
	var entry T
	size := int(o.Desc) + int(entries)*int(unsafe.Sizeof(entry))
	mem, err := unix.Mmap(fd, pgoff, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return ring[T]{}, err
	}
	return ring[T]{
		producer: (*atomic.Uint32)(unsafe.Pointer(&mem[o.Producer])),
		consumer: (*atomic.Uint32)(unsafe.Pointer(&mem[o.Consumer])),
		flags:    (*atomic.Uint32)(unsafe.Pointer(&mem[o.Flags])),
		entries:  unsafe.Slice((*T)(unsafe.Pointer(&mem[o.Desc])), entries),
		mask:     entries - 1,
		mapping:  mem,
	}, nil
}

// ringOffsets says where the indexes and entries are in each ring's mapping.
func ringOffsets(fd int) (o unix.XDPMmapOffsets, err error) {
	err = getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&o), unsafe.Sizeof(o))
	return o, err
}

// zeroCopy reports whether the bound socket got zero copy.
func zeroCopy(fd int) (bool, error) {
	var options uint32
	err := getsockopt(fd, unix.XDP_OPTIONS, unsafe.Pointer(&options), unsafe.Sizeof(options))
	return options&unix.XDP_OPTIONS_ZEROCOPY != 0, err
}

// statistics reads the kernel's counters of a socket.
func statistics(fd int) (x unix.XDPStatistics, err error) {
	err = getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&x), unsafe.Sizeof(x))
	return x, err
}

func setsockopt(fd, option int, p unsafe.Pointer, size uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(p), size, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func getsockopt(fd, option int, p unsafe.Pointer, size uintptr) error {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(p), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

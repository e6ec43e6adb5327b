//go:build linux

package xdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
)

const (
	// bindPatience: the kernel frees a closed socket's queue later, on a work
	// queue (3 to 26 ms were seen); until then the bind is refused with EBUSY.
	bindPatience = 2 * time.Second
	bindPause    = 5 * time.Millisecond

	// sendBuffer bounds the packets in flight below the TX ring; the default
	// of 208 KiB is 90 packets.
	sendBuffer = 8 << 20
	// sendBudget is how many packets one system call sends, where the kernel
	// lets us choose (6.17): one shard batch.
	sendBudget = 64
)

// Socket is an AF_XDP socket: one queue of one interface. It belongs to the
// goroutine of its Group.
type Socket struct {
	fd      int
	nic     *nic
	queue   int
	granted Granted
	pool    *frame.Pool

	fill, completion ring[uint64]
	rx, tx           ring[desc]

	// id marks the frames in owner that the kernel holds for this socket to
	// receive into. A received descriptor that names another frame is not
	// believed. owner is shared by the group; 0 is nobody.
	id      uint16
	owner   []uint16
	filled  uint32 // how many frames the kernel so holds
	fillMax uint32 // how many it shall hold, at most the fill ring's size

	// inTx counts, per frame, how often it is in this socket's TX ring or on
	// its way out; sending is the sum.
	inTx    []uint8
	sending uint32

	restUntil time.Time // the link was down: not asked again before; zero if it was up

	skipping bool // in the middle of a packet that has too many pieces
	sg       bool // packets of several pieces may be sent

	count    Counters
	transmit func(fd int) unix.Errno // asks the kernel to send
	receive  func(fd int) unix.Errno // asks the kernel to look at the fill ring
}

// Interface describes the queue of a socket.
type Interface struct {
	Name    string
	Index   int
	MAC     [6]byte
	MTU     int
	Queue   int
	Driver  string
	Virtual bool // packets may carry only a pseudo-header sum (frame.Partial)
	Mode    Granted
}

// Interface describes the queue, as it was when the group was opened.
func (s *Socket) Interface() Interface {
	n := s.nic
	return Interface{n.Name, n.Index, n.MAC, n.MTU, s.queue, n.Driver, n.Virtual, s.granted}
}

// openSocket makes a socket with its four rings, filled, but not bound.
func openSocket(n *nic, queue int, g *Group) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, explainSocket(err)
	}
	s := &Socket{
		fd: fd, nic: n, queue: queue, pool: g.pool,
		id: uint16(len(g.sockets) + 1), owner: g.owner, fillMax: g.fillMax,
		inTx:     make([]uint8, g.pool.Frames()),
		transmit: transmit, receive: receive,
	}
	if len(g.sockets) == 0 {
		err = retry(unix.ENOBUFS, func() error { return registerUmem(fd, g.umem.mem) })
		if err != nil {
			s.close()
			return nil, explainUmem(err, len(g.umem.mem))
		}
	}
	if err := s.mapRings(g.ringSize); err != nil {
		s.close()
		return nil, fmt.Errorf("xdp: rings of %s queue %d: %w", n.Name, queue, err)
	}
	// A bonus where we are allowed to: without it fewer packets are in flight.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer)
	// Kernels before 6.17 send 32 at a time, and Flush asks again.
	_ = unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, sendBudget)
	s.refill()
	return s, nil
}

// mapRings makes the four rings. All are of one size: a frame that is in the
// TX ring then always finds room in the completion ring.
func (s *Socket) mapRings(size uint32) error {
	for _, option := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING, unix.XDP_TX_RING} {
		if err := setRing(s.fd, option, size); err != nil {
			return err
		}
	}
	o, err := ringOffsets(s.fd)
	if err != nil {
		return err
	}
	if s.fill, err = mapRing[uint64](s.fd, unix.XDP_UMEM_PGOFF_FILL_RING, o.Fr, size); err != nil {
		return err
	}
	if s.completion, err = mapRing[uint64](s.fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, o.Cr, size); err != nil {
		return err
	}
	if s.rx, err = mapRing[desc](s.fd, unix.XDP_PGOFF_RX_RING, o.Rx, size); err != nil {
		return err
	}
	s.tx, err = mapRing[desc](s.fd, unix.XDP_PGOFF_TX_RING, o.Tx, size)
	return err
}

// bind binds the socket to its queue. The first socket of a group brings
// flags; the others share its UMEM, and with it all it was bound with.
func (s *Socket) bind(flags uint16, first *Socket) error {
	addr := &unix.SockaddrXDP{Flags: flags, Ifindex: uint32(s.nic.Index), QueueID: uint32(s.queue)}
	if s != first {
		addr.Flags, addr.SharedUmemFD = unix.XDP_SHARED_UMEM, uint32(first.fd)
	}
	if err := retry(unix.EBUSY, func() error { return unix.Bind(s.fd, addr) }); err != nil {
		return explainBind(err, s.nic.Name, s.queue)
	}
	zc, err := zeroCopy(s.fd)
	if err != nil {
		return fmt.Errorf("xdp: mode of %s queue %d: %w", s.nic.Name, s.queue, err)
	}
	s.granted = Granted{Native: s.nic.native, ZeroCopy: zc}
	s.sg = flags&unix.XDP_USE_SG != 0
	return nil
}

// close unmaps the rings, closes the socket and gives back to the pool what
// the kernel held. Rings first: a mapping keeps the queue busy.
func (s *Socket) close() error {
	err := errors.Join(s.fill.unmap(), s.completion.unmap(), s.rx.unmap(), s.tx.unmap(), unix.Close(s.fd))
	s.fd = -1
	for f, id := range s.owner {
		if id == s.id {
			s.owner[f] = 0
			s.pool.Release(uint32(f))
		}
	}
	for f, n := range s.inTx {
		for ; n > 0; n-- {
			s.pool.TxDone(uint32(f))
		}
		s.inTx[f] = 0
	}
	s.filled, s.sending = 0, 0
	return err
}

// retry repeats do while it fails with the errno that passes by itself, for
// bindPatience at most.
func retry(passing unix.Errno, do func() error) error {
	for end := time.Now().Add(bindPatience); ; time.Sleep(bindPause) {
		if err := do(); err != passing || time.Now().After(end) {
			return err
		}
	}
}

func explainSocket(err error) error {
	switch err {
	case unix.EPERM:
		return fmt.Errorf("xdp: an AF_XDP socket needs CAP_NET_RAW: %w", err)
	case unix.EAFNOSUPPORT:
		return fmt.Errorf("xdp: the kernel has no AF_XDP (CONFIG_XDP_SOCKETS): %w", err)
	}
	return fmt.Errorf("xdp: AF_XDP socket: %w", err)
}

func explainUmem(err error, size int) error {
	if err == unix.ENOBUFS {
		return fmt.Errorf("xdp: a UMEM of %d bytes is more than RLIMIT_MEMLOCK allows without CAP_IPC_LOCK: %w", size, err)
	}
	return fmt.Errorf("xdp: UMEM of %d bytes: %w", size, err)
}

func explainBind(err error, name string, queue int) error {
	why := ""
	switch err {
	case unix.EBUSY:
		why = ": another AF_XDP socket has the queue"
	case unix.EINVAL:
		why = ": the interface has no such queue, or the driver refuses it"
	case unix.EOPNOTSUPP:
		why = ": the driver does not support this copy mode"
	case unix.ENETDOWN:
		why = ": the interface is down"
	}
	return fmt.Errorf("xdp: bind to %s queue %d%s: %w", name, queue, why, err)
}

package runner

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct tpacket2_hdr and struct virtio_net_hdr (linux/if_packet.h,
// linux/virtio_net.h).
const (
	hdrStatus  = 0
	hdrLen     = 4
	hdrSnaplen = 8
	hdrMAC     = 12
	hdrSec     = 16
	hdrNsec    = 20

	statusKernel    = 0
	statusVLANValid = 1 << 4

	vnetLen     = 10
	vnetFlags   = 0
	vnetGSO     = 1
	vnetPartial = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM

	tpacketV2 = 1
	// slotRoom is what the kernel puts in front of a frame in its slot.
	slotRoom = 128
)

// A port is a packet socket on one interface: a ring in which the kernel
// leaves the frames that arrived, each in a slot of its own until it is
// released, and a way to send frames out of another port's ring.
type port struct {
	name string
	fd   int
	mem  []byte
	slot int    // bytes
	mask uint32 // number of slots - 1
	head uint32 // next slot to look at

	batch batch // what leaves by it
}

// arrived is a frame in a slot.
type arrived struct {
	slot  uint32
	off   uint32 // of the virtio header in the slot; the frame follows it
	n     uint32 // bytes of the frame
	stamp int64  // ns, wall clock
	super bool   // longer than what a wire carries
	vlan  bool   // its VLAN tag is not in the bytes
}

// openPort opens the interface with at least slots slots.
func openPort(name string, slots int) (p *port, err error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	p = &port{name: name, fd: fd, slot: 1 << bits.Len(uint(ifi.MTU+18+slotRoom-1))}
	slots = 1 << bits.Len(uint(max(slots, minSlots)-1))
	p.mask = uint32(slots - 1)
	if err := p.open(ifi.Index, slots); err != nil {
		p.close()
		return nil, fmt.Errorf("packet socket on %s: %w", name, err)
	}
	return p, nil
}

func (p *port) open(index, slots int) error {
	block := max(p.slot, blockSize)
	req := unix.TpacketReq{
		Block_size: uint32(block), Block_nr: uint32(slots * p.slot / block),
		Frame_size: uint32(p.slot), Frame_nr: uint32(slots),
	}
	for _, o := range []struct{ opt, value int }{
		{unix.PACKET_VERSION, tpacketV2},
		{unix.PACKET_VNET_HDR, 1},
		{unix.PACKET_IGNORE_OUTGOING, 1},
	} {
		if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, o.opt, o.value); err != nil {
			return fmt.Errorf("option %d: %w", o.opt, err)
		}
	}
	// As many frames as are due may be on their way into the other end at once.
	if err := unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer); err != nil {
		return fmt.Errorf("send buffer: %w", err)
	}
	if err := unix.SetsockoptTpacketReq(p.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("ring of %d slots: %w", slots, err)
	}
	mem, err := unix.Mmap(p.fd, 0, slots*p.slot, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map ring: %w", err)
	}
	p.mem = mem
	return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index})
}

const (
	minSlots   = 2048
	maxSlots   = 1 << 15 // 64 MiB of 2 KiB slots
	blockSize  = 1 << 17
	sendBuffer = 8 << 20
)

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (p *port) close() error {
	var err error
	if p.mem != nil {
		err = unix.Munmap(p.mem)
		p.mem = nil
	}
	return errors.Join(err, unix.Close(p.fd))
}

// next takes the next frame that arrived, if there is one. Its slot is the
// caller's until release.
func (p *port) next() (a arrived, ok bool) {
	base := int(p.head) * p.slot
	status := atomic.LoadUint32(p.status(p.head))
	if status == statusKernel {
		return a, false
	}
	h := p.mem[base : base+p.slot]
	a.slot = p.head
	a.n = word(h, hdrSnaplen)
	a.off = uint32(*(*uint16)(unsafe.Pointer(&h[hdrMAC]))) - vnetLen
	a.stamp = int64(word(h, hdrSec))*1_000_000_000 + int64(word(h, hdrNsec))
	a.super = h[a.off+vnetGSO] != 0 || word(h, hdrLen) != a.n
	a.vlan = status&statusVLANValid != 0
	p.head = (p.head + 1) & p.mask
	return a, true
}

func word(h []byte, off int) uint32 { return *(*uint32)(unsafe.Pointer(&h[off])) }

func (p *port) status(slot uint32) *uint32 {
	return (*uint32)(unsafe.Pointer(&p.mem[int(slot)*p.slot+hdrStatus]))
}

// frame is the bytes of a frame.
func (p *port) frame(a *arrived) []byte {
	at := uint32(a.slot)*uint32(p.slot) + a.off + vnetLen
	return p.mem[at : at+a.n]
}

// message is a frame with its virtio header.
func (p *port) message(a *arrived) []byte {
	at := a.slot*uint32(p.slot) + a.off
	return p.mem[at : at+vnetLen+a.n]
}

// partial tells whether the frame's checksum is only its pseudo-header's sum.
func (p *port) partial(a *arrived) bool {
	return p.mem[a.slot*uint32(p.slot)+a.off+vnetFlags]&vnetPartial != 0
}

// release gives a slot back to the kernel.
func (p *port) release(slot uint32) { atomic.StoreUint32(p.status(slot), statusKernel) }

// lost is how many frames found no free slot since the last call.
func (p *port) lost() uint64 {
	s, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}

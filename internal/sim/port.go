package sim

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/tcp"
)

// Port is a NIC with one queue: a stack.Port.
type Port struct {
	Up, Down *link.Link // to the switch, and from it
	// HoldTx is how long the NIC keeps a frame it sends.
	HoldTx tcp.Time
	// RxDrops: the NIC had no frame or no room for what came. FCSDrops: it
	// was damaged.
	RxDrops, FCSDrops uint64

	net     *Net
	host    *Host
	partial bool // leaves checksums to the receiver, as a veth does
	fill    []uint32
	rx      [][]byte
	tx      []held
}

type held struct {
	frame uint32
	until tcp.Time
}

const (
	ringSize = 1024
	fillSize = 256
	// rxOffset is where AF_XDP puts a packet in its frame.
	rxOffset = 256
)

// Recv implements stack.Port. A packet longer than a frame becomes a chain.
func (p *Port) Recv(in []frame.Span) (n int) {
	done := 0
	for _, b := range p.rx {
		size := p.host.Pool.FrameSize() - rxOffset
		need := (len(b) + size - 1) / size
		if n+need > len(in) {
			break
		}
		done++
		if need > len(p.fill) {
			p.RxDrops++
			continue
		}
		for ; len(b) > 0; n++ {
			k := min(size, len(b))
			in[n] = frame.Span{Frame: p.fill[len(p.fill)-1], Off: rxOffset, Len: uint16(k)}
			p.fill = p.fill[:len(p.fill)-1]
			copy(p.host.Pool.Bytes(in[n]), b[:k])
			if b = b[k:]; len(b) > 0 {
				in[n].Flags = frame.More
			}
		}
	}
	p.rx = append(p.rx[:0], p.rx[done:]...)
	return n
}

// Send implements stack.Port.
func (p *Port) Send(out []frame.Span) int {
	out = out[:min(len(out), p.Room())]
	for _, d := range out {
		b := append([]byte(nil), p.host.Pool.Bytes(d)...)
		if p.partial {
			uncheck(b)
		}
		p.host.Pool.TxStart(d.Frame)
		p.tx = append(p.tx, held{d.Frame, p.host.w.now + p.HoldTx})
		p.host.w.launch(p, true, b)
	}
	if p.HoldTx == 0 {
		p.complete()
	}
	return len(out)
}

// Room implements stack.Port.
func (p *Port) Room() int { return ringSize - len(p.tx) }

// Flush implements stack.Port.
func (p *Port) Flush() {
	p.complete()
	for len(p.fill) < fillSize {
		f, ok := p.host.Pool.Get()
		if !ok {
			return
		}
		p.fill = append(p.fill, f)
	}
}

func (p *Port) complete() {
	n := 0
	for n < len(p.tx) && p.tx[n].until <= p.host.w.now {
		p.host.Pool.TxDone(p.tx[n].frame)
		n++
	}
	p.tx = append(p.tx[:0], p.tx[n:]...)
}

// deliver takes a frame from the link.
func (p *Port) deliver(b []byte) {
	if len(p.rx) == ringSize {
		p.RxDrops++
		return
	}
	p.rx = append(p.rx, b)
	p.host.wake()
}

// Inject lets a frame arrive, now, as if it had come from the network.
func (p *Port) Inject(b []byte) { p.deliver(append([]byte(nil), b...)) }

// uncheck leaves only the sum of the pseudo-header in a TCP checksum.
func uncheck(b []byte) {
	var src, dst, seg []byte
	switch {
	case len(b) >= 54 && binary.BigEndian.Uint16(b[12:]) == 0x0800 && b[23] == 6:
		src, dst, seg = b[26:30], b[30:34], b[14+int(b[14]&15)*4:]
	case len(b) >= 74 && binary.BigEndian.Uint16(b[12:]) == 0x86dd && b[20] == 6:
		src, dst, seg = b[22:38], b[38:54], b[54:]
	default:
		return
	}
	binary.BigEndian.PutUint16(seg[16:], checksum.Pseudo(src, dst, 6, len(seg)))
}

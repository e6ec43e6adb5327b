//go:build linux

package main

import (
	"github.com/mpxd/mpxd/internal/frame"
)

// memPort is one end of a wire in memory: a stack.Port whose Recv and Send do
// what a NIC's rings do and no more. The bytes are moved between the pools by
// carry, outside of any turn, as a DMA engine would.
type memPort struct {
	pool *frame.Pool
	peer *memPort
	fill []uint32     // frames for what will arrive
	rx   []frame.Span // arrived
	tx   []frame.Span // to be carried
}

const (
	memRing = 1024
	// memOffset is where AF_XDP puts a packet in its frame.
	memOffset = 256
)

func newWire(a, b *frame.Pool) (*memPort, *memPort) {
	x, y := newMemPort(a), newMemPort(b)
	x.peer, y.peer = y, x
	return x, y
}

func newMemPort(p *frame.Pool) *memPort {
	m := &memPort{pool: p, fill: make([]uint32, 0, memRing), rx: make([]frame.Span, 0, memRing), tx: make([]frame.Span, 0, memRing)}
	m.refill()
	return m
}

func (m *memPort) refill() {
	for len(m.fill) < memRing {
		f, ok := m.pool.Get()
		if !ok {
			return
		}
		m.fill = append(m.fill, f)
	}
}

// Recv implements stack.Port.
func (m *memPort) Recv(in []frame.Span) int {
	n := copy(in, m.rx)
	m.rx = m.rx[:copy(m.rx, m.rx[n:])]
	m.refill()
	return n
}

// Send implements stack.Port.
func (m *memPort) Send(out []frame.Span) int {
	n := min(len(out), m.Room())
	for _, s := range out[:n] {
		m.pool.TxStart(s.Frame)
		m.tx = append(m.tx, s)
	}
	return n
}

// Room implements stack.Port.
func (m *memPort) Room() int { return memRing - len(m.tx) }

// Flush implements stack.Port.
func (m *memPort) Flush() {}

// carry moves what one end sent to the other, as much as there is room for; the
// rest waits, as under Ethernet flow control.
func (m *memPort) carry() {
	to := m.peer
	n := min(len(m.tx), len(to.fill), memRing-len(to.rx))
	for _, s := range m.tx[:n] {
		last := len(to.fill) - 1
		d := frame.Span{Frame: to.fill[last], Off: memOffset, Len: s.Len}
		to.fill = to.fill[:last]
		copy(to.pool.Bytes(d), m.pool.Bytes(s))
		to.rx = append(to.rx, d)
		m.pool.TxDone(s.Frame)
	}
	m.tx = m.tx[:copy(m.tx, m.tx[n:])]
}

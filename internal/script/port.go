package script

import "github.com/mpxd/mpxd/internal/frame"

// portRoom bounds what the host may send in one turn.
const portRoom = 1024

// port is the host's NIC: what the script sends is received, what the host
// sends is kept.
type port struct {
	pool *frame.Pool
	in   [][]byte
	out  [][]byte
}

// headroom is what a received frame has in front of it, as with AF_XDP.
const headroom = 256

// Recv implements stack.Port. A packet that is longer than a frame comes as a
// chain, as with GRO.
func (p *port) Recv(in []frame.Span) (n int) {
	size := p.pool.FrameSize() - headroom
	for len(p.in) > 0 {
		b := p.in[0]
		need := (len(b) + size - 1) / size
		if n+need > len(in) || need > p.pool.Free() {
			break
		}
		p.in = p.in[1:]
		for ; len(b) > 0; n++ {
			f, _ := p.pool.Get()
			k := min(size, len(b))
			in[n] = frame.Span{Frame: f, Off: headroom, Len: uint16(k)}
			copy(p.pool.Bytes(in[n]), b)
			if b = b[k:]; len(b) > 0 {
				in[n].Flags = frame.More
			}
		}
	}
	return n
}

func (p *port) Send(out []frame.Span) int {
	n := min(len(out), p.Room())
	for _, s := range out[:n] {
		p.pool.TxStart(s.Frame)
		p.out = append(p.out, append([]byte{}, p.pool.Bytes(s)...))
		p.pool.TxDone(s.Frame)
	}
	return n
}

func (p *port) Room() int { return portRoom - len(p.out) }

func (p *port) Flush() {}

// take empties the port.
func (p *port) take() [][]byte {
	out := p.out
	p.out = nil
	return out
}

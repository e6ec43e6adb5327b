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

func (p *port) Recv(in []frame.Span) (n int) {
	for n < len(in) && len(p.in) > 0 {
		f, ok := p.pool.Get()
		if !ok {
			return n
		}
		b := p.in[0]
		p.in = p.in[1:]
		in[n] = frame.Span{Frame: f, Off: headroom, Len: uint16(len(b))}
		copy(p.pool.Bytes(in[n]), b)
		n++
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

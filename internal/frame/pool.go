package frame

import "fmt"

// Pool is one memory cut into frames and the account of who holds which. It
// has one owner (a shard) and is not safe for concurrent use. Misuse panics:
// a frame released twice is one user's data in another user's stream.
//
// A frame has two numbers: its holders (queues and variables that still need
// its bytes) and how often it stands in a TX ring. It is free iff both are 0.
type Pool struct {
	mem   []byte
	shift uint8
	state []state
	free  []uint32 // LIFO: the frame that was used last is the one in cache
	check check
}

type state struct {
	holders uint16
	end     uint16 // up to where the bytes are used, if something was packed into the frame; 0: not known
	tx      uint8
	shared  bool
}

// New cuts mem into frames of 1<<shift bytes, all of them free. A remainder
// shorter than a frame stays unused.
func New(mem []byte, shift uint8) *Pool {
	n := len(mem) >> shift
	p := &Pool{mem: mem, shift: shift, state: make([]state, n), free: make([]uint32, n)}
	for i := range p.free {
		p.free[i] = uint32(n - 1 - i)
	}
	p.check.init(n)
	return p
}

// Get takes a free frame; the caller is its one holder. It reports false when
// the pool is exhausted.
func (p *Pool) Get() (uint32, bool) {
	n := len(p.free)
	if n == 0 {
		return 0, false
	}
	f := p.free[n-1]
	p.free = p.free[:n-1]
	p.state[f] = state{holders: 1}
	p.check.hold(f)
	return f, true
}

// Retain adds a holder to a frame that has one.
func (p *Pool) Retain(f uint32) {
	s := &p.state[f]
	if s.holders == 0 || s.holders == 1<<16-1 {
		panic(fmt.Sprintf("frame: retain of frame %d with %d holders", f, s.holders))
	}
	s.holders++
	p.check.hold(f)
}

// Release takes one holder away; the frame is free when it was the last and
// the frame stands in no TX ring.
func (p *Pool) Release(f uint32) {
	s := &p.state[f]
	if s.holders == 0 {
		panic(fmt.Sprintf("frame: release of frame %d, which nobody holds", f))
	}
	s.holders--
	p.check.drop(f)
	if s.holders == 0 && s.tx == 0 {
		p.put(f)
	}
}

// TxStart notes that the frame was put into a TX ring.
func (p *Pool) TxStart(f uint32) {
	s := &p.state[f]
	if s.holders == 0 || s.tx == 1<<8-1 {
		panic(fmt.Sprintf("frame: transmit of frame %d with %d holders, %d times in a ring", f, s.holders, s.tx))
	}
	s.tx++
}

// TxDone notes that the ring gave the frame back.
func (p *Pool) TxDone(f uint32) {
	s := &p.state[f]
	if s.tx == 0 {
		panic(fmt.Sprintf("frame: completion of frame %d, which is in no ring", f))
	}
	s.tx--
	if s.holders == 0 && s.tx == 0 {
		p.put(f)
	}
}

func (p *Pool) put(f uint32) {
	p.check.free(f)
	p.free = append(p.free, f)
}

// Share notes that spans with different starts live in the frame: whoever
// splits a span, narrows its front while another holder keeps the whole, or
// packs several into one frame must say so. It stays until the frame is free.
func (p *Pool) Share(f uint32) { p.state[f].shared = true }

// Shared reports whether Share was said of the frame.
func (p *Pool) Shared(f uint32) bool { return p.state[f].shared }

// Writable reports whether headers may be written in front of the frame's
// span: nothing else lives there, and no TX ring may still read it.
func (p *Pool) Writable(f uint32) bool {
	s := p.state[f]
	return s.tx == 0 && !s.shared
}

// Sole reports whether the frame is free as soon as its one holder releases it.
func (p *Pool) Sole(f uint32) bool { return p.state[f].holders == 1 && p.state[f].tx == 0 }

// Tail is where n unused bytes begin behind span s in its frame. That is known
// of a frame that the caller holds alone, and of one that Fill was said of.
func (p *Pool) Tail(s Span, n uint16) (off uint16, ok bool) {
	st := &p.state[s.Frame]
	off = st.end
	if off == 0 {
		if st.holders != 1 || st.shared {
			return 0, false
		}
		off = s.Off + s.Len
	}
	return off, int(off)+int(n) <= p.FrameSize()
}

// Packed reports whether Fill was said of the frame.
func (p *Pool) Packed(f uint32) bool { return p.state[f].end != 0 }

// Fill says that the bytes of the frame are used up to end, as Tail allowed. A ring
// may be reading what lies before.
func (p *Pool) Fill(f uint32, end uint16) { p.state[f].end = end }

// Bytes are the bytes of a span, valid as long as the frame is held. Its
// capacity ends at the frame's end.
func (p *Pool) Bytes(s Span) []byte {
	i := int(s.Frame)<<p.shift + int(s.Off)
	return p.mem[i : i+int(s.Len) : (int(s.Frame)+1)<<p.shift]
}

// Frame is the whole memory of a frame.
func (p *Pool) Frame(f uint32) []byte {
	i := int(f) << p.shift
	return p.mem[i : i+1<<p.shift : i+1<<p.shift]
}

// FrameSize is the size of a frame in bytes, Frames how many there are, Free
// how many of them are free.
func (p *Pool) FrameSize() int { return 1 << p.shift }
func (p *Pool) Frames() int    { return len(p.state) }
func (p *Pool) Free() int      { return len(p.free) }

// Leaks describes the frames that are not free, at most n of them. Under the
// build tag framecheck it names the places that hold them.
func (p *Pool) Leaks(n int) []string {
	var out []string
	for f, s := range p.state {
		if (s.holders > 0 || s.tx > 0) && len(out) < n {
			out = append(out, fmt.Sprintf("frame %d: %d holders, %d in a ring%s", f, s.holders, s.tx, p.check.holders(uint32(f))))
		}
	}
	return out
}

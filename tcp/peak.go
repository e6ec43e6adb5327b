package tcp

// peak is the greatest value of a window of time, by three samples: the
// greatest, the greatest after it, and the greatest after that. When the first
// is too old the second takes its place.
type peak struct {
	v  [3]uint32
	at [3]uint8 // times wrap: they must not lie further apart than 255
}

func (p *peak) max() uint32 { return p.v[0] }

// add takes a value into account that was seen now. window is how long it counts.
func (p *peak) add(v uint32, now, window uint8) {
	switch {
	case v >= p.v[0] || now-p.at[2] > window:
		p.fill(0, v, now)
		return
	case v >= p.v[1]:
		p.fill(1, v, now)
	case v >= p.v[2]:
		p.fill(2, v, now)
	}
	switch age := now - p.at[0]; {
	case age > window:
		p.shift(v, now)
		if now-p.at[0] > window {
			p.shift(v, now)
		}
	// The places behind the first are taken early, so that a successor is
	// there when it goes.
	case p.at[1] == p.at[0] && age > window/4:
		p.fill(1, v, now)
	case p.at[2] == p.at[1] && age > window/2:
		p.fill(2, v, now)
	}
}

func (p *peak) fill(from int, v uint32, now uint8) {
	for i := from; i < len(p.v); i++ {
		p.v[i], p.at[i] = v, now
	}
}

func (p *peak) shift(v uint32, now uint8) {
	p.v[0], p.at[0] = p.v[1], p.at[1]
	p.v[1], p.at[1] = p.v[2], p.at[2]
	p.v[2], p.at[2] = v, now
}

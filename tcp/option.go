package tcp

import "encoding/binary"

// Option kinds.
const (
	optEnd    = 0
	optNop    = 1
	optMSS    = 2
	optWScale = 3
	optSACKOK = 4
	optSACK   = 5
	optTS     = 8
	// KindMPTCP is kept raw: tcp does not understand it.
	KindMPTCP = 30
)

// MaxOptions is the most a header can carry.
const MaxOptions = 40

// Which fields of Options are present.
const (
	HasMSS uint8 = 1 << iota
	HasWScale
	HasSACKOK
	HasTS
)

// Block is a SACK block: [From, To).
type Block struct{ From, To Seq }

// Options are the options tcp itself understands.
type Options struct {
	Has    uint8
	WScale uint8 // at most 14 (RFC 7323, 2.3)
	NSACK  uint8
	MSS    uint16
	TSVal  uint32
	TSEcr  uint32
	SACK   [4]Block
}

// parse reads the option bytes of a header into seg. Anything malformed ends
// the list (an option's length must stay inside the header); what came before
// is kept.
func (seg *Segment) parse(b []byte) {
	o := &seg.Opts
	for len(b) > 0 {
		switch b[0] {
		case optEnd:
			return
		case optNop:
			b = b[1:]
			continue
		}
		if len(b) < 2 || int(b[1]) < 2 || int(b[1]) > len(b) {
			return
		}
		v := b[2:b[1]]
		switch {
		case b[0] == optMSS && len(v) == 2:
			o.Has |= HasMSS
			o.MSS = binary.BigEndian.Uint16(v)
		case b[0] == optWScale && len(v) == 1:
			o.Has |= HasWScale
			o.WScale = min(v[0], 14)
		case b[0] == optSACKOK && len(v) == 0:
			o.Has |= HasSACKOK
		case b[0] == optTS && len(v) == 8:
			o.Has |= HasTS
			o.TSVal = binary.BigEndian.Uint32(v)
			o.TSEcr = binary.BigEndian.Uint32(v[4:])
		case b[0] == optSACK && len(v)%8 == 0:
			o.parseSACK(v)
		case b[0] == KindMPTCP:
			// Cannot overflow: all options of a header are 40 bytes.
			seg.RawLen += uint8(copy(seg.Raw[seg.RawLen:], b[:b[1]]))
		}
		b = b[b[1]:]
	}
}

func (o *Options) parseSACK(v []byte) {
	for ; len(v) >= 8 && int(o.NSACK) < len(o.SACK); v = v[8:] {
		o.SACK[o.NSACK] = Block{Seq(binary.BigEndian.Uint32(v)), Seq(binary.BigEndian.Uint32(v[4:]))}
		o.NSACK++
	}
}

// size is how many bytes put writes: a multiple of 4.
func (o *Options) size() int {
	n := 0
	if o.Has&HasMSS != 0 {
		n += 4
	}
	if o.Has&HasTS != 0 {
		n += 12 // with two NOPs, or SACK permitted in their place
	} else if o.Has&HasSACKOK != 0 {
		n += 4
	}
	if o.Has&HasWScale != 0 {
		n += 4
	}
	if o.NSACK != 0 {
		n += 4 + 8*int(o.NSACK)
	}
	return n
}

// lenTS is the length of the timestamps option.
const lenTS = 10

func (o *Options) putTS(b []byte) int {
	b[0], b[1] = optTS, lenTS
	binary.BigEndian.PutUint32(b[2:], o.TSVal)
	binary.BigEndian.PutUint32(b[6:], o.TSEcr)
	return lenTS
}

// put writes the options in Linux's order: MSS, SACK permitted, timestamps,
// window scale, SACK. Peers and middleboxes are tuned to it.
func (o *Options) put(b []byte) int {
	n := 0
	if o.Has&HasMSS != 0 {
		b[0], b[1] = optMSS, 4
		binary.BigEndian.PutUint16(b[2:], o.MSS)
		n = 4
	}
	switch {
	case o.Has&HasTS != 0:
		b[n], b[n+1] = optNop, optNop
		if o.Has&HasSACKOK != 0 {
			b[n], b[n+1] = optSACKOK, 2
		}
		n += 2 + o.putTS(b[n+2:])
	case o.Has&HasSACKOK != 0:
		b[n], b[n+1], b[n+2], b[n+3] = optNop, optNop, optSACKOK, 2
		n += 4
	}
	if o.Has&HasWScale != 0 {
		b[n], b[n+1], b[n+2], b[n+3] = optNop, optWScale, 3, o.WScale
		n += 4
	}
	if o.NSACK != 0 {
		b[n], b[n+1], b[n+2], b[n+3] = optNop, optNop, optSACK, 2+8*o.NSACK
		n += 4
		for i := range int(o.NSACK) {
			binary.BigEndian.PutUint32(b[n:], uint32(o.SACK[i].From))
			binary.BigEndian.PutUint32(b[n+4:], uint32(o.SACK[i].To))
			n += 8
		}
	}
	return n
}

package tcp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
)

// FuzzInput drives a Conn in any state with segments, application calls and
// time, all taken from the input. After each the invariants of check must
// hold; in the end every node and frame must be free.
func FuzzInput(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(uint8(seed), randomOps(seed, 600))
	}
	f.Fuzz(func(t *testing.T, start uint8, ops []byte) { fuzzOps(t, start, ops) })
}

// TestRandomSegments is the fuzzer's body over many random inputs.
func TestRandomSegments(t *testing.T) {
	for seed := range uint64(400) {
		ops := randomOps(seed, 3000)
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("seed %d", seed)
					panic(r)
				}
			}()
			fuzzOps(t, uint8(seed), ops)
		}()
	}
}

func randomOps(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 99))
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte(r.Uint32()); r.IntN(3) == 0 {
			b[i] = byte(r.IntN(4))
		}
	}
	return b
}

func fuzzOps(t testing.TB, start uint8, ops []byte) {
	o := newOne(t)
	o.conf.RcvBuf, o.conf.SndBuf = 64<<10, 64<<10
	if start&16 != 0 {
		o.ts = 1000
	}
	o.noSACK = start&32 != 0
	reach[State(start%9)+SynSent](o)
	o.high = o.conn.rcvNxt
	next := func(n int) uint32 {
		var b [4]byte
		ops = ops[copy(b[:n], ops):]
		return binary.LittleEndian.Uint32(b[:])
	}
	// near is a sequence number around a base.
	near := func(base Seq) Seq {
		switch next(1) % 4 {
		case 0:
			return base
		case 1:
			return base + Seq(int8(next(1)))
		case 2:
			return base + Seq(int16(next(2)))
		}
		return Seq(next(4))
	}
	for len(ops) > 0 && o.conn.state != Closed {
		c := &o.conn
		switch op := next(1); op % 8 {
		case 0, 1, 2:
			fuzzSegment(o, near, next)
		case 3:
			o.env.Now += Time(next(2)) * Millisecond / 4
			c.Expire(&o.env)
		case 4:
			if op&8 != 0 && c.Deadline() != Never {
				o.env.Now = max(o.env.Now, c.Deadline())
				c.Expire(&o.env)
			}
			o.out()
		case 5:
			if fr, ok := o.env.Pool.Get(); ok {
				c.Send(&o.env, frame.Span{Frame: fr, Off: 128, Len: uint16(next(2) % 3800)}, uint64(next(1)%3))
				o.env.Pool.Release(fr)
			}
		case 6:
			if d, _, ok := c.Recv(&o.env); ok {
				o.env.Pool.Release(d.Frame)
			}
		case 7:
			fuzzCall(o, near, next)
		}
		check(t, o.host)
		if c.Deadline() <= o.env.Now {
			c.Expire(&o.env)
			if c.Deadline() <= o.env.Now && c.state != Closed {
				t.Fatal("a deadline stays due")
			}
		}
	}
	o.out()
	o.done()
}

func fuzzSegment(o *one, near func(Seq) Seq, next func(int) uint32) {
	c := &o.conn
	var seg Segment
	seg.Seq, seg.Ack = near(c.rcvNxt), near(c.sndNxt)
	if next(1)%2 == 0 {
		seg.Ack = near(c.sndUna)
	}
	seg.Flags = ACK
	if f := next(1); f&3 == 0 {
		seg.Flags = Flags(next(1))
	}
	seg.Wnd, seg.Urg = uint16(next(2)), uint16(next(1))<<8
	if k := next(1); k&7 == 0 { // options of a SYN, on whatever
		seg.Opts.Has = uint8(k>>3) & (HasMSS | HasWScale | HasSACKOK)
		seg.Opts.MSS, seg.Opts.WScale = uint16(next(2)), uint8(next(1))
	}
	for range next(1) % 5 {
		from := near(c.sndUna)
		seg.Opts.SACK[seg.Opts.NSACK&3] = Block{from, near(from)}
		seg.Opts.NSACK = min(seg.Opts.NSACK+1, 4)
	}
	if o.ts != 0 {
		seg.Opts.Has |= HasTS
		seg.Opts.TSVal, seg.Opts.TSEcr = uint32(near(Seq(c.tsRecent))), uint32(near(Seq(c.tsVal(&o.env))))
	}
	seg.NoDup, seg.NoRoom = next(1)%8 == 0, next(1)%8 == 0
	// The header goes over the wire.
	if seg.HeaderLen() <= MaxHeader {
		var b [MaxHeader]byte
		seg.Put(b[:], 1, 2)
		noDup, noRoom := seg.NoDup, seg.NoRoom
		if _, ok := seg.Parse(b[:seg.HeaderLen()]); !ok {
			o.t.Fatal("what Put wrote does not parse")
		}
		seg.NoDup, seg.NoRoom = noDup, noRoom
	}
	for range next(1) % 3 {
		fr, ok := o.env.Pool.Get()
		if !ok {
			break
		}
		d := frame.Span{Frame: fr, Off: 256, Len: uint16(next(2) % 3000)}
		seg.Data = append(seg.Data, d)
		seg.Len += uint32(d.Len)
	}
	o.sends(&seg)
	was, known := c.rcvNxt, c.state != SynSent
	c.Input(&o.env, &seg)
	if !known {
		o.high = c.rcvNxt
	} else if c.rcvNxt != was && c.rcvNxt.After(o.high) {
		o.t.Fatalf("RCV.NXT went to %d, but the peer has sent no more than to %d", c.rcvNxt-c.irs, o.high-c.irs)
	}
	for _, d := range seg.Data {
		o.env.Pool.Release(d.Frame)
	}
}

// sends notes how far the peer has sent, as far as it matters to the window.
func (o *one) sends(seg *Segment) {
	end := seg.Seq + Seq(seg.Len)
	if seg.Flags&FIN != 0 {
		end++
	}
	if end.After(o.high) && end-o.high < 1<<24 {
		o.high = end
	}
}

func fuzzCall(o *one, near func(Seq) Seq, next func(int) uint32) {
	c := &o.conn
	switch next(1) % 32 {
	case 0:
		c.Shut(&o.env)
	case 1:
		c.Abort(&o.env)
	case 2:
		c.Orphan(&o.env)
	case 3:
		c.Unreachable(&o.env, near(c.sndUna), next(1)%2 == 0)
	case 4:
		c.SetPathMSS(&o.env, near(c.sndUna), uint16(next(2)))
	case 5:
		c.Credit(next(2))
	case 6:
		c.SetWindow(next(3), next(2))
	case 7:
		c.Reserve(int(next(1)), int(next(1)))
	case 8:
		c.Unwrap(&o.env)
	case 9:
		c.Probe()
	case 10:
		o.env.Nodes.Max = o.env.Nodes.Live() + int(next(1)%4)
	case 11:
		o.env.Nodes.Max = 0
	default:
		c.AckNow()
	}
}

// FuzzParse: any bytes as a header.
func FuzzParse(f *testing.F) {
	var b [MaxHeader]byte
	seg := Segment{Flags: SYN, Opts: Options{Has: HasMSS | HasTS | HasWScale | HasSACKOK, MSS: 1460}}
	seg.Put(b[:], 1, 2)
	f.Add(b[:seg.HeaderLen()])
	f.Add([]byte{19: 0})
	f.Add(append(make([]byte, 12), 0xf0, 0, 0, 0, 0, 0, 0, 0, 5, 255))
	f.Fuzz(func(t *testing.T, b []byte) {
		var seg Segment
		n, ok := seg.Parse(b)
		if ok && (n < MinHeader || n > len(b) || int(seg.Opts.NSACK) > len(seg.Opts.SACK) || int(seg.RawLen) > len(seg.Raw) || seg.Opts.WScale > 14) {
			t.Fatalf("%d %+v", n, seg)
		}
	})
}

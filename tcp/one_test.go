package tcp

import (
	"testing"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
)

// one is a Conn whose peer is the test. Sequence numbers are relative: ours
// count from our SYN, the peer's from its SYN.
type one struct {
	*host
	t      testing.TB
	ts     uint32 // the peer's timestamp; 0: the peer sends none
	noSACK bool
	wnd    uint16
	high   Seq // the fuzzer's peer has sent no more than up to it
}

var peerISS Seq = 4294967000 // wraps within the first segment

func newOne(t testing.TB) *one { return newOneOf(t, 512) }

// newOneOf has a pool of the given number of frames.
func newOneOf(t testing.TB, frames int) *one {
	return &one{host: newHost(1, DefaultConfig(), frames), t: t, wnd: 1000}
}

func (o *one) accept() {
	syn := Segment{Seq: peerISS, Wnd: 65535, Flags: SYN}
	syn.Opts = Options{Has: HasMSS | HasWScale, MSS: 1000, WScale: 7}
	if !o.noSACK {
		syn.Opts.Has |= HasSACKOK
	}
	if o.ts != 0 {
		syn.Opts.Has |= HasTS
		syn.Opts.TSVal = o.ts
	}
	o.conn.Accept(&o.env, testTuple(1), testParams, &syn)
}

// in gives the Conn a segment.
func (o *one) in(f Flags, seq, ack Seq, n int, blocks ...Block) Verdict {
	o.t.Helper()
	seg := Segment{Seq: peerISS + seq, Ack: o.conn.iss + ack, Wnd: o.wnd, Flags: f, Len: uint32(n)}
	if o.ts != 0 {
		seg.Opts.Has = HasTS
		seg.Opts.TSVal, seg.Opts.TSEcr = o.ts, o.conn.tsVal(&o.env)
	}
	for _, b := range blocks {
		seg.Opts.SACK[seg.Opts.NSACK] = Block{o.conn.iss + b.From, o.conn.iss + b.To}
		seg.Opts.NSACK++
	}
	return o.input(&seg)
}

// input gives the Conn a segment whose payload is yet to be made.
func (o *one) input(seg *Segment) Verdict {
	o.t.Helper()
	for at, n := 0, int(seg.Len); at < n; {
		k := min(n-at, 3000)
		fr, ok := o.env.Pool.Get()
		if !ok {
			o.t.Fatal("no frame")
		}
		d := frame.Span{Frame: fr, Off: 256, Len: uint16(k)}
		for i, b := 0, o.env.Pool.Bytes(d); i < k; i++ {
			b[i] = pattern(int(seg.Seq-peerISS) - 1 + at + i)
		}
		d.Sum, d.Flags = checksum.Sum(o.env.Pool.Bytes(d)), frame.SumKnown
		if at += k; at < n {
			d.Flags |= frame.More
		}
		seg.Data = append(seg.Data, d)
	}
	v := o.conn.Input(&o.env, seg)
	for _, d := range seg.Data {
		o.env.Pool.Release(d.Frame)
	}
	check(o.t, o.host)
	return v
}

// out collects what the Conn sends, with relative numbers.
func (o *one) out() []Segment {
	var all []Segment
	var seg Segment
	for o.conn.Output(&o.env, &seg) {
		if len(all) > 50000 {
			o.t.Fatal("Output does not end")
		}
		if seg.HeaderLen() > MaxHeader {
			o.t.Fatalf("header of %d bytes", seg.HeaderLen())
		}
		if seg.Len > 0 {
			o.env.Nodes.Gather(o.env.Pool, seg.Run, make([]byte, seg.Len))
		}
		s := seg
		s.Seq -= o.conn.iss
		if s.Flags&ACK != 0 {
			s.Ack -= peerISS
		}
		for i := range s.Opts.SACK[:s.Opts.NSACK] {
			s.Opts.SACK[i].From -= peerISS
			s.Opts.SACK[i].To -= peerISS
		}
		all = append(all, s)
	}
	check(o.t, o.host)
	return all
}

// send queues n bytes in spans of at most piece.
func (o *one) send(n, piece int, mark uint64) {
	o.t.Helper()
	for n > 0 {
		k := min(n, piece)
		fr, _ := o.env.Pool.Get()
		if !o.conn.Send(&o.env, frame.Span{Frame: fr, Off: frame.Headroom, Len: uint16(k)}, mark) {
			o.t.Fatal("Send refused")
		}
		o.env.Pool.Release(fr)
		n -= k
	}
}

// wait moves the clock to the next deadline and runs it.
func (o *one) wait() Time {
	at := o.conn.Deadline()
	if at == Never {
		o.t.Fatal("no deadline")
	}
	from := o.env.Now
	o.env.Now = max(from, at)
	o.conn.Expire(&o.env)
	return o.env.Now - from
}

// established brings the Conn there, with nothing owed.
func (o *one) established() *one {
	o.t.Helper()
	o.accept()
	if s := o.out(); len(s) != 1 || s[0].Flags != SYN|ACK || s[0].Ack != 1 {
		o.t.Fatalf("answer to SYN: %+v", s)
	}
	o.env.Now += 10 * Millisecond
	if o.in(ACK, 1, 1, 0) != Acceptable || o.conn.state != Established {
		o.t.Fatal("not established")
	}
	o.conn.quick = 0
	o.conn.Events()
	return o
}

func (o *one) done() {
	o.conn.Free(&o.env)
	if o.env.Nodes.Live() != 0 || o.env.Pool.Free() != o.free {
		o.t.Errorf("leaks: %d nodes, frames %v", o.env.Nodes.Live(), o.env.Pool.Leaks(5))
	}
}

// read takes everything there is and verifies it.
func (o *one) read() int {
	o.t.Helper()
	total := 0
	for {
		d, at, ok := o.conn.Recv(&o.env)
		if !ok {
			return total
		}
		b := o.env.Pool.Bytes(d)
		for i := range b {
			if b[i] != pattern(int(at-peerISS)-1+i) {
				o.t.Fatalf("byte %d is wrong", int(at-peerISS)-1+i)
			}
		}
		if d.Flags&frame.SumKnown != 0 && !sameSum(d.Sum, checksum.Sum(b)) {
			o.t.Fatalf("sum of span at %d: %#x, want %#x", at-peerISS, d.Sum, checksum.Sum(b))
		}
		if d.Flags&frame.More != 0 {
			o.t.Fatal("a span of the stream claims to continue a packet")
		}
		total += len(b)
		o.env.Pool.Release(d.Frame)
	}
}

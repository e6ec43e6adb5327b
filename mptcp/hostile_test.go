package mptcp

import (
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// hostile is a peer that completed the handshake and then says what it likes.
// Its sequence numbers are acceptable, so that its options count.
type hostile struct {
	h    *host
	f    []Flow
	c    Conn
	dice func(n int) int
	seg  tcp.Segment
}

// newHostile brings up a connection with two subflows at the server.
func newHostile(t *testing.T, seed uint64, csum bool, dice func(n int) int) *hostile {
	w := newWorld(t, seed, &path{up: true, delay: tcp.Millisecond}, &path{up: true, delay: 2 * tcp.Millisecond})
	w.v = profile(seed / 3 % 2)
	w.srv.set.conf.Checksum = csum
	w.srv.set.conf.RcvBuf, w.srv.set.conf.SndBuf = 64<<10, 64<<10
	c, s := w.pair(0, 0)
	c.keepOpen, s.keepOpen = true, true
	w.after(20*tcp.Millisecond, func() { w.srv.send(s, 3000) })
	w.after(50*tcp.Millisecond, func() { w.join(c.c, 1, 2000, false) })
	end := w.now + 100*tcp.Millisecond
	w.run(10*tcp.Second, func() bool { return w.now >= end })
	x := &hostile{h: w.srv, c: s.c, dice: dice}
	for i := range byte(2) {
		for f, tu := range w.srv.tuples {
			if tu.Remote == addr(1+i) {
				x.f = append(x.f, f)
			}
		}
	}
	if len(x.f) != 2 {
		t.Fatal("not two subflows")
	}
	return x
}

// near is a number close to one that matters.
func (x *hostile) near(v uint64) uint64 {
	switch x.dice(6) {
	case 0:
		return v
	case 1:
		return v + uint64(x.dice(3000))
	case 2:
		return v - uint64(x.dice(3000))
	case 3:
		return v + uint64(x.dice(200_000))
	case 4:
		return v + 1<<uint(x.dice(64))
	}
	return uint64(x.dice(1<<30)) << 33
}

// option appends one to the segment.
func (x *hostile) option(c *conn, sf *subflow) {
	seg := &x.seg
	if room(seg) < 28 {
		return
	}
	switch x.dice(12) {
	case 0, 1, 2, 3, 4:
		d := dssOption{flags: uint8(x.dice(32)), sum: x.dice(4) == 0 != c.csum, length: uint16(x.dice(3000)), csum: uint16(x.dice(1 << 16)),
			ssn: uint32(x.near(uint64(sf.rd))), dsn: x.near(c.rcvNxt), ack: x.near(c.sndUna)}
		if x.dice(20) == 0 {
			d.length = 0
		}
		if d.flags&dssMap == 0 {
			d.sum = false
		}
		d.put(seg)
	case 5:
		(&addrOption{id: uint8(x.dice(12)), addr: tcp.AddrFrom4([4]byte{byte(x.dice(256)), 0, 0, 1}), echo: x.dice(2) == 0}).put(seg, c.profile)
	case 6:
		a := addrOption{id: uint8(x.dice(12)), addr: tcp.AddrFrom4([4]byte{10, 0, 0, byte(x.dice(20))}), signed: true}
		a.mac = c.profile.addrMAC(c.remoteKey, c.localKey, &a)
		a.put(seg, c.profile)
	case 7:
		(&removeOption{n: 3, ids: [37]uint8{uint8(x.dice(12)), 0, 1}}).put(seg)
	case 8:
		prioOption{backup: x.dice(2) == 0, hasID: c.profile == v0 && x.dice(2) == 0, id: uint8(x.dice(3))}.put(seg)
	case 9:
		switch x.dice(3) {
		case 0:
			putFastclose(seg, x.near(c.localKey)|1<<63|1)
		case 1:
			(&joinOption{size: 24}).put(seg)
		default:
			(&capableOption{version: 1, size: 22, flags: 1, sender: c.remoteKey, receiver: c.localKey, length: uint16(x.dice(3000))}).put(seg)
		}
	case 10:
		if x.dice(30) == 0 {
			putFail(seg, x.near(c.rcvNxt))
		}
	default:
		for range x.dice(28) {
			seg.Raw[seg.RawLen] = byte(x.dice(256))
			seg.RawLen++
		}
	}
}

// act is one move: a segment, time, or the application.
func (x *hostile) act() bool {
	h := x.h
	c := h.set.conn(x.c)
	if c == nil {
		return false
	}
	h.env.Now += tcp.Time(x.dice(20)) * tcp.Millisecond
	switch x.dice(16) {
	case 0:
		h.env.Now += tcp.Time(x.dice(4000)) * tcp.Millisecond
	case 1:
		h.send(&app{c: x.c}, x.dice(20_000))
	case 2, 3:
		for {
			d, ok := h.set.Recv(&h.env, x.c)
			if !ok {
				break
			}
			h.env.Pool.Release(d.Frame)
		}
	case 4:
		if x.dice(40) == 0 {
			h.set.Shut(&h.env, x.c)
		}
	}
	f := x.f[x.dice(2)]
	sf := h.set.flow(f)
	if sf == nil {
		return x.drain()
	}
	st := sf.tcp.Status()
	seg := &x.seg
	*seg = tcp.Segment{Flags: tcp.ACK, Wnd: uint16(x.dice(1 << 16)), Seq: st.RcvNxt, Ack: st.SndUna, Data: seg.Data[:0]}
	if x.dice(3) == 0 {
		seg.Seq += tcp.Seq(x.dice(5000))
	}
	if st.SndNxt != st.SndUna {
		seg.Ack += tcp.Seq(x.dice(int(st.SndNxt-st.SndUna) + 1))
	}
	if x.dice(200) == 0 {
		seg.Flags |= tcp.FIN
	}
	for range x.dice(3) {
		x.option(c, sf)
	}
	if x.dice(2) == 0 {
		if i, ok := h.env.Pool.Get(); ok {
			defer h.env.Pool.Release(i)
			seg.Len = uint32(1 + x.dice(1400))
			seg.Data = append(seg.Data, frame.Span{Frame: i, Off: frame.Headroom, Len: uint16(seg.Len)})
		}
	}
	h.set.Input(&h.env, f, seg)
	return x.drain()
}

// drain lets the set say all it has to say.
func (x *hostile) drain() bool {
	h := x.h
	var out tcp.Segment
	for range 1000 {
		f, ok := h.set.NextDirty(&h.env)
		if !ok {
			break
		}
		for n := 0; h.set.Output(&h.env, f, &out); n++ {
			if out.HeaderLen() > tcp.MaxHeader || n > 10_000 {
				panic("a header too long, or no end of segments")
			}
		}
		if _, _, over := h.set.Over(&h.env, f); over {
			h.set.FreeFlow(&h.env, f)
		}
	}
	for _, f := range x.f {
		if h.set.Deadline(f) <= h.env.Now {
			h.set.Expire(&h.env, f)
		}
	}
	if h.set.ConnDeadline(x.c) <= h.env.Now {
		h.set.ExpireConn(&h.env, x.c)
	}
	return true
}

// end lets go of everything and checks that nothing is left.
func (x *hostile) end(t *testing.T) {
	h := x.h
	h.set.Abort(&h.env, x.c)
	h.set.Release(&h.env, x.c)
	for range closeRetries + 3 { // MP_FASTCLOSE on ACKs waits for an answer
		h.env.Now += 10 * tcp.Second
		x.drain()
		x.drain()
	}
	if c, f := h.set.Len(); c != 0 || f != 0 || h.env.Pool.Free() != h.env.Pool.Frames() || h.env.Nodes.Live() != 0 || h.set.maps.Live() != 0 || h.set.addrs.Live() != 0 {
		t.Fatalf("%d connections, %d flows, %d frames, %d nodes, %d mappings, %d addresses are left", c, f,
			h.env.Pool.Frames()-h.env.Pool.Free(), h.env.Nodes.Live(), h.set.maps.Live(), h.set.addrs.Live())
	}
}

// bounds checks what a peer must not be able to exceed.
func (x *hostile) bounds(t *testing.T) {
	c := x.h.set.conn(x.c)
	if c == nil {
		return
	}
	if n := c.rq.bytes + c.ofo.bytes; n > 3*c.rcv.Bound() {
		t.Fatalf("%d bytes are held for a buffer of %d", n, c.rcv.Bound())
	}
	if before(c.sndNxt, c.sndUna) || before(c.rcvEdge, c.rcvNxt) && !c.peerDone && !c.plain {
		t.Fatalf("sndUna %d beyond sndNxt %d, or rcvNxt %d beyond the edge %d", c.sndUna, c.sndNxt, c.rcvNxt, c.rcvEdge)
	}
	if x.h.set.addrs.Live() > maxAddresses {
		t.Fatal("too many addresses")
	}
}

func TestHostile(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		x := newHostile(t, seed, seed%3 == 0, r.IntN)
		for i := range 3000 {
			if !x.act() {
				break
			}
			if i%16 == 0 {
				x.bounds(t)
			}
		}
		x.end(t)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzInput lets the fuzzer choose what the hostile peer does.
func FuzzInput(f *testing.F) {
	f.Add([]byte("0123456789"), false)
	f.Fuzz(func(t *testing.T, b []byte, csum bool) {
		i := 0
		dice := func(n int) int {
			v := 0
			for range 2 {
				v <<= 8
				if i < len(b) {
					v |= int(b[i])
				}
				i++
			}
			return v % n
		}
		x := newHostile(t, 1+3*uint64(len(b)%2), csum, dice)
		for i < len(b) && x.act() {
			x.bounds(t)
		}
		x.end(t)
	})
}

package tcp

import (
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
)

// full is an established Conn with 16 MiB in flight, a node for each segment.
type full struct {
	*one
	n    int // nodes
	una  int // of them acknowledged
	seen uint64
}

const fullLen = 1000

func newFull(t *testing.T) *full {
	f := &full{one: newOne(t), n: 16 << 20 / fullLen}
	f.conf.SndBuf, f.conf.RcvBuf = 64<<20, 64<<20
	f.wnd = 65535
	f.established()
	f.conn.sndWnd = 1 << 30
	f.conn.cc.Cwnd = 1 << 30
	d, _ := f.env.Pool.Get()
	for range f.n {
		if !f.conn.Send(&f.env, frame.Span{Frame: d, Off: 128, Len: fullLen}, 0) {
			t.Fatal("no room")
		}
	}
	f.env.Pool.Release(d)
	if f.send(f.n) != f.n {
		t.Fatal("did not leave")
	}
	f.seen = f.count.NodeVisits
	return f
}

// send takes up to most segments and returns how many there were.
func (f *full) send(most int) (n int) {
	var seg Segment
	for n < most && f.conn.Output(&f.env, &seg) {
		if seg.Len > 0 {
			n++
		}
	}
	return n
}

// ack acknowledges una nodes and blocks, counted in bytes from there. It returns how many
// nodes were looked at.
func (f *full) ack(una int, blocks ...Block) uint64 {
	f.una = max(f.una, una)
	seg := Segment{Seq: peerISS + 1, Ack: f.conn.iss + 1 + Seq(una*fullLen), Wnd: 65535, Flags: ACK}
	for _, b := range blocks {
		seg.Opts.SACK[seg.Opts.NSACK] = Block{f.conn.iss + 1 + b.From, f.conn.iss + 1 + b.To}
		seg.Opts.NSACK++
	}
	f.conn.Input(&f.env, &seg)
	f.conn.sndWnd = 1 << 30
	return f.visits()
}

func (f *full) visits() uint64 {
	n := f.count.NodeVisits - f.seen
	f.seen = f.count.NodeVisits
	return n
}

func nodes(i, j int) Block { return Block{Seq(i * fullLen), Seq(j * fullLen)} }

// CVE-2019-11478: whatever SACK blocks an ACK carries, what it costs is bounded,
// and over time by what was sent.
func TestScoreboardWorkIsBounded(t *testing.T) {
	// Of one ACK: the walks, the end of each block, and a node beyond what was
	// marked, lost or acknowledged.
	const perAck = maxWalk + 16
	r := rand.New(rand.NewPCG(3, 3))
	pick := func(f *full) int { return f.una + r.IntN(f.n-f.una-2) }
	for _, x := range []struct {
		name string
		acks int
		step func(f *full, i int) uint64
	}{
		{"single bytes anywhere", 3000, func(f *full, _ int) uint64 {
			var b [4]Block
			for i := range b {
				at := Seq(pick(f) * fullLen)
				b[i] = Block{at + 1, at + 2}
			}
			return f.ack(f.una, b[:]...)
		}},
		{"every second segment, from four places", 4000, func(f *full, i int) uint64 {
			var b [4]Block
			for k := range b {
				at := 1 + 2*((i*3+k*f.n/9)%(f.n/2-1))
				b[k] = nodes(at, at+1)
			}
			return f.ack(f.una, b[:]...)
		}},
		{"blocks that move by a byte", 3000, func(f *full, i int) uint64 {
			var b [4]Block
			for k := range b {
				b[k] = nodes(f.n/5*(k+1), f.n/5*(k+1)+900)
				b[k].From += Seq(i)
				b[k].To -= Seq(i)
			}
			return f.ack(f.una, b[:]...)
		}},
		{"large blocks that jump", 3000, func(f *full, i int) uint64 {
			var b [4]Block
			for k := range b {
				at := pick(f)
				b[k] = nodes(at, min(at+2000, f.n))
			}
			return f.ack(f.una, b[:]...)
		}},
		// All is found lost, and a DSACK says that it was not, again and again.
		{"losses taken back", 3000, func(f *full, i int) uint64 {
			f.env.Now += 200 * Millisecond
			if i == 0 {
				return f.ack(0, nodes(f.n-1, f.n))
			}
			return f.ack(f.una+1, nodes(f.una, f.una+1))
		}},
		{"progress by a byte", 900, func(f *full, i int) uint64 {
			seg := Segment{Seq: peerISS + 1, Ack: f.conn.iss + 1 + Seq(i), Wnd: 65535, Flags: ACK}
			seg.Opts.SACK[0] = Block{f.conn.iss + 1 + Seq((f.n-1)*fullLen), f.conn.iss + 1 + Seq(f.n*fullLen)}
			seg.Opts.NSACK = 1
			f.env.Now += Second
			f.conn.Input(&f.env, &seg)
			return f.visits()
		}},
	} {
		f := newFull(t)
		sent := uint64(f.n)
		var total, most uint64
		for i := range x.acks {
			n := x.step(f, i)
			total, most = total+n, max(most, n)
			f.conn.cc.Cwnd = 1 << 30
			sent += uint64(f.send(1)) // each time the peer pays for no more than one
		}
		t.Logf("%-40s %5d nodes an ACK, at most %d", x.name, total/uint64(x.acks), most)
		// Each node that was sent can be marked, found lost, let off and
		// acknowledged, once.
		if allowed := uint64(x.acks)*3*perAck + 4*sent; total > allowed {
			t.Errorf("%s: %d nodes were looked at for %d ACKs, %d are allowed", x.name, total, x.acks, allowed)
		}
		f.conn.Free(&f.env)
	}
}

// Honest blocks do their work under the same bound.
func TestScoreboardLargeBlocks(t *testing.T) {
	f := newFull(t)
	f.ack(100, nodes(200, f.n-1))
	if int(f.conn.sackedNodes) != f.n-201 {
		t.Errorf("%d marked of %d", f.conn.sackedNodes, f.n-201)
	}
	if n := f.ack(100, nodes(200, f.n)); n > maxWalk {
		t.Errorf("%d nodes looked at for one more", n)
	}
	f.ack(f.n)
	f.done()
}

// A peer that reneges with each ACK makes us look at everything, but no more
// often than a timer of 10 ms fires.
func TestRenegingWorkIsBounded(t *testing.T) {
	f := newFull(t)
	for i := range 20 {
		f.ack(i, nodes(i+1, i+3))
		f.ack(i + 1)
		if w := f.wait(); w < minTail {
			t.Fatalf("the timer fired after %d us", w/Microsecond)
		}
		if n := f.visits(); n > 4*uint64(f.n) {
			t.Fatalf("%d nodes looked at", n)
		}
	}
	f.conn.Free(&f.env)
}

package sim

import (
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// fewFrames is a server's pool: 4 MiB, where 256 are usual.
const fewFrames = 1024

// pressed is a pair whose server has few frames, over links of 100 Mbit/s with
// a round trip of 20 ms.
func pressed(t *testing.T, seed uint64, frames int) *pair {
	t.Helper()
	return newPair(t, pairConfig{seed: seed, link: link.Config{Rate: 1e8, Delay: 5 * ms, QueueBytes: 256 << 10}, frames: 1 << 15, serverFrames: frames})
}

// admission is how long a client may wait for its turn among those who are let go for
// having been stuck for five seconds: its SYN comes again after 1, 3 and 7 s.
const admission = 8 * tcp.Second

// honest lets the client upload, or download, n bytes and returns how long that
// took since it was let in.
func (p *pair) honest(t *testing.T, up, down int64, within tcp.Time) tcp.Time {
	t.Helper()
	out := &Stream{Send: up, Key: 1, Want: 2}
	in := &Stream{Send: down, Key: 2, Want: 1}
	serve := p.service.Serve
	p.service.Serve = func() *Stream { return in }
	p.client.Do(func(s *stack.Shard) {
		if err := p.app.Dial(s, "10.0.0.2:80", out); err != nil {
			t.Error(err)
		}
	})
	asked := p.Now()
	if !p.RunUntil(func() bool { return in.Connected }, admission) {
		t.Fatal("the honest client was not let in")
	}
	began := p.Now()
	t.Logf("let in after %d ms", (began-asked)/tcp.Millisecond)
	p.service.Serve = serve
	if !p.RunUntil(func() bool { return out.Done && in.Done }, within) {
		t.Fatalf("the honest transfer is not over after %d s: %+v %+v", within/tcp.Second, *out, *in)
	}
	if out.Got != down || in.Got != up || out.Mismatch+in.Mismatch != 0 || out.Err != tcp.NoError || in.Err != tcp.NoError {
		t.Fatalf("%+v %+v", *out, *in)
	}
	return p.Now() - began
}

func mbit(n int64, took tcp.Time) float64 { return float64(n) * 8e3 / float64(took) }

const honestBytes = 4 << 20

// tell logs what an attack did to an honest transfer.
func (p *pair) tell(t *testing.T, what string, took, alone tcp.Time) {
	t.Helper()
	st := p.server.Shard.Stats()
	t.Logf("seed %d, %s: honest %.1f Mbit/s, alone %.1f; %d frames free of %d; steps %v; %d segments refused", p.Seed, what,
		mbit(honestBytes, took), mbit(honestBytes, alone), p.server.Pool.Free(), p.server.Pool.Frames(), st.Shed, st.NoRoom)
}

// TestSmallSegments: flows that send a byte at a time, with gaps everywhere: what
// they pin is bounded by bytes, and an honest flow hardly feels them.
func TestSmallSegments(t *testing.T) {
	for _, gaps := range []bool{false, true} {
		p := pressed(t, 41, fewFrames)
		alone := p.honest(t, honestBytes, 0, 60*tcp.Second)
		p.service.Serve = func() *Stream { return &Stream{Hold: true, Send: 1 << 40, After: true} }
		c := crowdOf(p)
		flows := c.join(300, 300*tcp.Microsecond, 65535)
		p.Run(p.Now() + tcp.Second)
		if n := c.opened(); n != len(flows) {
			t.Fatalf("%d flows of %d", n, len(flows))
		}
		before := p.server.Pool.Free()
		attack := func(at tcp.Seq) {
			for _, m := range flows {
				if !m.gone {
					m.say(tcp.ACK, m.snd+at, []byte{1})
				}
			}
		}
		for i := tcp.Seq(0); i < 500; i++ {
			at := i
			if gaps {
				at = 1 + 2*(i*7%1000)
			}
			attack(at)
			p.Run(p.Now() + 10*tcp.Millisecond)
		}
		pinned := before - p.server.Pool.Free()
		t.Logf("gaps %v: %d flows pin %d frames", gaps, len(flows), pinned)
		if pinned > 2*len(flows) {
			t.Errorf("gaps %v: %d frames for %d flows", gaps, pinned, len(flows))
		}
		took := p.honest(t, honestBytes, 0, 60*tcp.Second)
		p.tell(t, "small segments", took, alone)
		if took > alone*5/4 {
			t.Errorf("gaps %v: %d ms instead of %d", gaps, took/tcp.Millisecond, alone/tcp.Millisecond)
		}
		p.settle(t)
	}
}

// TestUnreadUploads: a thousand uploads into an application that does not read. An
// honest one goes on; when the application reads again at last, nothing is missing.
func TestUnreadUploads(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	const size = 60 << 10
	p := pressed(t, 42, 2*n)
	alone := p.honest(t, honestBytes, 0, 60*tcp.Second)
	var in, out []*Stream
	p.service.Serve = func() *Stream {
		st := &Stream{Hold: true, Want: 1}
		in = append(in, st)
		return st
	}
	for i := range n {
		st := &Stream{Send: size, Key: 1}
		out = append(out, st)
		p.client.Do(func(s *stack.Shard) {
			if err := p.app.Dial(s, "10.0.0.2:80", st); err != nil {
				t.Error(err)
			}
		})
		if i%10 == 0 {
			p.Run(p.Now() + 10*tcp.Millisecond)
		}
	}
	p.Run(p.Now() + 2*tcp.Second)
	if free, low := p.server.Pool.Free(), p.server.Pool.Frames()/16; free > 2*low {
		t.Errorf("%d frames are free: that is no shortage", free)
	}
	p.bounded(t)
	p.server.Do(func(s *stack.Shard) {
		for _, st := range in {
			p.service.Resume(s, st)
		}
		p.service.Serve = func() *Stream { return &Stream{Want: 1} }
	})
	over := func() bool {
		for _, st := range out {
			if !st.Done {
				return false
			}
		}
		return true
	}
	if !p.RunUntil(over, 300*tcp.Second) {
		t.Error("not over")
	}
	p.Run(p.Now() + tcp.Second)
	for i, st := range in {
		if st.Got != size || st.Mismatch != 0 || st.Err != tcp.NoError {
			t.Fatalf("stream %d: %+v", i, *st)
		}
	}
	p.tell(t, "uploads, read again", alone, alone)
	if k := p.server.Shard.Stats().Shed[stack.StepAbort]; k != 0 {
		t.Errorf("%d aborted though all was read in time", k)
	}
	p.settle(t)
}

// bounded expects that no more was promised than may be, and nothing dropped that
// was reported by SACK.
func (p *pair) bounded(t *testing.T) {
	t.Helper()
	if n := p.client.Shard.Stats().TCP.SACKReneging; n != 0 {
		t.Errorf("%d times data was missing that had been reported", n)
	}
	most := uint64(tcp.Overcommit) * uint64(p.server.Pool.Frames()*p.server.Pool.FrameSize())
	if n := p.server.Shard.Promised(); n > most {
		t.Errorf("%d bytes promised, %d allowed", n, most)
	}
}

// TestNeverRead: the same, but nobody ever reads. Those who hold most for longest
// are aborted until there is room for others.
func TestNeverRead(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	p := pressed(t, 43, 2*n)
	alone := p.honest(t, honestBytes, 0, 60*tcp.Second)
	p.service.Serve = func() *Stream { return &Stream{Hold: true} }
	for i := range n {
		st := &Stream{Send: 1 << 20, Key: 1}
		p.client.Do(func(s *stack.Shard) { p.app.Dial(s, "10.0.0.2:80", st) })
		if i%10 == 0 {
			p.Run(p.Now() + 10*tcp.Millisecond)
		}
	}
	p.Run(p.Now() + 10*tcp.Second)
	p.bounded(t)
	took := p.honest(t, honestBytes, 0, 120*tcp.Second)
	p.tell(t, "uploads that nobody reads", took, alone)
	if k := p.server.Shard.Stats().Shed[stack.StepAbort]; k == 0 {
		t.Error("nobody was aborted")
	}
	if took > 4*alone {
		t.Errorf("%d ms instead of %d", took/tcp.Millisecond, alone/tcp.Millisecond)
	}
}

// TestVanishedAndSlow: a thousand downloads to phones that vanished, or that take a
// byte a second.
func TestVanishedAndSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("a crowd in a pool of some size is not short")
	}
	const n = 1000
	for _, slow := range []bool{false, true} {
		p := pressed(t, 44, 2*n)
		alone := p.honest(t, 0, honestBytes, 60*tcp.Second)
		p.service.Serve = func() *Stream { return &Stream{Send: 1 << 40, Key: 2} }
		c := crowdOf(p)
		c.answer = func(m *member, seg *tcp.Segment) {} // vanished
		flows := c.join(n, 300*tcp.Microsecond, 65535)
		for range 10 {
			for _, m := range flows {
				if slow && m.open && !m.gone {
					m.rcv++
					m.say(tcp.ACK, m.snd, nil)
				}
			}
			p.Run(p.Now() + tcp.Second)
		}
		p.bounded(t)
		took := p.honest(t, 0, honestBytes, 120*tcp.Second)
		p.tell(t, map[bool]string{false: "vanished", true: "a byte a second"}[slow], took, alone)
		if took > 4*alone {
			t.Errorf("slow %v: %d ms instead of %d", slow, took/tcp.Millisecond, alone/tcp.Millisecond)
		}
	}
}

// TestTinyPool: both directions of many connections at once, on a pool in which
// everything is short all the time. It is slow, but everything comes.
func TestTinyPool(t *testing.T) {
	const n, size = 40, 100 << 10
	p := pressed(t, 45, 300)
	var all []*Stream
	add := func(st *Stream) *Stream { all = append(all, st); return st }
	p.service.Serve = func() *Stream { return add(&Stream{Send: size, Key: 2, Want: 1, Hold: true}) }
	for range n {
		p.client.Do(func(s *stack.Shard) {
			if err := p.app.Dial(s, "10.0.0.2:80", add(&Stream{Send: size, Key: 1, Want: 2})); err != nil {
				t.Error(err)
			}
		})
	}
	for range 2000 { // who connects is read from after a while
		p.Run(p.Now() + 100*tcp.Millisecond)
		p.bounded(t)
		over := len(all) == 2*n
		for _, st := range all {
			if over = over && st.Done; st.Hold && st.Connected && p.Now() > 3*tcp.Second {
				p.server.Do(func(s *stack.Shard) { p.service.Resume(s, st) })
			}
		}
		if over {
			break
		}
	}
	for i, st := range all {
		if st.Got != size || st.Mismatch != 0 || st.Err != tcp.NoError {
			t.Fatalf("stream %d of %d: %+v", i, len(all), *st)
		}
	}
	t.Logf("seed 45: %d connections in %d ms; steps %v, %d segments refused", n, p.Now()/tcp.Millisecond, p.server.Shard.Stats().Shed, p.server.Shard.Stats().NoRoom)
	p.settle(t)
}

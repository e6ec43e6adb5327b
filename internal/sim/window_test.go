package sim

import (
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// longFat is 1 Gbit/s with 100 ms, and a queue of a quarter of that.
var longFat = link.Config{Rate: 1e9, Delay: 100 * ms, QueueBytes: 12_500_000 / 4}

// firstBytes is how long n bytes take over longFat between buffers of 32 MiB
// that begin with start bytes, and how large the receive window then was.
func firstBytes(t *testing.T, seed uint64, n int64, start uint32, noTS bool) (took tcp.Time, lost uint64) {
	t.Helper()
	conf := tcp.DefaultConfig()
	conf.RcvBuf, conf.SndBuf, conf.RcvStart, conf.NoTimestamps = 32<<20, 32<<20, start, noTS
	p := newPair(t, pairConfig{seed: seed, tcp: &conf, frames: 1 << 16})
	p.client.Ports[0].Up.Set(longFat)
	p.client.Ports[0].Down.Set(link.Config{Delay: ms / 100})
	p.exchange(t, servers["IPv4"], n, 1, 60*tcp.Second)
	t.Logf("seed %d: %d MB from %d KiB in %d ms, %d retransmitted", seed, n/1e6, start>>10, p.Now()/tcp.Millisecond, p.client.Shard.Stats().TCP.RetransSegs)
	return p.Now(), p.client.Shard.Stats().TCP.RetransSegs
}

// TestReceiveBufferGrows: a buffer that begins with 128 KiB may cost little
// against one that has all it could ever need from the beginning.
func TestReceiveBufferGrows(t *testing.T) {
	if testing.Short() {
		t.Skip("a second of a gigabit is not short")
	}
	for _, noTS := range []bool{false, true} {
		for _, n := range []int64{2e6, 60e6} {
			whole, _ := firstBytes(t, 31, n, 32<<20, noTS)
			tuned, _ := firstBytes(t, 31, n, 128<<10, noTS)
			if tuned > whole*105/100 {
				t.Errorf("%d MB without timestamps %v: %d ms against %d ms with the whole buffer", n/1e6, noTS, tuned/tcp.Millisecond, whole/tcp.Millisecond)
			}
		}
	}
}

// TestUnreadGetsNoGrowth: an application that does not read holds what the
// buffer begins with, however much is sent to it, and with it the sender.
func TestUnreadGetsNoGrowth(t *testing.T) {
	const size = 8 << 20
	p := newPair(t, pairConfig{seed: 32, link: link.Config{Rate: 1e9, Delay: ms}})
	in, out := &Stream{Want: 1, Hold: true}, &Stream{Send: size, Key: 1}
	p.service.Serve = func() *Stream { return in }
	p.client.Do(func(s *stack.Shard) { p.app.Dial(s, "10.0.0.2:80", out) })
	p.Run(20 * tcp.Second)
	p.server.Do(func(s *stack.Shard) {
		if n := s.Readable(in.conn); n < 64<<10 || n > 136<<10 {
			t.Errorf("%d bytes wait unread", n)
		}
	})
	if out.Sent > 1<<20 {
		t.Errorf("the sender's application could write %d bytes", out.Sent)
	}
	p.server.Do(func(s *stack.Shard) { p.service.Resume(s, in) })
	if !p.RunUntil(func() bool { return in.Done && out.Done }, 60*tcp.Second) || in.Got != size || in.Mismatch != 0 {
		t.Errorf("%+v %+v", *in, *out)
	}
	p.settle(t)
}

package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// oneWay is a client that sends to a server; data is the way of the data, back that of the ACKs.
func oneWay(t *testing.T, seed uint64, data, back link.Config, to string, bytes int64, within tcp.Time) *pair {
	t.Helper()
	p := newPair(t, pairConfig{seed: seed})
	p.client.Ports[0].Up.Set(data)
	p.client.Ports[0].Down.Set(back)
	p.exchange(t, to, bytes, 1000, within)
	return p
}

// TestEveryLossAlone loses each of the first frames of a transfer by itself, ARP and handshake
// included, then some patterns of several.
func TestEveryLossAlone(t *testing.T) {
	good := link.Config{Rate: 1e8, Delay: 10 * ms}
	masks := []uint64{0x3, 0xff00, 0xaaaa_aaaa, 0x5555_5550, 0xffff_0000, 0xf0f0_f0f0, 1<<40 - 1<<30}
	for i := range 40 {
		masks = append(masks, 1<<i)
	}
	for _, mask := range masks {
		for _, acks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%x/acks=%v", mask, acks), func(t *testing.T) {
				t.Parallel()
				data, back := good, good
				if acks {
					back.Drop = link.Mask(0, mask)
				} else {
					data.Drop = link.Mask(0, mask)
				}
				within := 5 * tcp.Second
				if mask&(mask-1) != 0 {
					within = 60 * tcp.Second // retransmissions are lost as well, and wait longer each time
				}
				oneWay(t, 1, data, back, servers["IPv4"], 100_000, within).settle(t)
			})
		}
	}
}

// TestStripped takes options away: from the handshake, as middleboxes do, and
// SACK blocks from all segments, as worse ones do.
func TestStripped(t *testing.T) {
	const wscale, sackOK, sack, timestamps = 3, 4, 5, 8
	for name, strip := range map[string]link.Strip{
		"window scale":   {Kinds: []uint8{wscale}, SYNOnly: true},
		"SACK permitted": {Kinds: []uint8{sackOK}, SYNOnly: true},
		"timestamps":     {Kinds: []uint8{timestamps}, SYNOnly: true},
		"all":            {Kinds: []uint8{wscale, sackOK, timestamps}, SYNOnly: true},
		"SACK blocks":    {Kinds: []uint8{sack}},
	} {
		for _, both := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/both ways=%v", name, both), func(t *testing.T) {
				t.Parallel()
				data := link.Config{Rate: 1e8, Delay: 5 * ms, Loss: 3000, Strip: strip}
				back := link.Config{Delay: 5 * ms}
				if both {
					back.Strip = strip
				}
				oneWay(t, 2, data, back, servers["IPv4"], 2<<20, 60*tcp.Second).settle(t)
			})
		}
	}
}

// TestNarrowPath: the MTU shrinks on the way, and the router says so.
func TestNarrowPath(t *testing.T) {
	for family, to := range servers {
		t.Run(family, func(t *testing.T) {
			data := link.Config{Rate: 1e8, Delay: 5 * ms, MTU: 14 + 1300, TellTooBig: true}
			p := oneWay(t, 3, data, link.Config{Delay: 5 * ms}, to, 1<<20, 3*tcp.Second)
			up := p.client.Ports[0].Up.Counters()
			if n := up.Dropped[link.TooLong]; n == 0 || n > 20 {
				t.Errorf("%d frames did not fit", n)
			}
			p.settle(t)
		})
	}
}

// TestBursts: what is lost is lost in bursts, some ten frames at a time. (The
// model counts a burst in frames: a sender that waits waits in it.)
func TestBursts(t *testing.T) {
	for _, seed := range seeds(200, 10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := link.Config{Rate: 1e8, Delay: 10 * ms, Jitter: 5 * ms, Burst: link.Burst{Enter: 500, Leave: 100_000, Loss: 900_000}}
			oneWay(t, seed, l, l, servers["IPv4"], 4<<20, 600*tcp.Second).settle(t)
		})
	}
}

// TestHour is an hour of a bad radio: slow, with loss, bursts, jitter and outages. It must be over in seconds.
func TestHour(t *testing.T) {
	if testing.Short() {
		t.Skip("an hour is not short, even a simulated one")
	}
	begin := time.Now()
	l := link.Config{Rate: 2e6, Delay: 40 * ms, Jitter: 30 * ms, Loss: 5000, Burst: link.Burst{Enter: 300, Leave: 200_000, Loss: 800_000},
		Reorder: 5000, ReorderDelay: 20 * ms, Duplicate: 1000, Corrupt: 500}
	for _, seed := range seeds(300, 1) {
		p := newPair(t, pairConfig{seed: seed, link: l})
		const endless = 1 << 40
		out, in := &Stream{Send: endless, Key: 1, Want: 2}, &Stream{Send: endless, Key: 2, Want: 1}
		p.service.Serve = func() *Stream { return in }
		p.client.Do(func(s *stack.Shard) {
			if err := p.app.Dial(s, servers["IPv4"], out); err != nil {
				t.Error(err)
			}
		})
		for minute := range 60 {
			before := [2]int64{in.Got, out.Got}
			from := tcp.Time(minute) * 60 * tcp.Second
			p.Run(from + 45*tcp.Second)
			p.client.SetUp(0, false) // an outage, longer each minute
			p.Run(from + 45*tcp.Second + tcp.Time(minute)*100*tcp.Millisecond)
			p.client.SetUp(0, true)
			p.Run(from + 60*tcp.Second)
			if in.Got == before[0] || out.Got == before[1] {
				t.Errorf("seed %d: nothing came in minute %d: %+v %+v", seed, minute, *in, *out)
			}
		}
		if in.Mismatch != 0 || out.Mismatch != 0 || in.Done || out.Done {
			t.Errorf("seed %d: %+v %+v", seed, *in, *out)
		}
		t.Logf("seed %d: %d and %d MB in an hour; %d retransmissions, %d timeouts", seed, in.Got/1e6, out.Got/1e6,
			p.client.Shard.Stats().TCP.RetransSegs, p.client.Shard.Stats().TCP.Timeouts)
	}
	t.Logf("%v", time.Since(begin).Round(time.Millisecond))
}

package sim

import (
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// TestAggregate: the links of the GIGA Path service, 867 Mbit/s with 10 ms and
// 300 Mbit/s with 40 ms. Both together must carry nearly what each carries
// alone, in either direction.
func TestAggregate(t *testing.T) {
	if testing.Short() {
		t.Skip("ten seconds of a gigabit are not short")
	}
	wifi := link.Config{Rate: 867e6, Overhead: link.EthernetOverhead, Delay: 5 * ms}
	lte := link.Config{Rate: 300e6, Overhead: link.EthernetOverhead, Delay: 20 * ms}
	for _, up := range []bool{false, true} {
		down := map[bool]string{false: "down", true: "up"}[up]
		alone := steadyRate(t, wifi, link.Config{Rate: 1, Delay: ms}, up, false)
		second := steadyRate(t, lte, link.Config{Rate: 1, Delay: ms}, up, false)
		both := steadyRate(t, wifi, lte, up, true)
		t.Logf("%s: wifi %d, lte %d, both %d Mbit/s: %d %% of the sum", down, alone, second, both, 100*both/(alone+second))
		if both*100 < 90*(alone+second) {
			t.Errorf("%s: both paths carry %d Mbit/s, alone %d and %d", down, both, alone, second)
		}
	}
}

// steadyRate is the goodput in Mbit/s from the first to the sixth second.
func steadyRate(t *testing.T, wifi, lte link.Config, up, join bool) int64 {
	t.Helper()
	p := newTwoPaths(t, 13, wifi, lte, false)
	p.app.single = !join
	stream := func(n int64, own, other uint64) *Stream { return &Stream{Send: n, Key: own, Want: other} }
	const endless = 1 << 40
	in, out := stream(endless, 2, 1), stream(1000, 1, 2)
	in.After = true
	if up {
		in, out = stream(1, 2, 1), stream(endless, 1, 2)
	}
	p.app.st = out
	p.service.Serve = func() *Stream { return in }
	p.phone.Do(func(s *stack.Shard) { p.app.dial(t, s) })
	got := func() int64 {
		if up {
			return in.Got
		}
		return out.Got
	}
	p.Run(tcp.Second)
	const seconds = 5
	from, last := got(), got()
	for i := range 2 * seconds {
		p.Run(tcp.Second + tcp.Time(i+1)*tcp.Second/2)
		if testing.Verbose() {
			t.Logf("%d.%d s: %d Mbit/s", 1+(i+1)/2, (i+1)%2*5, (got()-last)*16/1e6)
		}
		last = got()
	}
	return (got() - from) * 8 / 1e6 / seconds
}

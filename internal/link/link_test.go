package link

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const (
	ms  = 1_000_000
	sec = 1_000_000_000
)

// saturate offers frames of n bytes so that the queue never runs dry, and
// returns the arrivals.
func saturate(l *Link, n, frames int) (at []int64) {
	now := int64(0)
	for len(at) < frames {
		f := l.Push(now, n)
		for _, d := range f.Out[:f.N] {
			at = append(at, d.At)
		}
		if f.Drop == QueueFull {
			now += int64(n) * 8 * sec / l.c.Rate
		}
	}
	return at
}

func TestRateIsExact(t *testing.T) {
	// Frames of 1490+24 bytes at 300 Mbit/s take 40373 1/3 ns each: without the
	// remainder 30,000 of them would end 10 us early.
	for _, c := range []struct {
		rate int64
		n    int
	}{{300e6, 1490}, {867e6, 1514}, {1e6, 64}, {7, 60}, {100e9, 9014}} {
		l := New(Config{Rate: c.rate, Overhead: EthernetOverhead, Delay: 5 * ms, QueueBytes: 1 << 20})
		const frames = 30000
		at := saturate(l, c.n, frames)
		wire := float64(frames) * float64(c.n+EthernetOverhead) * 8
		want := wire/float64(c.rate)*sec + 5*ms
		if got := float64(at[frames-1]); math.Abs(got-want) > 1+want*1e-12 {
			t.Errorf("%d bit/s, %d bytes: last of %d frames arrives at %.0f ns, want %.0f", c.rate, c.n, frames, got, want)
		}
		if !slices.IsSorted(at) {
			t.Errorf("%d bit/s: out of order", c.rate)
		}
	}
}

func TestZeroConfigIsAPerfectWire(t *testing.T) {
	l := New(Config{})
	for i := range 1000 {
		f := l.Push(int64(i), 1<<16)
		if f.N != 1 || f.Out[0].At != int64(i) || f.Flip != -1 || !l.Arrive(f.Out[0], 1<<16) {
			t.Fatalf("frame %d: %+v", i, f)
		}
	}
	if c := l.Counters(); c.Lost() != 0 || c.Pushed != 1000 || c.Delivered != 1000 || c.Bytes != 1000<<16 {
		t.Errorf("%+v", c)
	}
}

func TestDelayAndIdleTransmitter(t *testing.T) {
	l := New(Config{Rate: 8e6, Delay: 20 * ms}) // 1 byte per us
	for _, now := range []int64{0, 3 * ms, 3*ms + 500_000, 100 * ms} {
		want := map[int64]int64{0: 21 * ms, 3 * ms: 24 * ms, 3*ms + 500_000: 25 * ms, 100 * ms: 121 * ms}[now]
		if f := l.Push(now, 1000); f.N != 1 || f.Out[0].At != want {
			t.Errorf("pushed at %d: %+v, want arrival at %d", now, f, want)
		}
	}
}

func TestQueueDropTail(t *testing.T) {
	l := New(Config{Rate: 8e6, QueueBytes: 10_000, Overhead: 24})
	for i := range 9 { // 9 * 1024 < 10,000 < 10 * 1024
		if f := l.Push(0, 1000); f.N != 1 {
			t.Fatalf("frame %d: %v", i, f.Drop)
		}
	}
	if f := l.Push(0, 1000); f.N != 0 || f.Drop != QueueFull {
		t.Fatalf("tenth frame: %+v", f)
	}
	if f := l.Push(0, 700); f.N != 1 {
		t.Errorf("a frame that fits: %v", f.Drop)
	}
	if got := l.Backlog(0); got != 9*1024+724 {
		t.Errorf("backlog %d", got)
	}
	if got := l.Backlog(1 * ms); got != 9*1024+724-1000 {
		t.Errorf("backlog 1 ms later %d", got)
	}
	if f := l.Push(1*ms, 1000); f.N != 1 {
		t.Errorf("1 ms later: %v", f.Drop)
	}
	if c := l.Counters(); c.Dropped[QueueFull] != 1 {
		t.Errorf("counted %v", c.Dropped)
	}
	// An idle transmitter takes any frame, however small the queue.
	if f := New(Config{Rate: 8e6, QueueBytes: 10}).Push(0, 1500); f.N != 1 {
		t.Errorf("first frame into a queue of 10 bytes: %v", f.Drop)
	}
}

func TestQueueFrames(t *testing.T) {
	l := New(Config{Rate: 8e6, QueueFrames: 3})
	for i, want := range []Reason{Carried, Carried, Carried, QueueFull} {
		if f := l.Push(0, 1000); f.Drop != want {
			t.Errorf("frame %d: %v, want %v", i, f.Drop, want)
		}
	}
	if f := l.Push(1*ms, 1000); f.Drop != Carried { // the first has just left
		t.Errorf("at 1 ms: %v", f.Drop)
	}
	if f := l.Push(1*ms, 1000); f.Drop != QueueFull {
		t.Errorf("at 1 ms, second: %v", f.Drop)
	}
}

func TestDropListMTUAndDown(t *testing.T) {
	l := New(Config{Drop: []uint64{0, 31, 32, 40}, MTU: 1514})
	var lost []int
	for i := range 100 {
		n := 1514
		if i == 50 {
			n++
		}
		if i == 60 {
			l.SetUp(false)
		}
		if i == 62 {
			l.SetUp(true)
		}
		if l.Push(0, n).N == 0 {
			lost = append(lost, i)
		}
	}
	if want := []int{0, 31, 32, 40, 50, 60, 61}; !slices.Equal(lost, want) {
		t.Errorf("lost %v, want %v", lost, want)
	}
	c := l.Counters()
	if c.Dropped[Listed] != 4 || c.Dropped[TooLong] != 1 || c.Dropped[Down] != 2 || c.Lost() != 7 {
		t.Errorf("counted %v", c.Dropped)
	}
}

func TestCutLosesWhatIsInFlight(t *testing.T) {
	l := New(Config{Rate: 8e6, Delay: 10 * ms})
	before := l.Push(0, 1000).Out[0]
	l.SetUp(false)
	l.SetUp(false) // extra calls are no-ops
	l.SetUp(true)
	after := l.Push(1*ms/2, 1000).Out[0]
	if after.At != 11*ms+ms/2 {
		t.Errorf("arrival %d: it waited for a queue that was lost", after.At)
	}
	if l.Arrive(before, 1000) {
		t.Error("a frame in flight survived the cut")
	}
	if !l.Arrive(after, 1000) {
		t.Error("a frame pushed after the cut was lost")
	}
	if c := l.Counters(); c.Dropped[Cut] != 1 || c.Delivered != 1 {
		t.Errorf("%+v", c)
	}
}

// within fails unless got is within five standard deviations of a binomial
// count with n trials of probability p.
func within(t *testing.T, what string, got uint64, n int, p float64) {
	t.Helper()
	mean, dev := float64(n)*p, math.Sqrt(float64(n)*p*(1-p))
	if math.Abs(float64(got)-mean) > 5*dev {
		t.Errorf("%s: %d of %d, want %.0f +- %.0f", what, got, n, mean, 5*dev)
	}
}

func TestRandomImpairments(t *testing.T) {
	const n = 500_000
	l := New(Config{Seed: 7, Loss: 10_000, Duplicate: 2_000, Corrupt: 50_000, Reorder: 1_000, ReorderDelay: 5})
	bitSeen := make([]bool, 64*8)
	for i := range n {
		f := l.Push(int64(i), 64)
		if f.Flip >= 0 {
			b := make([]byte, 64)
			f.Corrupt(b)
			if b[f.Flip/8] != 1<<(f.Flip%8) {
				t.Fatalf("bit %d: %x", f.Flip, b)
			}
			bitSeen[f.Flip] = true
		}
	}
	c := l.Counters()
	arrived := int(c.Pushed - c.Lost())
	within(t, "loss", c.Dropped[RandomLoss], n, 0.01)
	within(t, "duplicates", c.Duplicated, arrived, 0.002)
	within(t, "corrupted", c.Corrupted, arrived, 0.05)
	within(t, "reordered", c.Reordered, arrived, 0.001)
	if slices.Contains(bitSeen, false) {
		t.Error("some bit of the frame was never flipped")
	}
}

func TestBurstLength(t *testing.T) {
	// Enter 0.1 %, leave 20 %: a stationary share of 1/201 in the bad state, and
	// bursts of 5 frames in the mean.
	const n = 2_000_000
	l := New(Config{Seed: 3, Burst: Burst{Enter: 1_000, Leave: 200_000, Loss: Million}})
	bursts, lost, in := 0, 0, false
	for i := range n {
		gone := l.Push(int64(i), 100).Drop == BurstLoss
		if gone {
			lost++
			if !in {
				bursts++
			}
		}
		in = gone
	}
	if share := float64(lost) / n * 201; share < 0.9 || share > 1.1 {
		t.Errorf("lost %d of %d, want 1 in 201", lost, n)
	}
	if mean := float64(lost) / float64(bursts); mean < 4.6 || mean > 5.4 {
		t.Errorf("mean burst %.2f frames, want 5", mean)
	}
}

func TestReorderOvertakes(t *testing.T) {
	l := New(Config{Seed: 1, Delay: 100, Reorder: 100_000, ReorderDelay: 35})
	q := NewQueue[int](1000)
	for i := range 200 {
		f := l.Push(int64(i*10), 100)
		q.Push(f.Out[0].At, i)
	}
	var order []int
	for i, ok := q.Pop(math.MaxInt64); ok; i, ok = q.Pop(math.MaxInt64) {
		order = append(order, i)
	}
	inversions := 0
	for i, v := range order {
		if v != i && v < slices.Max(order[:i+1]) {
			inversions++
		}
	}
	if got := l.Counters().Reordered; got == 0 || inversions == 0 || uint64(inversions) > got {
		t.Errorf("%d reordered, %d arrived behind a later one", got, inversions)
	}
}

func TestJitterKeepsOrderAndRange(t *testing.T) {
	l := New(Config{Seed: 5, Delay: 1000, Jitter: 500})
	last, least, most := int64(0), int64(math.MaxInt64), int64(0)
	for i := range 100_000 {
		now := int64(i) * 10_000 // so far apart that order does not bind
		at := l.Push(now, 100).Out[0].At
		if at < last {
			t.Fatal("jitter reordered")
		}
		last, least, most = at, min(least, at-now), max(most, at-now)
	}
	if least != 1000 || most != 1500 {
		t.Errorf("delays %d to %d, want 1000 to 1500", least, most)
	}
	l = New(Config{Seed: 5, Delay: 1000, Jitter: 500})
	last = 0
	for i := range 1000 {
		if at := l.Push(int64(i), 100).Out[0].At; at < last {
			t.Fatal("jitter reordered a dense stream")
		} else {
			last = at
		}
	}
}

func TestSameSeedSameRun(t *testing.T) {
	c := Config{Seed: 11, Rate: 1e9, Delay: ms, Jitter: 1000, Loss: 50_000, Duplicate: 50_000, Corrupt: 50_000,
		Reorder: 50_000, ReorderDelay: ms, Burst: Burst{10_000, 100_000, 500_000}}
	run := func(c Config) (fates []Fate) {
		l := New(c)
		r := rand.New(rand.NewPCG(1, 1))
		now := int64(0)
		for range 10_000 {
			now += r.Int64N(20_000)
			fates = append(fates, l.Push(now, 60+r.IntN(1454)))
		}
		return fates
	}
	a := run(c)
	if !slices.Equal(a, run(c)) {
		t.Error("two runs with one seed differ")
	}
	other := c
	other.Seed++
	if slices.Equal(a, run(other)) {
		t.Error("two seeds give the same run")
	}
	// Turning one impairment off leaves the losses where they were.
	quiet := c
	quiet.Duplicate, quiet.Corrupt, quiet.Reorder, quiet.Jitter = 0, 0, 0, 0
	for i, f := range run(quiet) {
		if f.Drop != a[i].Drop {
			t.Fatalf("frame %d: %v with and %v without the other impairments", i, a[i].Drop, f.Drop)
		}
	}
}

func TestSetOnARunningLink(t *testing.T) {
	l := New(Config{Rate: 8e6, Delay: 10 * ms, Seed: 9})
	l.Push(0, 1000)
	c := l.Config()
	c.Rate, c.Delay, c.Seed = 80e6, 0, 1234
	l.Set(c)
	if f := l.Push(0, 1000); f.Out[0].At != 11*ms {
		// 1 ms + 0.1 ms of transmission; but never before the frame in front of it
		t.Errorf("arrival at %d", f.Out[0].At)
	}
	if l.Config().Seed != 9 {
		t.Error("the seed changed in mid-run")
	}
	if got := l.Config().QueueBytes; got != DefaultQueue(8e6) {
		t.Errorf("queue of %d bytes: what was set stays", got)
	}
}

func TestPushDoesNotAllocate(t *testing.T) {
	l := New(Config{Rate: 1e9, Delay: ms, Loss: 100, Jitter: 10, QueueFrames: 1000, Drop: []uint64{4}})
	q := NewQueue[Delivery](64)
	for i := range 64 {
		q.Push(int64(i), Delivery{})
	}
	for _, ok := q.Pop(math.MaxInt64); ok; _, ok = q.Pop(math.MaxInt64) {
	}
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += 20_000
		f := l.Push(now, 1514)
		for _, d := range f.Out[:f.N] {
			q.Push(d.At, d)
		}
		if d, ok := q.Pop(math.MaxInt64); ok {
			l.Arrive(d, 1514)
		}
	}); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func BenchmarkPush(b *testing.B) {
	l := New(Config{Rate: 1e9, Delay: 20 * ms, Loss: 1000, Overhead: EthernetOverhead})
	q := NewQueue[Delivery](1 << 14)
	now := int64(0)
	for b.Loop() {
		now += 12_500
		f := l.Push(now, 1514)
		for _, d := range f.Out[:f.N] {
			q.Push(d.At, d)
		}
		for d, ok := q.Pop(now); ok; d, ok = q.Pop(now) {
			l.Arrive(d, 1514)
		}
	}
}

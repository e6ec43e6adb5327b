package link

import (
	"math/bits"
	"math/rand/v2"
)

// Link is the state of one direction. It has one owner.
type Link struct {
	c    Config
	down bool
	cuts uint32 // how often it went down

	number uint64 // of the next frame
	drop   int    // first entry of c.Drop not yet passed
	bad    bool   // state of c.Burst

	free int64 // when the transmitter is idle
	rest int64 // what free lacks to be exact, in 1/Rate ns
	last int64 // latest arrival of a frame that kept its place
	left fifo  // when each queued frame leaves; only with QueueFrames

	rng   [draws]rand.PCG
	count Counters
}

// Every choice has its own generator: turning one impairment on does not change
// which frames another one hits.
const (
	drawLoss = iota
	drawState
	drawBurst
	drawReorder
	drawDuplicate
	drawCorrupt
	drawBit
	drawJitter
	draws
)

// Delivery is one arrival of a frame at the far end.
type Delivery struct {
	At  int64  // ns on the caller's clock
	cut uint32 // Link.cuts when the frame was pushed
}

// Fate is what becomes of a frame: N arrivals, or none and the reason.
type Fate struct {
	Out  [2]Delivery
	N    int
	Mark bool  // the queue was long when it entered
	Flip int32 // bit of the frame that the medium flips, in all copies; -1: none
	Drop Reason
}

// Corrupt does to the frame what the medium did: it flips the bit Flip, if any.
func (f *Fate) Corrupt(frame []byte) {
	if f.Flip >= 0 && int(f.Flip/8) < len(frame) {
		frame[f.Flip/8] ^= 1 << (f.Flip % 8)
	}
}

// New makes a link that is up.
func New(c Config) *Link {
	l := &Link{c: Config{Seed: c.Seed}}
	for i := range l.rng {
		l.rng[i].Seed(c.Seed, uint64(i))
	}
	l.Set(c)
	return l
}

// Config is the current configuration.
func (l *Link) Config() Config { return l.c }

// Set changes the configuration of a running link, except its Seed. Frames
// already pushed keep the arrival they were promised; a new rate begins behind
// them. Drop counts from the link's first frame, not from the change.
func (l *Link) Set(c Config) {
	if c.Rate > 0 && c.QueueBytes == 0 {
		c.QueueBytes = DefaultQueue(c.Rate)
	}
	if c.Rate != l.c.Rate {
		l.rest = 0
	}
	if c.QueueFrames != l.c.QueueFrames {
		l.left = newFIFO(c.QueueFrames)
	}
	c.Seed = l.c.Seed
	l.c = c
	l.drop = 0
}

// SetUp cuts the link, or mends it. A link that is down swallows silently what
// is pushed, and what was queued or in flight when it went down is lost as well.
func (l *Link) SetUp(up bool) {
	if !up && !l.down {
		l.cuts++
		l.free, l.rest, l.last = 0, 0, 0 // the queue is lost: nobody waits for it
		l.left.head, l.left.n = 0, 0
	}
	l.down = !up
}

// Up tells whether the link carries frames.
func (l *Link) Up() bool { return !l.down }

// Counters are what happened so far.
func (l *Link) Counters() Counters { return l.count }

// Push gives the link a frame of n bytes at the time now, which may not go
// backwards, and says what becomes of it.
func (l *Link) Push(now int64, n int) (f Fate) {
	f.Flip = -1
	number := l.number
	l.number++
	l.count.Pushed++
	if f.Drop = l.enter(now, n); f.Drop != Carried {
		l.count.Dropped[f.Drop]++
		return f
	}
	f.Mark = l.c.MarkBytes > 0 && l.Backlog(now) >= int64(l.c.MarkBytes)
	leaves := l.transmit(now, n)
	if f.Drop = l.medium(number); f.Drop != Carried {
		l.count.Dropped[f.Drop]++
		return f
	}
	f.Flip = l.flip(n)
	f.Out[0] = Delivery{At: l.arrival(leaves), cut: l.cuts}
	f.N = 1
	if l.chance(drawDuplicate, l.c.Duplicate) {
		l.count.Duplicated++
		f.Out[1] = f.Out[0]
		f.N = 2
	}
	return f
}

// Arrive tells, at the time of a delivery, whether the frame really came out:
// not if the link was cut after it was pushed. Call it once per delivery.
func (l *Link) Arrive(d Delivery, n int) bool {
	if d.cut != l.cuts {
		l.count.Dropped[Cut]++
		return false
	}
	l.count.Delivered++
	l.count.Bytes += uint64(n)
	return true
}

// enter decides whether a frame gets into the queue.
func (l *Link) enter(now int64, n int) Reason {
	switch {
	case l.down:
		return Down
	case l.c.MTU > 0 && n > l.c.MTU:
		return TooLong
	case l.c.Rate > 0 && l.free > now && l.backlog(now)+int64(n+l.c.Overhead) > int64(l.c.QueueBytes):
		return QueueFull
	case l.c.QueueFrames > 0 && l.left.expire(now) >= l.c.QueueFrames:
		return QueueFull
	}
	return Carried
}

// Backlog is the number of wire bytes waiting for the transmitter.
func (l *Link) Backlog(now int64) int64 {
	if l.c.Rate == 0 || l.free <= now {
		return 0
	}
	return l.backlog(now)
}

func (l *Link) backlog(now int64) int64 {
	const byteTime = 8 * 1_000_000_000
	hi, lo := bits.Mul64(uint64(l.free-now), uint64(l.c.Rate))
	if hi >= byteTime { // centuries of backlog
		return 1 << 62
	}
	q, r := bits.Div64(hi, lo, byteTime)
	return int64(q + b2u(r > 0))
}

// transmit occupies the transmitter and returns when the frame has left it.
func (l *Link) transmit(now int64, n int) int64 {
	if l.c.Rate == 0 {
		return now
	}
	if l.free < now {
		l.free, l.rest = now, 0
	}
	t := int64(n+l.c.Overhead)*8*1_000_000_000 + l.rest
	l.free += t / l.c.Rate
	l.rest = t % l.c.Rate
	if l.c.QueueFrames > 0 {
		l.left.push(l.free)
	}
	return l.free
}

// medium decides whether a frame that was sent is lost.
func (l *Link) medium(number uint64) Reason {
	for l.drop < len(l.c.Drop) && l.c.Drop[l.drop] < number {
		l.drop++
	}
	if l.drop < len(l.c.Drop) && l.c.Drop[l.drop] == number {
		return Listed
	}
	if l.c.Burst.Enter > 0 {
		if l.bad {
			l.bad = !l.chance(drawState, l.c.Burst.Leave)
		} else {
			l.bad = l.chance(drawState, l.c.Burst.Enter)
		}
		if l.bad && l.chance(drawBurst, l.c.Burst.Loss) {
			return BurstLoss
		}
	}
	if l.chance(drawLoss, l.c.Loss) {
		return RandomLoss
	}
	return Carried
}

// arrival adds delay, jitter and reordering to the time at which a frame left.
func (l *Link) arrival(leaves int64) int64 {
	at := leaves + l.c.Delay
	if l.c.Jitter > 0 {
		hi, _ := bits.Mul64(l.rng[drawJitter].Uint64(), uint64(l.c.Jitter)+1)
		at += int64(hi)
	}
	if l.chance(drawReorder, l.c.Reorder) {
		l.count.Reordered++
		return max(at, l.last) + l.c.ReorderDelay
	}
	l.last = max(at, l.last)
	return l.last
}

func (l *Link) flip(n int) int32 {
	if n == 0 || !l.chance(drawCorrupt, l.c.Corrupt) {
		return -1
	}
	l.count.Corrupted++
	hi, _ := bits.Mul64(l.rng[drawBit].Uint64(), uint64(n)*8)
	return int32(hi)
}

func (l *Link) chance(draw, ppm int) bool {
	if ppm <= 0 {
		return false
	}
	hi, _ := bits.Mul64(l.rng[draw].Uint64(), Million)
	return hi < uint64(ppm)
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

package tcp

// Sizing is a receive buffer that fits itself to its connection: it becomes
// twice what the application takes in a round trip, so that the window is never
// what holds the peer up, and no more (dynamic right-sizing; RFC 9293, 3.8.6
// leaves the size to the receiver). What was received out of order does not
// count before it is read, and an application that does not read gets nothing.
type Sizing struct {
	began  uint32 // of the round trip that is measured, in us
	size   uint32 // bytes that may be held unread or be promised
	limit  uint32 // what size may become
	took   uint32 // taken by the application since began
	most   uint32 // the most that was taken in a round trip
	charge uint32 // what the shard's Budget counts for it
}

// sizingSlack is added to twice the rate, so that a few segments always fit.
const sizingSlack = 16 * 1460

// Begin makes a buffer of start bytes, less if the budget is used up, that may
// grow to limit.
func (z *Sizing) Begin(b *Budget, start, limit uint32) {
	*z = Sizing{size: min(b.first(start), limit), limit: limit, most: 10 * 1460}
	z.charge = b.take(z.size)
	if b.Pool != 0 {
		z.size = z.charge
	}
}

// Borrow makes a buffer for which somebody else answers.
func (z *Sizing) Borrow(start, limit uint32) { *z = Sizing{size: min(start, limit), limit: limit} }

// End gives back what was charged.
func (z *Sizing) End(b *Budget) {
	b.Used -= uint64(z.charge)
	z.charge = 0
}

// Size is how much may be held or promised from now on, Bound how much may be
// of earlier promises, Limit the most it can become.
func (z *Sizing) Size() uint32  { return z.size }
func (z *Sizing) Bound() uint32 { return max(z.size, z.charge) }
func (z *Sizing) Limit() uint32 { return z.limit }

// Took notes that the application took n bytes. It reports whether a round trip
// is over and Fit is to be called.
func (z *Sizing) Took(now Time, n uint32, rtt Time) bool {
	z.took += min(n, ^z.took)
	return rtt > 0 && z.since(now) >= rtt
}

// since is how long the measurement has lasted. After an hour of silence it is
// anything: a buffer that was not read has nothing to measure.
func (z *Sizing) since(now Time) Time { return Time(micros(now)-z.began) * Microsecond }

// Fit takes the measure of a round trip. committed is what is held unread or
// was promised.
func (z *Sizing) Fit(e *Env, rtt Time, committed uint32) {
	elapsed := max(z.since(e.Now), 1)
	took := uint32(uint64(z.took) * uint64(min(rtt, elapsed)) / uint64(elapsed))
	z.began, z.took = micros(e.Now), 0
	b := &e.Windows
	if b.tight() {
		z.refit(b, took, committed)
		return
	}
	if took <= z.most {
		return
	}
	// A sender in slow start doubles: be as far ahead as it will be when it
	// hears of this.
	want := 2*uint64(took) + sizingSlack
	want += 2 * want * uint64(took-z.most) / uint64(max(z.most, 1))
	z.most = took
	if want = min(want, uint64(z.limit)); want > uint64(z.size) {
		grow := b.grow(uint32(want) - z.size)
		z.size += grow
		z.charge += grow
	}
}

// refit is Fit when the shard has promised much: the buffer becomes what its reader
// needs, as far as it may grow, and no more.
func (z *Sizing) refit(b *Budget, took, committed uint32) {
	want := min(max(2*took+sizingSlack, tightStart), z.limit)
	if most := min(want, b.share()); most > z.size {
		n := b.take(most - z.size)
		z.size += n
		z.charge += n
		z.most = took
		return
	}
	z.giveBack(b, want, committed)
}

// giveBack lowers the buffer when the shard has promised much. What was
// promised or is held stays charged until it is used up.
func (z *Sizing) giveBack(b *Budget, want, committed uint32) {
	z.size = min(z.size, want)
	z.most = min(z.most, want/2)
	if keep := max(z.size, committed); keep < z.charge {
		b.Used -= uint64(z.charge - keep)
		z.charge = keep
	}
}

// Overcommit is k: the receive buffers of a shard, and with them the sum of
// all windows it has promised, are at most k times the bytes of its pool. Most
// connections are idle at any time; when too many are not, payload is refused
// (Segment.NoRoom), never what was acknowledged.
const Overcommit = 16

// tightStart is what a new flow's buffer has when the budget is tight: an
// initial window (RFC 6928) of full segments.
const tightStart = 16 << 10

// Budget is what the receive buffers of a shard's flows may be together.
type Budget struct {
	Pool uint64 // bytes of the shard's frames; 0: no bound
	Used uint64 // bytes of all receive buffers
	// Short: frames are short. No buffer grows, and windows open no wider than a
	// new flow's when the budget is tight.
	Short bool
}

func (b *Budget) limit() uint64 { return Overcommit * b.Pool }

// tight: a quarter is used, or frames are short. From here on new buffers begin
// small, so that the rest lasts for many, and only those grow that are read from: each to
// no more than share.
func (b *Budget) tight() bool { return b.Pool != 0 && (b.Short || b.Used >= b.limit()/4) }

// share is the most that one buffer grows to when the budget is tight: a small
// part of what is left. Who grows leaves less to the next one, and there is always some
// left.
func (b *Budget) share() uint32 {
	if b.Short {
		return 0
	}
	return uint32(min((b.limit()-min(b.limit(), b.Used))/256, 1<<31))
}

// Open is how far a window may be open over free bytes of a buffer. While frames
// are short it is what keeps a flow going whose application reads, an initial
// window: what was promised beyond it is honoured but not renewed.
func (b *Budget) Open(free uint32) uint32 {
	if b.Short {
		return min(free, tightStart)
	}
	return free
}

// first is the size of a new buffer that would like to begin with start.
func (b *Budget) first(start uint32) uint32 {
	if b.tight() {
		return min(start, tightStart)
	}
	return start
}

// Full reports that not even a small buffer fits: no connection can begin.
func (b *Budget) Full() bool { return b.Pool != 0 && b.Used+2*tightStart > b.limit() }

// take charges up to n bytes.
func (b *Budget) take(n uint32) uint32 {
	if b.Pool != 0 {
		n = uint32(min(uint64(n), b.limit()-min(b.limit(), b.Used)))
	}
	b.Used += uint64(n)
	return n
}

// grow charges up to n bytes as long as the budget is not tight.
func (b *Budget) grow(n uint32) uint32 {
	if b.Pool != 0 {
		n = uint32(min(uint64(n), b.limit()/4-min(b.limit()/4, b.Used)))
	}
	b.Used += uint64(n)
	return n
}

package tcp

// Time is nanoseconds on the shard's monotonic clock. 0 is before everything.
type Time int64

// Durations are differences of Times.
const (
	Microsecond Time = 1000
	Millisecond      = 1000 * Microsecond
	Second           = 1000 * Millisecond
)

// Never is later than every deadline.
const Never Time = 1<<63 - 1

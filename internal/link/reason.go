package link

// Reason says why a frame was lost.
type Reason uint8

// Carried is not a loss.
const (
	Carried    Reason = iota
	Down              // pushed while the link was down
	Cut               // queued or in flight when the link went down
	TooLong           // longer than the MTU
	QueueFull         // no room in front of the transmitter
	Listed            // its number is in Config.Drop
	BurstLoss         // lost in the bad state of Config.Burst
	RandomLoss        // lost by Config.Loss
	Reasons           // how many there are
)

var reasonNames = [Reasons]string{"carried", "down", "cut", "too long", "queue full", "listed", "burst loss", "random loss"}

func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Counters count frames, but for Bytes.
type Counters struct {
	Pushed    uint64
	Delivered uint64 // a duplicate counts twice
	Bytes     uint64 // of the delivered frames
	Dropped   [Reasons]uint64

	Duplicated, Corrupted, Reordered uint64
}

// Lost is the number of frames dropped for any reason.
func (c *Counters) Lost() (n uint64) {
	for _, d := range c.Dropped {
		n += d
	}
	return n
}

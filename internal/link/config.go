package link

// Million is certainty: probabilities are in parts per million.
const Million = 1_000_000

// EthernetOverhead is what Ethernet adds to a frame on the wire: preamble and
// start delimiter 8, frame check sequence 4, inter-frame gap 12 bytes.
const EthernetOverhead = 24

// Config describes one direction of a link. The zero Config is a perfect wire:
// infinite rate, no delay, no loss.
type Config struct {
	Rate     int64 // bit/s on the wire, 0: infinite
	Overhead int   // bytes a frame costs on the wire beside its own (EthernetOverhead)
	Delay    int64 // ns, one way
	Jitter   int64 // ns; a uniform random share of it is added to Delay. Order is kept

	// The queue in front of the transmitter, drop-tail, counting the frame that
	// is being sent. Both limits hold.
	QueueBytes  int // wire bytes, 0: DefaultQueue of Rate
	QueueFrames int // 0: no limit but QueueBytes
	// MarkBytes is how many wire bytes may wait before a frame that enters is
	// marked, if it may be (RFC 3168); 0: none is.
	MarkBytes int

	Loss  int   // ppm, independent
	Burst Burst // bursty loss, beside Loss
	// Drop are the numbers of the frames to lose, in ascending order; the first
	// frame pushed is number 0. It is not copied. Mask makes it of bits.
	Drop []uint64

	Reorder      int   // ppm of frames which get ReorderDelay and are overtaken
	ReorderDelay int64 // ns
	Duplicate    int   // ppm of frames that arrive twice
	Corrupt      int   // ppm of frames that arrive with one bit flipped
	MTU          int   // longest frame in bytes with its Ethernet header, 0: no limit

	// TellTooBig: the driver answers a frame longer than MTU as a router does
	// (TooBig). Without, nobody is told: a black hole of path MTU discovery.
	TellTooBig bool

	// Strip is carried out by the driver, on its copy of the frame.
	Strip Strip

	Seed uint64
}

// Burst is the loss model of Gilbert and Elliott: a good state, in which only
// Config.Loss applies, and a bad one. Probabilities are per frame, in ppm. The
// mean length of a burst is Million/Leave frames.
type Burst struct {
	Enter int // from good to bad; 0: no bursts
	Leave int // from bad to good
	Loss  int // in the bad state, Million: everything
}

// Mask is a Config.Drop that loses the frame with number from + i if bit i of
// bits is set.
func Mask(from, bits uint64) (drop []uint64) {
	for i := range uint64(64) {
		if bits>>i&1 != 0 {
			drop = append(drop, from+i)
		}
	}
	return drop
}

// DefaultQueue is 100 ms of rate, the order of an access link's buffer, but at
// least 32 full Ethernet frames, so that a slow link can carry a window.
func DefaultQueue(rate int64) int {
	return int(max(rate/8/10, 32*(1514+EthernetOverhead)))
}

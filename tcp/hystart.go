package tcp

// HyStart++ (RFC 9406, 4.3): slow start ends when the round trip time rises,
// before the bottleneck's queue overflows. It guards the first slow start only:
// later ones have an Ssthresh that was found out (RFC 9406, 4.3).
const (
	minRTTThresh     = 4000 // us
	maxRTTThresh     = 16000
	minRTTDivisor    = 8
	rttSamples       = 8
	cssGrowthDivisor = 4
	cssRounds        = 5
)

// hystart has its times in microseconds.
type hystart struct {
	last     uint32 // least RTT of the round before; 0: none
	cur      uint32 // least RTT of this round; 0: none
	baseline uint32 // in conservative slow start: the RTT it began with; else 0
	samples  uint8
	rounds   uint8 // of conservative slow start
}

// sample takes an ACK into account, in slow start only.
func (h *hystart) sample(cc *CC, s AckSample) {
	if s.Round {
		h.round(cc)
	}
	if s.RTT == 0 {
		return
	}
	if rtt := max(micros(s.RTT), 1); h.cur == 0 || rtt < h.cur {
		h.cur = rtt
	}
	if h.samples < rttSamples {
		h.samples++
	}
	if h.samples < rttSamples || h.last == 0 {
		return
	}
	switch thresh := min(max(h.last/minRTTDivisor, minRTTThresh), maxRTTThresh); {
	case h.baseline == 0 && h.cur >= h.last+thresh:
		h.baseline, h.rounds = h.cur, 0
	case h.baseline != 0 && h.cur < h.baseline:
		h.baseline = 0 // the rise was spurious
	}
}

// round begins a round trip. The one in which conservative slow start began
// counts as one of its rounds.
func (h *hystart) round(cc *CC) {
	h.last, h.cur, h.samples = h.cur, 0, 0
	if h.baseline == 0 {
		return
	}
	if h.rounds++; h.rounds >= cssRounds {
		cc.Ssthresh = cc.Cwnd
		*h = hystart{}
	}
}

// slow is the growth for acked bytes in slow start.
func (h *hystart) slow(acked uint32) uint32 {
	if h.baseline != 0 {
		return acked / cssGrowthDivisor
	}
	return acked
}

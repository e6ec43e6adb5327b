package tcp

// newReno is RFC 5681 with appropriate byte counting.
type newReno struct{}

func (newReno) Name() string { return "newreno" }
func (newReno) Init(*CC)     {}

func (newReno) OnAck(cc *CC, s AckSample) {
	if cc.grow(s) {
		cc.linear(s.Acked, 1024)
	}
}

// linear adds share/1024 of a segment, times the coupling gain, per window of
// acknowledged bytes (RFC 5681, 3.1).
func (cc *CC) linear(acked uint32, share uint64) {
	cc.acc += uint64(acked) * share * cc.gain() / 1024
	if full := uint64(cc.Cwnd) * 1024; cc.acc >= full && full > 0 {
		n := cc.acc / full
		cc.acc -= n * full
		cc.Cwnd = uint32(min(uint64(cc.Cwnd)+n*uint64(cc.MSS), maxCwnd))
	}
}

func (newReno) OnLoss(cc *CC, _ LossSample) { cc.reduce(1, 2) }

func (newReno) OnRTO(cc *CC, _ LossSample) {
	cc.reduce(1, 2)
	cc.Cwnd = cc.MSS
}

func (newReno) OnUndo(cc *CC) { cc.undo() }

package tcp

// newReno is RFC 5681 with appropriate byte counting, and what coupling makes
// of it.
type newReno struct{}

func (newReno) Name() string                  { return "newreno" }
func (newReno) Init(*CC, Time, Time)          {}
func (newReno) Leads() bool                   { return false }
func (newReno) OnUndo(cc *CC)                 { cc.undo() }
func (newReno) OnIdle(cc *CC, s IdleSample)   { cc.shrink(s) }
func (r newReno) OnLoss(cc *CC, s LossSample) { r.less(cc, s) }

// OnAck adds one segment per window (RFC 5681, 3.1), in every step a part of
// it, or the part of one that Gain says.
func (newReno) OnAck(cc *CC, s AckSample) {
	if !cc.grow(s) {
		return
	}
	switch n := uint64(cc.MSS); {
	case cc.Gain == 0:
		cc.increase(n, s.Acked)
	case cc.Gain > 0:
		cc.increase(n*uint64(cc.Gain)/1024, s.Acked)
	default:
		cc.decrease(n*uint64(-int(cc.Gain))/1024, s.Acked)
	}
}

func (r newReno) OnRTO(cc *CC, s LossSample) {
	r.less(cc, s)
	cc.Cwnd = cc.MSS
}

// less is half of the window (RFC 5681, 3.2), or what Keep says.
func (newReno) less(cc *CC, s LossSample) {
	if cc.Keep == 0 {
		cc.reduce(s, 1, 2)
	} else {
		cc.reduce(s, uint32(cc.Keep), 1024)
	}
}

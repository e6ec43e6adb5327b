package tcp

// newReno is RFC 5681 with appropriate byte counting.
type newReno struct{}

func (newReno) Name() string                { return "newreno" }
func (newReno) Init(*CC, Time, Time)        {}
func (newReno) Leads() bool                 { return false }
func (newReno) OnUndo(cc *CC)               { cc.undo() }
func (newReno) OnIdle(cc *CC, s IdleSample) { cc.shrink(s) }

// OnAck adds one segment per window (RFC 5681, 3.1), in every step a part of it.
func (newReno) OnAck(cc *CC, s AckSample) {
	if cc.grow(s) {
		cc.increase(cc.scaled(uint64(cc.MSS)), s.Acked)
	}
}

func (newReno) OnLoss(cc *CC, s LossSample) { cc.reduce(s, 1, 2) }

func (newReno) OnRTO(cc *CC, s LossSample) {
	cc.reduce(s, 1, 2)
	cc.Cwnd = cc.MSS
}

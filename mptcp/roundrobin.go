package mptcp

// roundRobin gives the subflows a burst in turns. One without room loses its
// turn.
type roundRobin struct{}

func (roundRobin) Name() string                { return "roundrobin" }
func (roundRobin) Weigh(*memo, Demand, []View) {}
func (roundRobin) Repeats() bool               { return false }

func (roundRobin) Pick(m *memo, d Demand, subs []View) (int, uint32) {
	after := 0
	for i := range subs {
		if subs[i].index == m.last {
			after = i + 1
		}
	}
	for k := range subs {
		i := (after + k) % len(subs)
		if v := &subs[i]; v.Room() > 0 {
			m.last = v.index
			return i, min(d.Want, v.Room(), turnSegments*v.MSS)
		}
	}
	return -1, 0
}

// turnSegments are a turn: some, which the peer's GRO can merge.
const turnSegments = 8

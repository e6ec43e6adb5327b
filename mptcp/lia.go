package mptcp

import "math/bits"

// lia is the Linked Increases Algorithm (RFC 6356): for each byte acknowledged
// a window grows by
//
//	min(alpha/cwnd_total, 1/cwnd_i) * MSS,
//	alpha = cwnd_total * max(cwnd_i/rtt_i^2) / (sum(cwnd_i/rtt_i))^2
//
// so that all together get what one flow would on the best path. NewReno's
// growth is MSS/cwnd_i; with the parts p_i of the rate the gain is
//
//	p_i * max_k(p_k * rtt_i/rtt_k), at most 1
type lia struct{}

func (lia) Name() string { return "lia" }

func (lia) Couple(subs []Coupled) {
	for i := range subs {
		v := &subs[i]
		best := uint64(0)
		for k := range subs {
			best = max(best, subs[k].Part*v.RTT/subs[k].RTT)
		}
		// Both have 24 bits behind the point, a gain has 10: 38 are dropped.
		gain, _ := bits.Mul64(v.Part<<26, best)
		v.Gain, v.Keep = int16(max(min(gain, whole), 1)), 0
	}
}

package mptcp

// olia is the Opportunistic Linked Increases Algorithm (Khalili et al., "MPTCP
// Is Not Pareto-Optimal", IEEE/ACM ToN 21(5), 2013): for each byte acknowledged
// a window grows by
//
//	((w_i/rtt_i^2) / (sum(w_k/rtt_k))^2 + a_i/w_i) * MSS
//
// The first term is what balances, the second makes it responsive: a_i takes
// from the subflows with the largest windows and gives to those that are best,
// by the bytes they carry between losses over rtt^2, but have small ones. NewReno's
// growth is MSS/w_i, so the gain is p_i^2 + a_i, with the parts p_i of the rate.
type olia struct{}

func (olia) Name() string { return "olia" }

func (olia) Couple(subs []Coupled) {
	var widest, best uint64
	for i := range subs {
		widest, best = max(widest, uint64(subs[i].Window)), max(best, subs[i].merit())
	}
	var wide, small int // the largest windows, and the best subflows without one
	for i := range subs {
		if v := &subs[i]; uint64(v.Window) == widest {
			wide++
		} else if v.merit() == best {
			small++
		}
	}
	for i := range subs {
		v := &subs[i]
		gain := int(v.Part * v.Part >> 38)
		switch {
		case small == 0:
		case uint64(v.Window) == widest:
			gain -= whole / (len(subs) * wide)
		case v.merit() == best:
			gain += whole / (len(subs) * small)
		}
		if gain == 0 {
			gain = 1 // 0 is NewReno's
		}
		// A subflow grows no faster than a TCP flow (RFC 6356, 2, goal 2).
		v.Gain, v.Keep = int16(min(gain, whole)), 0
	}
}

// merit ranks subflows by the rate that a TCP flow would have in their place:
// its square is the bytes between losses over the square of the round trip.
func (v *Coupled) merit() uint64 {
	return uint64(v.Clean) << 30 / (v.RTT * v.RTT)
}

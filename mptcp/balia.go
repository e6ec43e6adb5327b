package mptcp

// balia is the Balanced Linked Adaptation (Peng, Walid, Hwang and Low,
// "Multipath TCP: Analysis, Design, and Implementation", IEEE/ACM ToN 24(1),
// 2016). With x_i = w_i/rtt_i and a_i = max(x_k)/x_i a window grows, for each byte
// acknowledged, by
//
//	x_i/rtt_i / (sum(x_k))^2 * (1+a_i)/2 * (4+a_i)/5 * MSS
//
// and a loss takes from it w_i/2 * min(a_i, 1.5). NewReno's growth is MSS/w_i, so
// the gain is, with the parts p_i of the rate and m, the largest of them,
//
//	(p_i+m) * (4*p_i+m) / 10
type balia struct{}

func (balia) Name() string { return "balia" }

func (balia) Couple(subs []Coupled) {
	m := uint64(0)
	for i := range subs {
		m = max(m, subs[i].Part)
	}
	for i := range subs {
		v := &subs[i]
		p := v.Part
		v.Gain = int16(max((p+m)*(4*p+m)/10>>38, 1))
		v.Keep = uint16(whole - min(m*whole/2/p, whole*3/4))
	}
}

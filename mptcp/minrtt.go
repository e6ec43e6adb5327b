package mptcp

// MinRTT gives a burst to the fastest subflow whose congestion window has
// room. Backup subflows carry data only while no other one works (RFC 8684,
// 3.3.8).
type MinRTT struct{}

func (MinRTT) Name() string { return "minrtt" }

func (MinRTT) Pick(subs []View, want uint32) (int, uint32) {
	best := -1
	backup := true
	for i := range subs {
		if v := &subs[i]; !v.Backup && !v.Stale && !v.barred {
			backup = false
		}
	}
	for i := range subs {
		v := &subs[i]
		if v.Backup != backup || v.Room() == 0 {
			continue
		}
		if best < 0 || faster(v, &subs[best]) {
			best = i
		}
	}
	if best < 0 {
		return -1, 0
	}
	return best, min(want, subs[best].Room())
}

// faster compares smoothed round-trip times; one not measured yet is last.
func faster(a, b *View) bool {
	if a.SRTT == 0 || b.SRTT == 0 {
		return a.SRTT != 0 && b.SRTT == 0
	}
	return a.SRTT < b.SRTT
}

package mptcp

import "github.com/mpxd/mpxd/tcp"

// Scheduler decides which subflow carries the next burst. It has no state:
// what it may know is in the views.
type Scheduler interface {
	Name() string
	// Pick names the subflow for the next of want bytes and how many of them
	// it shall carry; -1: none now.
	Pick(subs []View, want uint32) (sub int, burst uint32)
}

// View is a subflow as a scheduler sees it.
type View struct {
	SRTT   tcp.Time // 0: not measured
	MinRTT tcp.Time
	MSS    uint32
	Cwnd   uint32
	Queued uint32 // in flight or waiting in the subflow
	Unsent uint32 // waiting in the subflow
	Repair bool   // in loss recovery: what waits goes after the retransmissions
	Backup bool   // use it only if no other one works
	Stale  bool   // it timed out: nothing until it makes progress

	index  uint32
	barred bool // not this one: what is to be sent was lost here
}

func (v *View) used(n uint32) { v.Queued, v.Unsent = v.Queued+n, v.Unsent+n }

// ahead is how much may wait in a subflow beyond its congestion window: so
// little that decisions are taken late, and so much that the window is always
// full when there is data (RFC 9438, 5.8), and that a burst is some segments
// long, which the peer's GRO can merge.
func (v *View) ahead() uint32 { return min(4*v.MSS, v.Cwnd/2) }

// Room is how much it may be given; 0 until a burst is worth it.
func (v *View) Room() uint32 {
	if v.Stale || v.barred || v.Queued > v.Cwnd || v.Repair && v.Unsent > v.ahead() {
		return 0
	}
	return v.Cwnd - v.Queued + v.ahead()
}

// measure keeps the highest rate at which the peer acknowledged data, which
// fades within a hundred round trips. Recovery does not count: the hole it
// fills acknowledges at once what came in a long time.
func (sf *subflow) measure(now tcp.Time, st *tcp.Status) {
	if st.Recovery || sf.repaired || sf.rateAt == 0 {
		sf.repaired = st.Recovery
		sf.rateAt, sf.rateUna = now, sf.una
		return
	}
	took := now - sf.rateAt
	if took < max(st.SRTT, 10*tcp.Millisecond) {
		return
	}
	rate := uint64(sf.una-sf.rateUna) * uint64(tcp.Second) / uint64(took)
	sf.rate = max(rate, sf.rate-sf.rate/32)
	sf.rateAt, sf.rateUna = now, sf.una
}

// quiet is the congestion window without what only fills a queue: what the path
// carries in its least round trip, and a quarter more, so that it can show that
// it carries more; or spare, if that is more.
func (sf *subflow) quiet(st *tcp.Status, spare uint64) uint32 {
	bdp := sf.rate * uint64(st.MinRTT) / uint64(tcp.Second)
	return uint32(min(uint64(st.Cwnd), bdp+max(bdp/4+10*uint64(st.MSS), spare)))
}

// freshFor is how long a path that works again is taken for as fast as it can
// be: what was measured across its silence says nothing.
const freshFor = tcp.Second

// queueShare of what is free is what a path's queue may take.
const queueShare = 4

// look takes a view of every subflow that may carry data.
//
// A queue in one path does not add throughput, but takes room from the others
// in the peer's window and in our own buffer. So each path may queue a share of what is
// left of both: much while there is plenty, which rides over delays of ACKs and of ours,
// and little when there is not (as switches share a buffer among their ports:
// Choudhury and Hahne, Dynamic Queue Length Thresholds).
func (s *Set) look(e *tcp.Env, c *conn) []View {
	subs := s.views[:0]
	limit := min(int64(c.wndEnd-c.sndUna), int64(c.sndBuf))
	spare := uint64(max(limit-int64(c.sndNxt-c.sndUna), 0)) / queueShare
	rto, ahead := tcp.Time(0), uint32(0)
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		if !sf.usable() || len(subs) == cap(subs) {
			continue
		}
		st := sf.tcp.Status()
		rto = max(rto, st.RTO)
		ahead += min(st.Cwnd, c.sndBuf-min(ahead, c.sndBuf))
		v := View{SRTT: st.SRTT, MinRTT: st.MinRTT, MSS: st.MSS, Cwnd: st.Cwnd, Queued: st.InFlight + st.Unsent, Unsent: st.Unsent, Repair: st.Recovery,
			Backup: sf.backup || sf.ownBackup, Stale: sf.stale || sf.suspect, index: sf.self}
		if c.nsub > 1 {
			v.Cwnd = sf.quiet(&st, spare)
		}
		if st.Burst > 0 {
			// What its pacing would hold back another path may carry: it is
			// asked again with each burst.
			v.Cwnd = min(v.Cwnd, st.InFlight+2*st.Burst)
		}
		if limit := v.Queued + st.Peer - min(st.Peer, st.Unacked+st.Unsent); c.profile == v0 && st.Unacked+st.Unsent > 0 {
			// Linux 0.89 drops what exceeds the window that it last
			// announced on the subflow itself.
			v.Cwnd = min(v.Cwnd, limit-min(4*v.MSS, limit/2))
		}
		if e.Now < sf.freshUntil {
			v.SRTT = v.MinRTT
		}
		subs = append(subs, v)
	}
	if len(subs) == 1 {
		subs[0].Stale = false // what else
	}
	if rto != 0 {
		c.rto = rto
	}
	c.ahead = max(ahead, minAhead)
	return subs
}

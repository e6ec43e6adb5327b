package mptcp

import "github.com/mpxd/mpxd/tcp"

// Scheduler decides which subflow carries the next burst. It is stateless:
// what it may know is in the demand and the views, what it keeps of a connection
// in its memo. Backups are dealt with before it is asked: those that may not
// be used have no Room.
type Scheduler interface {
	Name() string
	// Weigh looks at the subflows before a round of picks, and may change
	// their views.
	Weigh(m *memo, d Demand, subs []View)
	// Pick names the subflow for the next bytes and how many of them it shall
	// carry; -1: none now.
	Pick(m *memo, d Demand, subs []View) (sub int, burst uint32)
	// Repeats reports whether a subflow that has nothing to do may repeat what
	// a slower one holds up.
	Repeats() bool
}

// Numbers of the schedulers; 0 is the configured default.
const (
	Goodput uint8 = iota + 1
	MinRTT
	RoundRobin
	BLEST
	ECF
)

var schedulers = [...]Scheduler{
	Goodput:    goodput{},
	MinRTT:     minRTT{},
	RoundRobin: roundRobin{},
	BLEST:      blest{},
	ECF:        ecf{},
}

// SchedulerByName is the number of a scheduler; false: there is none of that
// name.
func SchedulerByName(name string) (uint8, bool) {
	for i, sched := range schedulers[1:] {
		if sched.Name() == name {
			return uint8(i + 1), true
		}
	}
	return 0, false
}

// SchedulerNames are the names that SchedulerByName knows, the default first.
func SchedulerNames() (names []string) {
	for _, sched := range schedulers[1:] {
		names = append(names, sched.Name())
	}
	return names
}

// Demand is what is to be sent.
type Demand struct {
	Now    tcp.Time
	Want   uint32 // bytes that may go now, at most what one mapping covers
	Waits  uint32 // bytes that were not scheduled yet, whether they may go or not
	Window uint32 // what may be outstanding: the peer's window or our buffer, whichever is less
	Free   uint32 // what is left of it
	Ends   bool   // the application has no more, or not as much as there is room for
}

// memo is what a scheduler keeps of a connection.
type memo struct {
	last    uint32 // round robin: the subflow whose turn it was; goodput: the window when it last grew
	at      uint32 // goodput: when that was; BLEST: when lambda was last looked at; in us
	lambda  uint16 // BLEST: in 1/1000; 0: not set
	waiting bool   // ECF: the faster subflow was waited for
	blocked bool   // BLEST: the window stopped a subflow since at
}

// View is a subflow as a scheduler sees it.
type View struct {
	SRTT   tcp.Time // 0: not measured
	RTTVar tcp.Time
	MinRTT tcp.Time
	Rate   uint64 // the highest of late at which the peer acknowledged, bytes a second; 0: not measured
	MSS    uint32
	Cwnd   uint32
	Queued uint32 // in flight or waiting in the subflow
	Unsent uint32 // waiting in the subflow
	Slow   bool   // in slow start
	Repair bool   // in loss recovery: what waits goes after the retransmissions
	Backup bool   // use it only if no other one works
	Stale  bool   // it timed out: nothing until it makes progress

	index   uint32
	barred  bool // not this one: what is to be sent was lost here
	resting bool // a backup or shunned, and not needed
	shunned bool // the scheduler's: it would hold the others up
}

func (v *View) used(n uint32) { v.Queued, v.Unsent = v.Queued+n, v.Unsent+n }

// lack is what the last segment of a burst lacks to be a full one.
func (v *View) lack(n uint32) uint32 { return (v.MSS - n%v.MSS) % v.MSS }

// ahead is how much may wait in a subflow beyond its congestion window: so
// little that decisions are taken late, and so much that the window is always
// full when there is data (RFC 9438, 5.8), and that a burst is some segments
// long, which the peer's GRO can merge.
func (v *View) ahead() uint32 { return min(4*v.MSS, v.Cwnd/2) }

// Room is how much it may be given; 0 until a burst is worth it.
func (v *View) Room() uint32 {
	if !v.works() || v.Queued > v.Cwnd || v.Repair && v.Unsent > v.ahead() {
		return 0
	}
	return v.Cwnd - v.Queued + v.ahead()
}

// works reports whether it may carry what is to be sent, now or when it has room.
func (v *View) works() bool { return !v.Stale && !v.barred && !v.resting }

// bar keeps what is to be sent from the subflow that lost it, unless no other one
// works; 0: it may go anywhere. Backups carry data only while no other subflow
// works (RFC 8684, 3.3.8); those that the scheduler shuns do so before.
func bar(subs []View, lost uint32) {
	first, others := uint8(1<<8-1), false
	for i := range subs {
		others = others || !subs[i].Stale && subs[i].index != lost
	}
	for i := range subs {
		v := &subs[i]
		v.barred = others && v.index == lost
		if !v.Stale && !v.barred {
			first = min(first, v.class())
		}
	}
	for i := range subs {
		subs[i].resting = subs[i].class() > first
	}
}

// class is the turn in which a subflow is asked.
func (v *View) class() uint8 {
	switch {
	case v.Backup:
		return 2
	case v.shunned:
		return 1
	}
	return 0
}

// faster compares smoothed round-trip times; one not measured yet is last.
func faster(a, b *View) bool {
	if a.SRTT == 0 || b.SRTT == 0 {
		return a.SRTT != 0 && b.SRTT == 0
	}
	return a.SRTT < b.SRTT
}

// fastest is the subflow with the least round trip of those that work, and of those
// among them that have room; -1: none.
func fastest(subs []View) (all, open int) {
	all, open = -1, -1
	for i := range subs {
		v := &subs[i]
		if !v.works() {
			continue
		}
		if all < 0 || faster(v, &subs[all]) {
			all = i
		}
		if v.Room() > 0 && (open < 0 || faster(v, &subs[open])) {
			open = i
		}
	}
	return all, open
}

// measure keeps the highest rate at which data was delivered, which fades within
// a hundred round trips.
func (sf *subflow) measure(now tcp.Time, st *tcp.Status) {
	took := now - sf.rateAt
	if sf.rateAt != 0 && took < max(st.SRTT, 10*tcp.Millisecond) {
		return
	}
	if sf.rateAt != 0 {
		rate := uint64(st.Delivered-sf.delivered) * uint64(tcp.Second) / uint64(took)
		sf.rate = min(max(rate, sf.rate-sf.rate/32), 1<<32)
	}
	sf.rateAt, sf.delivered = now, st.Delivered
}

// freshFor is how long a path that works again is taken for as fast as it can
// be: what was measured across its silence says nothing.
const freshFor = tcp.Second

// look takes a view of every subflow that may carry data, and of what is to be
// sent.
func (s *Set) look(e *tcp.Env, c *conn) (Demand, []View) {
	subs := s.views[:0]
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
		subs = append(subs, c.view(e.Now, sf, &st))
	}
	if len(subs) == 1 {
		subs[0].Stale = false // what else
	}
	if rto != 0 {
		c.rto = rto
	}
	c.ahead = max(ahead, minAhead)
	bar(subs, 0)
	d := c.demand(e.Now)
	if c.joined {
		schedulers[c.sched].Weigh(&c.memo, d, subs)
		bar(subs, 0)
	}
	return d, subs
}

func (c *conn) view(now tcp.Time, sf *subflow, st *tcp.Status) View {
	v := View{SRTT: st.SRTT, RTTVar: st.RTTVar, MinRTT: st.MinRTT, Rate: sf.rate, MSS: st.MSS, Cwnd: st.Cwnd,
		Queued: st.InFlight + st.Unsent, Unsent: st.Unsent, Slow: st.Cwnd < st.Ssthresh, Repair: st.Recovery,
		Backup: sf.backup || sf.ownBackup, Stale: sf.stale || sf.suspect, index: sf.self}
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
	if now < sf.freshUntil {
		v.SRTT = v.MinRTT
	}
	return v
}

// demand is what a connection has to send.
func (c *conn) demand(now tcp.Time) Demand {
	window := uint32(min(int64(c.wndEnd-c.sndUna), int64(c.sndBuf)))
	waits := c.waiting()
	return Demand{
		Now: now, Waits: waits, Window: window, Free: uint32(max(int64(window)-int64(c.sndNxt-c.sndUna)-int64(c.lack), 0)),
		Ends: c.shut || waits < c.ahead/4,
	}
}

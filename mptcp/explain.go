package mptcp

import "github.com/mpxd/mpxd/tcp"

// Limit is what keeps a connection from sending more.
type Limit uint8

const (
	LimitApplication Limit = iota // nothing waits
	LimitWindow                   // the peer's window, of the connection, is used up
	LimitPaths                    // the subflows take no more: their windows, or the scheduler waits
	limits
)

func (l Limit) String() string {
	return [...]string{"application", "window", "paths", "unknown"}[min(l, limits)]
}

// explained is what a connection did with its time. It is looked at when
// something happens to the connection; what changes in between is noticed then.
type explained struct {
	since   tcp.Time // when limit began; 0: not yet
	spent   [limits]tcp.Time
	hole    tcp.Time // since when data waits behind a hole; 0: none does
	blocked tcp.Time
	limit   Limit
}

// explain notes what limits c now, and whether data that came waits for other
// data that did not.
func (s *Set) explain(e *tcp.Env, c *conn) {
	x := &c.time
	limit := LimitApplication
	switch {
	case c.cur == 0:
	case c.open() <= 0:
		limit = LimitWindow
	default:
		limit = LimitPaths
	}
	if x.since == 0 {
		x.since, x.limit = e.Now, limit
	} else if limit != x.limit {
		took := e.Now - x.since
		s.record(e, c, nil, Record{Kind: KindLimited, Code: uint8(limit), Values: [2]uint64{uint64(x.limit), uint64(took)}})
		x.spent[x.limit] += took
		x.since, x.limit = e.Now, limit
	}
	switch {
	case c.ofo.head != 0 && x.hole == 0:
		x.hole = e.Now
		s.record(e, c, nil, Record{Kind: KindBlocked, Code: 1, Values: [2]uint64{uint64(c.ofo.bytes)}})
	case c.ofo.head == 0 && x.hole != 0:
		took := e.Now - x.hole
		x.blocked, x.hole = x.blocked+took, 0
		s.record(e, c, nil, Record{Kind: KindBlocked, Values: [2]uint64{0, uint64(took)}})
	}
}

// Explained is what an MPTCP connection did with its time since it was established.
type Explained struct {
	Application, Window, Paths tcp.Time // limited by it; together the connection's life
	Blocked                    tcp.Time // data waited behind a hole of the stream (head-of-line)
}

// Explain returns the totals until now; ok false if the handle is dead.
func (s *Set) Explain(e *tcp.Env, h Conn) (x Explained, ok bool) {
	if c := s.conn(h); c != nil {
		return c.time.total(e.Now), true
	}
	return x, false
}

func (x *explained) total(now tcp.Time) Explained {
	spent, blocked := x.spent, x.blocked
	if x.since != 0 {
		spent[x.limit] += now - x.since
	}
	if x.hole != 0 {
		blocked += now - x.hole
	}
	return Explained{spent[LimitApplication], spent[LimitWindow], spent[LimitPaths], blocked}
}

// explainEnd records the totals of a connection that is over.
func (s *Set) explainEnd(e *tcp.Env, c *conn) {
	if !s.wants(KindExplained) || c.time.since == 0 {
		return
	}
	x := c.time.total(e.Now)
	s.record(e, c, nil, Record{Kind: KindExplained, Values: [2]uint64{
		pack(x.Application, x.Window), pack(x.Paths, x.Blocked)}})
}

// pack puts two times into one value, in milliseconds.
func pack(a, b tcp.Time) uint64 {
	return uint64(min(a/tcp.Millisecond, 1<<32-1)) | uint64(min(b/tcp.Millisecond, 1<<32-1))<<32
}

// Explained is what a record of KindExplained says, in whole milliseconds.
func (r *Record) Explained() Explained {
	half := func(v uint64) tcp.Time { return tcp.Time(uint32(v)) * tcp.Millisecond }
	return Explained{half(r.Values[0]), half(r.Values[0] >> 32), half(r.Values[1]), half(r.Values[1] >> 32)}
}

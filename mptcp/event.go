package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Kind says what a Record tells, in the words of Linux's MPTCP events where
// it has them.
type Kind uint8

const (
	KindCreated        Kind = iota // a connection offers or accepts MPTCP; Values[0] is our token
	KindEstablished                // both keys are known; Values[0] is our token
	KindClosed                     // the connection is over; Code is a tcp.Reason
	KindFallback                   // it is plain TCP from now on; Code is a Cause
	KindAnnounced                  // the peer announced Addr, Port by ID
	KindEchoed                     // the peer knows the address that we announced by ID
	KindRemoved                    // the peer withdrew ID
	KindSubEstablished             // a subflow joined; ID is the peer's, Values[0] ours
	KindSubClosed                  // a subflow has ended; Code is a Reset, Values[0] a tcp.Reason
	KindSubPriority                // the peer asks to use a subflow last (Values[0] 1) or no longer so (0)
	KindBurst                      // the scheduler gave Values[0] bytes at DSN Values[1] to the subflow; Code is a Cause
	KindReinject                   // the same for data that was sent on another subflow, whose remote id is ID, before
	KindDataTimeout                // no DATA_ACK came in time; Values[0] bytes wait for one, from DSN Values[1] on
	KindLimited                    // Code is the Limit from now on, Values[0] was it, for Values[1] ns
	KindBlocked                    // Code 1: data waits behind a hole, Values[0] bytes; 0: no longer, after Values[1] ns
	KindSample                     // Sample tells
	KindExplained                  // the connection is over: Explained tells
	kinds
)

func (k Kind) String() string {
	names := [kinds]string{"created", "established", "closed", "fallback", "announced", "echoed", "removed",
		"sub_established", "sub_closed", "sub_priority",
		"burst", "reinject", "data_timeout", "limited", "blocked", "sample", "explained"}
	if k < kinds {
		return names[k]
	}
	return "unknown"
}

// Record is one thing that happened to a connection. The handles may be dead by
// the time it is read: then they only tell which ones it was.
type Record struct {
	At     tcp.Time
	Conn   Conn
	Flow   Flow // 0: not of one subflow
	Addr   tcp.Addr
	Values [2]uint64
	Port   uint16
	Kind   Kind
	ID     uint8
	Code   uint8
}

// records is a ring. The oldest give way: who reads each turn loses none, and
// who does not costs nothing more.
type records struct {
	ring   []Record
	head   uint64 // how many were read or lost
	tail   uint64 // how many were written
	wanted uint64 // bits by kind
}

// recordsKept of a turn: as many as its segments may cause, twice.
const recordsKept = 1024

// Watch makes the set keep records of some kinds, all if none is named.
func (s *Set) Watch(which ...Kind) {
	s.records.wanted = 0
	for _, k := range which {
		s.records.wanted |= 1 << k
	}
	if len(which) == 0 {
		s.records.wanted = ^uint64(0)
	}
	if s.records.ring == nil {
		s.records.ring = make([]Record, recordsKept)
	}
}

// NextRecord yields the oldest record.
func (s *Set) NextRecord(r *Record) bool {
	if s.records.head == s.records.tail {
		return false
	}
	*r = s.records.ring[s.records.head%recordsKept]
	s.records.head++
	return true
}

// record keeps r, which tells of c and sf (nil: of no subflow).
func (s *Set) record(e *tcp.Env, c *conn, sf *subflow, r Record) {
	if s.records.wanted>>r.Kind&1 == 0 {
		return
	}
	r.At, r.Conn = e.Now, s.connHandle(c)
	if sf != nil {
		r.Flow = s.flowHandle(sf)
	}
	if s.records.tail-s.records.head == recordsKept {
		s.records.head++
		s.Count.RecordsLost++
	}
	s.records.ring[s.records.tail%recordsKept] = r
	s.records.tail++
}

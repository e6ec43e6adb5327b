// Package mptcp is one shard's population of connections over one or several
// TCP flows: MPTCP (RFC 8684) where the peer speaks it, plain TCP otherwise.
// Like tcp it has no clock, goroutine, lock, socket or log.
package mptcp

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// Flow is the handle of a subflow: index and generation. 0 is none. Plain TCP is a flow in fallback.
type Flow uint64

// Conn is the handle of a connection, the application's view. 0 is none.
type Conn uint64

// Index of the handle in its slab; the stack keeps arrays of its own beside it.
func (f Flow) Index() uint32 { return uint32(f) }
func (c Conn) Index() uint32 { return uint32(c) }

// Config is what all connections of a shard share.
type Config struct {
	Enabled     bool // offer and accept MPTCP at all
	MaxSubflows int  // per connection
	MaxConns    int  // of the shard; 0: no bound
	RcvBuf      uint32
	SndBuf      uint32
	// OwnsToken: a key is drawn until its token satisfies it (the shard's bit field); nil: any.
	OwnsToken func(token uint32) bool
}

// Set is one shard's population.
type Set struct{}

func NewSet(conf Config) *Set { panic("not written") }

// Accept begins a connection with a SYN (not MP_JOIN) for a listening port. False: a limit is reached; drop the SYN.
func (s *Set) Accept(e *tcp.Env, t *tcp.Tuple, p tcp.Params, syn *tcp.Segment) (Flow, bool) {
	panic("not written")
}

// IsJoin reports whether a SYN carries MP_JOIN: it is addressed by its token, whatever its port.
func IsJoin(syn *tcp.Segment) bool { panic("not written") }

// Join adds a subflow to the connection the SYN's token names. False: reset holds the RST to answer with
// (RFC 8684, 3.2).
func (s *Set) Join(e *tcp.Env, t *tcp.Tuple, p tcp.Params, syn, reset *tcp.Segment) (Flow, bool) {
	panic("not written")
}

// Dial begins an active open of plain TCP (MPTCP as client comes later). user is the application's cookie.
func (s *Set) Dial(e *tcp.Env, t *tcp.Tuple, p tcp.Params, user uint32) (Conn, Flow, bool) {
	panic("not written")
}

// Input, Output, Expire, Deadline: as of tcp.Conn, per flow.
func (s *Set) Input(e *tcp.Env, f Flow, seg *tcp.Segment) tcp.Verdict { panic("not written") }
func (s *Set) Output(e *tcp.Env, f Flow, seg *tcp.Segment) bool       { panic("not written") }
func (s *Set) Expire(e *tcp.Env, f Flow)                              { panic("not written") }
func (s *Set) Deadline(f Flow) tcp.Time                               { panic("not written") }

// Tcp is the flow's tcp.Conn for neutral questions (ICMP, status); nil if the flow is gone.
func (s *Set) Tcp(f Flow) *tcp.Conn { panic("not written") }

// ExpireConn and ConnDeadline: the timers of a connection itself (data-level retransmission, life without subflows).
func (s *Set) ExpireConn(e *tcp.Env, c Conn) { panic("not written") }
func (s *Set) ConnDeadline(c Conn) tcp.Time  { panic("not written") }

// NextDirty yields each flow that something happened to since: it may have segments to send (Output), a new deadline,
// or be Over. The stack drains it every turn; a flow stands in the list at most once.
func (s *Set) NextDirty() (Flow, bool) { panic("not written") }

// NextDirtyConn yields each connection whose ConnDeadline may have changed.
func (s *Set) NextDirtyConn() (Conn, bool) { panic("not written") }

// NextEvent yields connections with events for the application, each at most once per call round.
func (s *Set) NextEvent() (Conn, tcp.Event, bool) { panic("not written") }

// Over reports whether the flow has ended and Output has nothing left; wait says it must be remembered in TIME-WAIT
// as tw. The stack then forgets the tuple and calls FreeFlow.
func (s *Set) Over(e *tcp.Env, f Flow) (tw tcp.TimeWait, wait, over bool) { panic("not written") }

// FreeFlow gives the flow's slot back; the handle dies. The connection lives on while it must.
func (s *Set) FreeFlow(e *tcp.Env, f Flow) { panic("not written") }

// Send queues a span (retained); false: no Room or the sending side is closed.
func (s *Set) Send(e *tcp.Env, c Conn, d frame.Span) bool { panic("not written") }

// Room is how many bytes Send takes now.
func (s *Set) Room(c Conn) int { panic("not written") }

// Recv takes the next span of the stream; the caller now holds its frame.
func (s *Set) Recv(e *tcp.Env, c Conn) (frame.Span, bool) { panic("not written") }

// Readable is how many bytes Recv would yield.
func (s *Set) Readable(c Conn) int { panic("not written") }

// Shut ends our direction; Abort ends all (MP_FASTCLOSE or RST).
func (s *Set) Shut(e *tcp.Env, c Conn)  { panic("not written") }
func (s *Set) Abort(e *tcp.Env, c Conn) { panic("not written") }

// Status: eof when the peer's direction has ended and everything was read; err when the connection failed; done
// when both directions are over (err NoError) or it failed.
func (s *Set) Status(c Conn) (eof, done bool, err tcp.Reason) { panic("not written") }

// Release says the application has no more interest: its handle dies, what was sent is still delivered, and the
// slot is freed when the last subflow is gone. What arrives from now on is discarded; a peer that goes on sending is reset.
func (s *Set) Release(e *tcp.Env, c Conn) { panic("not written") }

// SetUser and User: the application's cookie.
func (s *Set) SetUser(c Conn, u uint32) { panic("not written") }
func (s *Set) User(c Conn) uint32       { panic("not written") }

// Owner is the connection of a flow.
func (s *Set) Owner(f Flow) Conn { panic("not written") }

// Info describes a connection for people and tests.
type Info struct {
	MPTCP    bool // false: fallback or plain TCP
	Version  uint8
	Token    uint32
	Subflows int
}

// Info returns a snapshot; ok false if the handle is dead.
func (s *Set) Info(c Conn) (Info, bool) { panic("not written") }

// EachFlow calls f for the subflows of a connection.
func (s *Set) EachFlow(c Conn, f func(Flow)) { panic("not written") }

// Len is how many connections and flows live.
func (s *Set) Len() (conns, flows int) { panic("not written") }

package stack

import (
	"net/netip"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Shard is one core's share of the stack. All methods but Post are called on its own thread, in the turn.
type Shard struct{}

// New makes a shard over its links. The pool is the one the ports' frames come from.
func New(conf Config, pool *frame.Pool, links []Link, app App) (*Shard, error) { panic("not written") }

// Turn runs everything that is due at now, once, and says when it wants to run again.
func (s *Shard) Turn(now tcp.Time) (next tcp.Time) { panic("not written") }

// Post runs f on the shard in its next turn; from any goroutine. False: the mailbox is full. wake is called when the
// shard may be parked (set by SetWake).
func (s *Shard) Post(f func(*Shard)) bool { panic("not written") }
func (s *Shard) SetWake(wake func())      { panic("not written") }

// Listen opens a port on all our addresses.
func (s *Shard) Listen(port uint16) error { panic("not written") }

// Dial begins a connection. An error says it could not even begin (no route, no free port). Outcome: Connected or Finished.
func (s *Shard) Dial(to netip.AddrPort, user uint32) (mptcp.Conn, error) { panic("not written") }

// The application's verbs, as of mptcp.Set.
func (s *Shard) Recv(c mptcp.Conn) (frame.Span, bool)                 { panic("not written") }
func (s *Shard) Send(c mptcp.Conn, d frame.Span) bool                 { panic("not written") }
func (s *Shard) Room(c mptcp.Conn) int                                { panic("not written") }
func (s *Shard) Readable(c mptcp.Conn) int                            { panic("not written") }
func (s *Shard) Shut(c mptcp.Conn)                                    { panic("not written") }
func (s *Shard) Abort(c mptcp.Conn)                                   { panic("not written") }
func (s *Shard) Close(c mptcp.Conn)                                   { panic("not written") } // Set.Release
func (s *Shard) Status(c mptcp.Conn) (eof, done bool, err tcp.Reason) { panic("not written") }
func (s *Shard) User(c mptcp.Conn) uint32                             { panic("not written") }
func (s *Shard) SetUser(c mptcp.Conn, u uint32)                       { panic("not written") }
func (s *Shard) Peer(c mptcp.Conn) (local, remote netip.AddrPort)     { panic("not written") }
func (s *Shard) Info(c mptcp.Conn) (mptcp.Info, bool)                 { panic("not written") }

// Write copies b into fresh frames and sends them; it returns how many bytes were taken (Room, frames).
func (s *Shard) Write(c mptcp.Conn, b []byte) int { panic("not written") }

// Requeue asks for another Ready(ev) in the next turn.
func (s *Shard) Requeue(c mptcp.Conn, ev tcp.Event) { panic("not written") }

// SetTimer arranges one Ready(Timer) at the given time; a later call replaces it; tcp.Never cancels.
func (s *Shard) SetTimer(c mptcp.Conn, at tcp.Time) { panic("not written") }

// Now is the time of the turn. Pool is the shard's frames.
func (s *Shard) Now() tcp.Time     { panic("not written") }
func (s *Shard) Pool() *frame.Pool { panic("not written") }

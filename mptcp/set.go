package mptcp

import (
	"github.com/mpxd/mpxd/internal/slab"
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

// Defaults of Config.
const (
	defaultSubflows = 8
	defaultBuf      = 8 << 20
)

// Set is one shard's population.
type Set struct {
	conf  Config
	conns slab.Slab[conn]
	flows slab.Slab[subflow]

	dirty      queue // of flows
	dirtyConns queue
	events     queue // of connections
}

// NewSet makes an empty population. Zero fields of conf take their defaults.
func NewSet(conf Config) *Set {
	if conf.MaxSubflows == 0 {
		conf.MaxSubflows = defaultSubflows
	}
	if conf.RcvBuf == 0 {
		conf.RcvBuf = defaultBuf
	}
	if conf.SndBuf == 0 {
		conf.SndBuf = defaultBuf
	}
	s := &Set{conf: conf}
	s.conns.Max = conf.MaxConns
	return s
}

// Accept begins a connection with a SYN (not MP_JOIN) for a listening port. False: a limit is reached; drop the SYN.
func (s *Set) Accept(e *tcp.Env, t *tcp.Tuple, p tcp.Params, syn *tcp.Segment) (Flow, bool) {
	c, sf, ok := s.open(t)
	if !ok {
		return 0, false
	}
	sf.tcp.Accept(e, t, p, syn)
	s.markFlow(sf)
	return s.flowHandle(sf), c != nil
}

// Dial begins an active open of plain TCP. user is the application's cookie.
func (s *Set) Dial(e *tcp.Env, t *tcp.Tuple, p tcp.Params, user uint32) (Conn, Flow, bool) {
	c, sf, ok := s.open(t)
	if !ok {
		return 0, 0, false
	}
	c.user = user
	sf.tcp.Open(e, t, p)
	s.markFlow(sf)
	return s.connHandle(c), s.flowHandle(sf), true
}

// Input takes a segment of a flow, as tcp.Conn.Input.
func (s *Set) Input(e *tcp.Env, f Flow, seg *tcp.Segment) tcp.Verdict {
	sf := s.flow(f)
	if sf == nil {
		return tcp.Unacceptable
	}
	v := sf.tcp.Input(e, seg)
	s.settle(e, sf)
	return v
}

// Output names the flow's next segment, as tcp.Conn.Output.
func (s *Set) Output(e *tcp.Env, f Flow, seg *tcp.Segment) bool {
	sf := s.flow(f)
	if sf == nil {
		return false
	}
	ok := sf.tcp.Output(e, seg)
	sf.drained = !ok
	s.collect(e, sf)
	return ok
}

// Expire runs what is due on a flow, as tcp.Conn.Expire.
func (s *Set) Expire(e *tcp.Env, f Flow) {
	if sf := s.flow(f); sf != nil {
		sf.tcp.Expire(e)
		s.settle(e, sf)
	}
}

// Deadline is when a flow wants Expire; Never if it is gone.
func (s *Set) Deadline(f Flow) tcp.Time {
	sf := s.flow(f)
	if sf == nil {
		return tcp.Never
	}
	return sf.tcp.Deadline()
}

// Tcp is the flow's tcp.Conn for neutral questions (ICMP, status); nil if the flow is gone.
func (s *Set) Tcp(f Flow) *tcp.Conn {
	if sf := s.flow(f); sf != nil {
		return &sf.tcp
	}
	return nil
}

// NextDirty yields each flow that something happened to since: it may have segments to send (Output), a new deadline,
// or be Over. The stack drains it every turn; a flow stands in the list at most once.
func (s *Set) NextDirty() (Flow, bool) {
	for {
		h, ok := s.dirty.pop()
		if !ok {
			return 0, false
		}
		if sf := s.flow(Flow(h)); sf != nil {
			sf.marked = false
			return Flow(h), true
		}
	}
}

// NextDirtyConn yields each connection whose ConnDeadline may have changed.
func (s *Set) NextDirtyConn() (Conn, bool) {
	for {
		h, ok := s.dirtyConns.pop()
		if !ok {
			return 0, false
		}
		if c := s.conn(Conn(h)); c != nil {
			c.marked = false
			return Conn(h), true
		}
	}
}

// NextEvent yields connections with events for the application, each at most once per call round.
func (s *Set) NextEvent() (Conn, tcp.Event, bool) {
	for {
		h, ok := s.events.pop()
		if !ok {
			return 0, 0, false
		}
		if c := s.conn(Conn(h)); c != nil && c.event != 0 {
			ev := c.event
			c.event = 0
			return Conn(h), ev, true
		}
	}
}

// Over reports whether the flow has ended and Output has nothing left; wait says it must be remembered in TIME-WAIT
// as tw. The stack then forgets the tuple and calls FreeFlow.
func (s *Set) Over(e *tcp.Env, f Flow) (tw tcp.TimeWait, wait, over bool) {
	sf := s.flow(f)
	if sf == nil {
		return tw, false, true
	}
	if !sf.drained {
		return tw, false, false
	}
	switch sf.tcp.State() {
	case tcp.TimeWaitState:
		return timeWait(e, &sf.tcp), true, true
	case tcp.Closed:
		return tw, false, true
	}
	return tw, false, false
}

func timeWait(e *tcp.Env, c *tcp.Conn) tcp.TimeWait {
	st := c.Status()
	return tcp.TimeWait{SndNxt: st.SndNxt, RcvNxt: st.RcvNxt, Until: e.Now + 2*e.Conf.MSL}
}

// FreeFlow gives the flow's slot back; the handle dies. The connection lives on while it must.
func (s *Set) FreeFlow(e *tcp.Env, f Flow) {
	if sf := s.flow(f); sf != nil {
		s.detach(e, sf)
	}
}

// Len is how many connections and flows live.
func (s *Set) Len() (conns, flows int) { return s.conns.Live(), s.flows.Live() }

// Owner is the connection of a flow.
func (s *Set) Owner(f Flow) Conn {
	sf := s.flow(f)
	if sf == nil {
		return 0
	}
	return Conn(s.conns.Handle(sf.conn))
}

// SetUser and User: the application's cookie.
func (s *Set) SetUser(c Conn, u uint32) {
	if k := s.conn(c); k != nil {
		k.user = u
	}
}

func (s *Set) User(c Conn) uint32 {
	if k := s.conn(c); k != nil {
		return k.user
	}
	return 0
}

// Info describes a connection for people and tests.
type Info struct {
	MPTCP    bool // false: fallback or plain TCP
	Version  uint8
	Token    uint32
	Subflows int
}

// Info returns a snapshot; ok false if the handle is dead.
func (s *Set) Info(c Conn) (Info, bool) {
	k := s.conn(c)
	if k == nil {
		return Info{}, false
	}
	return Info{Subflows: int(k.nsub)}, true
}

// EachFlow calls f for the subflows of a connection.
func (s *Set) EachFlow(c Conn, f func(Flow)) {
	k := s.conn(c)
	if k == nil {
		return
	}
	for i := k.first; i != 0; {
		sf := s.flows.At(i)
		i = sf.next
		f(s.flowHandle(sf))
	}
}

// IsJoin reports whether a SYN carries MP_JOIN: it is addressed by its token, whatever its port.
func IsJoin(syn *tcp.Segment) bool { return false }

// Join adds a subflow to the connection the SYN's token names. False: reset holds the RST to answer with
// (RFC 8684, 3.2).
func (s *Set) Join(e *tcp.Env, t *tcp.Tuple, p tcp.Params, syn, reset *tcp.Segment) (Flow, bool) {
	tcp.Reset(syn, reset)
	return 0, false
}

// ExpireConn and ConnDeadline: the timers of a connection itself (data-level retransmission, life without subflows).
func (s *Set) ExpireConn(e *tcp.Env, c Conn) {}
func (s *Set) ConnDeadline(c Conn) tcp.Time  { return tcp.Never }


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
	Enabled     bool   // offer and accept MPTCP at all
	MaxSubflows int    // per connection
	MaxConns    int    // of the shard; 0: no bound
	RcvBuf      uint32 // of an MPTCP connection, over all its subflows
	SndBuf      uint32
	Scheduler   uint8 // of connections for which SetScheduler names no other one
	Checksum    bool  // ask for DSS checksums; what the peer asks for is always done
	// NoJoinInitial: ask peers (the C flag of RFC 8684, 3.1) not to join the address and port of the initial subflow,
	// and refuse it; they join what is announced. Peers of version 0 know no such flag, and may.
	NoJoinInitial bool
	Coupling      uint8 // of new connections: LIA, OLIA or BALIA; 0: none
	Offer         Offer // what DialMPTCP offers
	// FastcloseACK: abort by MP_FASTCLOSE on an ACK in version 1 too, instead of on RSTs.
	FastcloseACK bool
	// Short: send 32-bit DSNs and DATA_ACKs, as Linux 0.89 does, in connections that we open with version 0. They
	// wrap every 4 GiB (RFC 6824, 3.3.1: not for rates that could do so within a segment's lifetime).
	Short bool
	// CloseTimeout is how long a connection lives without subflows: time for
	// break-before-make (RFC 8684, 3.3.3); 0: 60 s.
	CloseTimeout tcp.Time
	// Passive is for connections that peers began, Active for those that we did.
	Passive, Active Policy
	// OwnsToken: a key is drawn until its token satisfies it (the shard's bit field); nil: any.
	OwnsToken func(token uint32) bool
}

// Defaults of Config.
const (
	defaultSubflows = 8
	defaultBuf      = 8 << 20
	// defaultClose is Linux's.
	defaultClose = 60 * tcp.Second
)

// Set is one shard's population.
type Set struct {
	Count Counters

	conf     Config
	conns    slab.Slab[conn]
	flows    slab.Slab[subflow]
	maps     slab.Slab[mapping]
	addrs    slab.Slab[address]
	ours     slab.Slab[signal]
	aims     slab.Slab[aim]
	tokens   tokens
	cookieAt tcp.Time // when a cookie last offered MPTCP

	halfJoins int // joins whose peers have not proved themselves
	versions  versions
	records   records
	cause     Cause // of the fallback in hand, if it is not the handshake

	blackholes blackholes

	dirty      queue // of flows
	dirtyConns queue
	waiters    queue // connections to be scheduled
	events     queue // of connections
	asks       queue // of paths whose subflow is to be opened

	views   [maxViews]View    // what the scheduler is shown
	coupled [maxViews]Coupled // and what coupling is
}

// MaxSubflows is the most that Config.MaxSubflows can be.
const MaxSubflows = maxViews

// maxViews bounds the subflows among which a scheduler chooses.
const maxViews = 32

// NewSet makes an empty population. Zero fields of conf take their defaults.
func NewSet(conf Config) *Set {
	if conf.MaxSubflows == 0 {
		conf.MaxSubflows = defaultSubflows
	}
	conf.MaxSubflows = min(conf.MaxSubflows, maxViews)
	if conf.RcvBuf == 0 {
		conf.RcvBuf = defaultBuf
	}
	if conf.SndBuf == 0 {
		conf.SndBuf = defaultBuf
	}
	if conf.CloseTimeout == 0 {
		conf.CloseTimeout = defaultClose
	}
	conf.Passive, conf.Active = conf.Passive.numbered(), conf.Active.numbered()
	if conf.Scheduler == 0 {
		conf.Scheduler = Goodput
	}
	s := &Set{conf: conf, cause: CauseHandshake}
	s.conns.Max = conf.MaxConns
	return s
}

// Accept begins a connection with a SYN (not MP_JOIN) for a listening port. False: a limit is reached; drop the SYN.
func (s *Set) Accept(e *tcp.Env, t *tcp.Tuple, p tcp.Params, syn *tcp.Segment) (Flow, bool) {
	var o options
	if s.conf.Enabled {
		o.parse(v1, syn.Raw[:syn.RawLen])
	}
	if o.is(subCapable) && mute(&o.cap) {
		s.Count.MPCapableMute++
		return 0, false
	}
	c, sf, ok := s.open(t)
	if !ok {
		return 0, false
	}
	if o.is(subCapable) {
		s.offered(e, c, sf, &o.cap)
	}
	s.buffers(e, c, &p)
	sf.tcp.Accept(e, t, p, syn)
	s.wrap(c, sf)
	return s.flowHandle(sf), true
}

// Dial begins an active open of plain TCP. user is the application's cookie.
func (s *Set) Dial(e *tcp.Env, t *tcp.Tuple, p tcp.Params, user uint32) (Conn, Flow, bool) {
	return s.dial(e, t, p, user, false, v1)
}

// DialMPTCP begins an active open that offers MPTCP, of the version that Config.Offer says. It may become plain TCP.
func (s *Set) DialMPTCP(e *tcp.Env, t *tcp.Tuple, p tcp.Params, user uint32) (Conn, Flow, bool) {
	return s.dial(e, t, p, user, s.conf.Enabled, s.offer(e, t))
}

// DialMPTCPv0 is DialMPTCP that offers version 0 (RFC 6824), whatever Config.Offer says.
func (s *Set) DialMPTCPv0(e *tcp.Env, t *tcp.Tuple, p tcp.Params, user uint32) (Conn, Flow, bool) {
	return s.dial(e, t, p, user, s.conf.Enabled, v0)
}

func (s *Set) dial(e *tcp.Env, t *tcp.Tuple, p tcp.Params, user uint32, offer bool, v profile) (Conn, Flow, bool) {
	c, sf, ok := s.open(t)
	if !ok {
		return 0, 0, false
	}
	c.user, c.active = user, true
	if offer && s.blackholes.has(e.Now, t) {
		s.Count.Blackhole++
		offer = false
	}
	if offer && s.capable(e, c, sf, v, capableSent) {
		s.Count.MPCapableSYNTX++
		c.csum = s.conf.Checksum
		s.record(e, c, sf, Record{Kind: KindCreated, Addr: t.Remote, Port: t.RemotePort, Values: [2]uint64{uint64(c.token)}})
	}
	s.buffers(e, c, &p)
	sf.tcp.Open(e, t, p)
	s.wrap(c, sf)
	return s.connHandle(c), s.flowHandle(sf), true
}

// buffers sets the limits of a connection. A subflow's are as large: one may
// have to carry everything.
func (s *Set) buffers(e *tcp.Env, c *conn, p *tcp.Params) {
	if c.plain {
		return
	}
	if p.RcvBuf == 0 {
		p.RcvBuf = s.conf.RcvBuf
	}
	if p.SndBuf == 0 {
		p.SndBuf = s.conf.SndBuf
	}
	p.Wrapped = true
	c.rcv.Begin(&e.Windows, e.Conf.RcvStart, p.RcvBuf)
	c.sndBuf, c.ahead = p.SndBuf, minAhead
}

// wrap follows the opening of a connection's first flow.
func (s *Set) wrap(c *conn, sf *subflow) {
	if !c.plain {
		sf.tcp.Reserve(onData, 0)
		sf.begin()
	}
	s.markFlow(sf)
}

// Tcp is the flow's tcp.Conn for neutral questions (ICMP, status); nil if the flow is gone.
func (s *Set) Tcp(f Flow) *tcp.Conn {
	if sf := s.flow(f); sf != nil {
		return &sf.tcp
	}
	return nil
}

// NextDirty yields each flow that something happened to since: it may have segments to send (Output), a new deadline,
// or be Over. The stack drains it every turn; a flow stands in the list at most once. What was written and
// acknowledged since is scheduled first.
func (s *Set) NextDirty(e *tcp.Env) (Flow, bool) {
	s.schedule(e)
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
		return sf.tcp.TimeWait(e), true, true
	case tcp.Closed:
		return tw, false, true
	}
	return tw, false, false
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
	return Info{MPTCP: k.keyed && !k.plain, Version: uint8(k.profile), Token: k.token, Subflows: int(k.nsub)}, true
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

// SubflowInfo describes a subflow for people and tests.
type SubflowInfo struct {
	Tuple             tcp.Tuple
	LocalID, RemoteID uint8
	Joined            bool // it may carry data
	Backup            bool // we ask to use it last
	PeerBackup        bool // the peer does
	Closing           bool
	TCP               tcp.Status
}

// SubflowInfo returns a snapshot; ok false if the handle is dead.
func (s *Set) SubflowInfo(f Flow) (SubflowInfo, bool) {
	sf := s.flow(f)
	if sf == nil {
		return SubflowInfo{}, false
	}
	return SubflowInfo{Tuple: sf.tuple, LocalID: sf.localID, RemoteID: sf.remoteID, Joined: sf.stage == established,
		Backup: sf.ownBackup, PeerBackup: sf.backup, Closing: sf.closing, TCP: sf.tcp.Status()}, true
}

package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/mpxd/mpxd/internal/slab"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// Config says how a proxy behaves. Zero values mean the default in brackets.
type Config struct {
	Listen uint16 // port of the SOCKS5 server, on all addresses [1080]
	// Addresses are our own: they tell which families can be dialled, and are
	// never dialled themselves (a proxy that calls itself is a loop).
	Addresses []netip.Prefix
	Resolver  Resolver // nil: names are unknown

	// UpstreamMPTCP offers MPTCP to destinations.
	UpstreamMPTCP bool

	MaxSessions int      // at once; more are aborted [65,536]
	Handshake   tcp.Time // from the client's connection to its whole request [10 s]
	Connect     tcp.Time // resolving and connecting, all addresses together [10 s each]
	Idle        tcp.Time // nothing moves and nothing is acknowledged [5 min]
	Linger      tcp.Time // the same, when one direction has ended [60 s]

	// Record is called with every session that ends, in the turn: it must not
	// block. May be nil.
	Record func(Record)
}

// refuseFor is how long a client may take to read a refusal.
const refuseFor = 5 * tcp.Second

// Proxy is the application of one shard.
type Proxy struct {
	conf       Config
	sessions   slab.Slab[session]
	handshakes slab.Slab[handshake]
	count      Counters
	lost       atomic.Uint64 // answers of the resolver that found the mailbox full
	stopped    bool
	scratch    [maxReply]byte
}

// New checks c and makes a proxy of it; Start makes it listen.
func New(c Config) (*Proxy, error) {
	for _, d := range []struct {
		v   *tcp.Time
		def tcp.Time
	}{
		{&c.Handshake, 10 * tcp.Second}, {&c.Connect, 10 * tcp.Second},
		{&c.Idle, 300 * tcp.Second}, {&c.Linger, 60 * tcp.Second},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			return nil, errors.New("proxy: a negative time")
		}
	}
	if c.Listen == 0 {
		c.Listen = 1080
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 65536
	}
	if c.MaxSessions < 0 || c.MaxSessions > maxSessions {
		return nil, fmt.Errorf("proxy: %d sessions", c.MaxSessions)
	}
	p := &Proxy{conf: c}
	p.sessions.Max = c.MaxSessions
	return p, nil
}

// Start makes the shard listen.
func (p *Proxy) Start(s *stack.Shard) error { return s.Listen(p.conf.Listen) }

// Stop aborts every session and refuses new ones. The next turn sends the
// resets.
func (p *Proxy) Stop(s *stack.Shard) {
	p.stopped = true
	p.sessions.Each(func(i uint32, _ *session) bool {
		p.abort(s, i, ProxyStopped, tcp.NoError)
		return true
	})
}

// Accept begins a session.
func (p *Proxy) Accept(s *stack.Shard, c mptcp.Conn) bool {
	if p.stopped {
		return false
	}
	i, x, ok := p.sessions.Alloc()
	if !ok {
		p.count.TooMany++
		return false
	}
	if x.handshake, _, ok = p.handshakes.Alloc(); !ok {
		p.sessions.Free(i)
		p.count.TooMany++
		return false
	}
	p.count.Accepted++
	x.leg[client] = c
	_, remote := s.Peer(c)
	x.peer[client] = endpointOf(remote)
	x.began = s.Now()
	x.look(s)
	s.SetUser(c, cookie(i, client))
	p.arm(s, x, s.Now()+p.conf.Handshake)
	return true
}

// Ready hands an event to the session it concerns.
func (p *Proxy) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	u := s.User(c)
	i, a := u>>1, side(u&1)
	if i == 0 || i >= uint32(p.sessions.Cap()) {
		return
	}
	x := p.sessions.At(i)
	if x.leg[a] != c {
		return
	}
	if ev&(tcp.PeerClosed|tcp.Timer) != 0 {
		x.look(s)
	}
	if ev&tcp.Timer != 0 && p.expire(s, i, x) {
		return
	}
	switch x.state {
	case greeted, asked:
		p.shake(s, i, x)
	case resolving, connecting:
		p.await(s, i, x, a, ev)
	case relaying:
		p.relay(s, i, x, a, ev)
	case refusing:
		p.drain(s, i, x)
	}
}

// look notes what there is to know of the client leg as long as it lives.
func (x *session) look(s *stack.Shard) {
	if info, ok := s.Info(x.leg[client]); ok {
		x.mptcp = x.mptcp || info.MPTCP
		x.subflows = max(x.subflows, uint8(min(info.Subflows, 255)))
	}
}

// arm sets the session's deadline. The timer is only moved to be earlier: when
// it fires too soon it is set again, which costs nothing while data flows.
func (p *Proxy) arm(s *stack.Shard, x *session, at tcp.Time) {
	x.deadline = at
	if x.armed == 0 || at < x.armed {
		x.armed = at
		s.SetTimer(x.leg[client], at)
	}
}

// expire does what is due at the deadline; it reports whether the session is
// gone.
func (p *Proxy) expire(s *stack.Shard, i uint32, x *session) bool {
	if s.Now() < x.armed {
		return false // of an earlier deadline
	}
	x.armed = 0
	if s.Now() < x.deadline {
		p.arm(s, x, x.deadline)
		return false
	}
	p.count.Timeouts++
	switch x.state {
	case greeted, asked:
		p.abort(s, i, HandshakeTimeout, tcp.NoError)
	case resolving:
		p.refuse(s, i, x, TTLExpired)
	case connecting:
		p.connect(s, i, x, TTLExpired)
	case relaying:
		end := IdleTimeout
		if x.shut[client] || x.shut[upstream] {
			end = LingerTimeout
		}
		p.abort(s, i, end, tcp.NoError)
	case refusing:
		p.abort(s, i, Refused, tcp.NoError)
	}
	return true
}

// abort ends both legs at once. why is the reason of the leg that ended by
// itself, if one did.
func (p *Proxy) abort(s *stack.Shard, i uint32, end End, why tcp.Reason) {
	x := p.sessions.At(i)
	for a := range x.leg {
		if x.leg[a] != 0 {
			s.Abort(x.leg[a])
		}
	}
	p.end(s, i, end, why)
}

// end records a session and gives back all it has. What its legs still have to
// send is sent.
func (p *Proxy) end(s *stack.Shard, i uint32, end End, why tcp.Reason) {
	x := p.sessions.At(i)
	for a := range x.leg {
		if x.held[a].Len > 0 {
			s.Pool().Release(x.held[a].Frame)
		}
		if x.leg[a] != 0 {
			s.Close(x.leg[a])
		}
	}
	p.record(s, x, end, why)
	if x.handshake != 0 {
		p.handshakes.Free(x.handshake)
	}
	*x = session{}
	p.sessions.Free(i)
}

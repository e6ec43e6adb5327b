package stack

import (
	crand "crypto/rand"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/slab"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Shard is one core's share of the stack. All methods but Post and SetWake are called on its own thread, in the turn.
type Shard struct {
	conf  Config
	pool  *frame.Pool
	links []Link
	app   App
	set   *mptcp.Set

	env   tcp.Env
	rand  *rand.ChaCha8
	nodes tcp.Nodes

	queues     []queue
	firstQueue []int // of each link

	locals    []local
	routes    []Route
	neighbors slab.Slab[neighbor]
	byHop     map[neighborKey]uint32
	hand      uint32 // of the neighbours' clock

	hashSeed maphash.Seed
	demux    index
	flows    array[flow]
	conns    array[conn]
	news     list // connections with events, linked through conn.next
	waits    waits
	listens  ports
	bound    map[uint16][]netip.Addr // where a port is listened on, if not everywhere
	halfOpen halfOpen
	cookies  tcp.Cookies
	paths    paths
	pressure pressure
	counters [portBuckets]uint32
	wheel    wheel
	mail     mailbox

	echoes, resets bucket
	joinResets     bucket // of their own, so that a flood of joins does not use up the others
	stats          Stats
	tap            Tap
	watch          Watch
	record         mptcp.Record

	more  bool // a bound was reached in this turn: run again at once
	retry bool // a ring was full, or frames ran out: run again soon
	spans int  // what the application may still take in this visit

	// What is in hand. Kept here since a pointer to a local that goes through an
	// interface costs an allocation.
	in       [batch]frame.Span
	data     [frame.MaxChain]frame.Span
	tapped   [1]frame.Span
	packet   packet
	seg, out tcp.Segment
	tuple    tcp.Tuple
}

// Tap sees every packet that came in or went to a port, while they are in the
// caller's hand: it must not keep them.
type Tap func(out bool, link int, spans []frame.Span)

// Limits of answers that cost us nothing to omit (per second, and at once).
const (
	echoRate, echoBurst   = 1000, 100
	resetRate, resetBurst = 2000, 500
	joinRate, joinBurst   = 500, 100
)

// New makes a shard over its links. The pool is the one the ports' frames come from.
func New(conf Config, pool *frame.Pool, links []Link, app App) (*Shard, error) {
	s := &Shard{
		conf: conf, pool: pool, links: links, app: app,
		set:        mptcp.NewSet(conf.MPTCP),
		byHop:      make(map[neighborKey]uint32),
		bound:      make(map[uint16][]netip.Addr),
		hashSeed:   maphash.MakeSeed(),
		pressure:   pressure{low: max(pool.Frames()/16, 2*batch)},
		echoes:     bucket{rate: echoRate, burst: echoBurst, tokens: echoBurst * int64(tcp.Second)},
		resets:     bucket{rate: resetRate, burst: resetBurst, tokens: resetBurst * int64(tcp.Second)},
		joinResets: bucket{rate: joinRate, burst: joinBurst, tokens: joinBurst * int64(tcp.Second)},
		spans:      spansPerVisit,
	}
	if len(links) == 0 {
		return nil, fmt.Errorf("stack: no link")
	}
	for _, p := range []mptcp.Policy{conf.MPTCP.Passive, conf.MPTCP.Active} {
		if err := s.checkPolicy(&p, conf.Addresses); err != nil {
			return nil, err
		}
	}
	for i, l := range links {
		if len(l.Ports) == 0 || l.MTU < minMTU4 || l.MTU > 1<<16-1 {
			return nil, fmt.Errorf("stack: link %d (%s) has %d ports and MTU %d", i, l.Name, len(l.Ports), l.MTU)
		}
		s.firstQueue = append(s.firstQueue, len(s.queues))
		for _, p := range l.Ports {
			s.queues = append(s.queues, queue{port: p, link: i, room: p.Room()})
		}
	}
	if err := s.configure(&conf); err != nil {
		return nil, err
	}
	s.paths.seed = s.hashSeed
	s.nodes.Max = nodesPerFrame * pool.Frames()
	s.neighbors.Max = positive(conf.MaxNeighbors, defaultNeighbors)
	s.waits.max, s.waits.hash = positive(conf.MaxTimeWait, defaultTimeWait), s.hash
	s.halfOpen = halfOpen{mode: conf.SynCookies, limit: positive(conf.SynBacklog, defaultBacklog), seed: s.hashSeed, ports: map[uint16]int{}}
	s.seed()
	windows := tcp.Budget{Pool: uint64(pool.Frames()) * uint64(pool.FrameSize())}
	s.env = tcp.Env{Windows: windows, Pool: pool, Nodes: &s.nodes, Rand: s.rand, Conf: &s.conf.TCP, Count: &s.stats.TCP}
	return s, nil
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

func (s *Shard) seed() {
	seed := s.conf.Seed
	if seed == ([32]byte{}) {
		crand.Read(seed[:]) // never fails
	}
	s.rand = rand.NewChaCha8(seed)
	if s.conf.TCP.Secret == ([32]byte{}) {
		s.rand.Read(s.conf.TCP.Secret[:])
	}
}

// Turn runs everything that is due at now, once, and says when it wants to run
// again. Each step is bounded, so that none keeps the others waiting; what is
// left over is done in the next turn, which is then due at once.
func (s *Shard) Turn(now tcp.Time) (next tcp.Time) {
	s.env.Now = max(now, s.env.Now)
	s.stats.Turns++
	s.more, s.retry = false, false
	for i := range s.queues {
		q := &s.queues[i]
		q.room = q.port.Room()
		s.send(q) // what the port did not take in the last turn
	}
	s.receive()
	s.letters()
	s.expire()
	s.events()
	s.emit()
	s.relieve()
	s.records()
	s.spans = spansPerVisit
	return s.next()
}

// expire runs the timers that are due.
func (s *Shard) expire() {
	s.wheel.budget = timersPerTurn
	for id, ok := s.wheel.pop(s.env.Now); ok; id, ok = s.wheel.pop(s.env.Now) {
		i := id / timeKinds
		switch id % timeKinds {
		case timeFlow:
			s.set.Expire(&s.env, s.flows.at(i).f)
			s.ready(i) // also for its next deadline
		case timeConn:
			// Its index may be another's by now: to whom an early call is none.
			c := s.conns.at(i).c
			s.set.ExpireConn(&s.env, c)
			s.wheel.set(id, s.set.ConnDeadline(c))
		case timeApp:
			s.tell(s.conns.at(i).c, tcp.Timer)
		case timeNeighbor:
			s.unanswered(i)
		}
	}
	s.waits.expire(s.env.Now)
}

// next is when the shard wants to run again.
func (s *Shard) next() tcp.Time {
	// Sending may have made news, and lined up other flows.
	s.drain()
	s.collect()
	if s.more || s.news.head != 0 {
		return s.env.Now
	}
	for i := range s.queues {
		if q := &s.queues[i]; !s.retry && (q.fresh.head != 0 || q.n > 0) {
			return s.env.Now
		}
	}
	next := min(s.wheel.next(), s.waits.next(s.env.Now), s.relief())
	if s.retry {
		next = min(next, s.env.Now+retryTime)
	}
	return max(next, s.env.Now)
}

// Now is the time of the turn. Pool is the shard's frames.
func (s *Shard) Now() tcp.Time     { return s.env.Now }
func (s *Shard) Pool() *frame.Pool { return s.pool }

// Promised is how many bytes the receive buffers of all connections have together.
func (s *Shard) Promised() uint64 { return s.env.Windows.Used }

// SetTap sets who sees the packets; nil: nobody.
func (s *Shard) SetTap(t Tap) { s.tap = t }

// Idle reports whether the shard has neither flow nor connection, and how many
// timers are armed: what a test asks at its end.
func (s *Shard) Idle() (conns, flows, waits, timers int) {
	conns, flows = s.set.Len()
	return conns, flows, s.waits.live, s.wheel.live
}

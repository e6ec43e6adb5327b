package stack

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// Net lends the connections of a shard to goroutines, as net.Conn and
// net.Listener. It is the shard's App:
//
//	n := stack.NewNet()
//	s, err := stack.New(conf, pool, links, n)
//	n.Start(s)
//	go run(s) // Turn, wait for a port, a Wake or the time it named; again
//
//	l, err := n.Listen("tcp", ":80")
//	c, err := n.Dial("tcp", "192.0.2.1:80")
//
// Goroutines and the shard meet at two rings of bytes per connection. What a
// goroutine writes lies in a ring when Write returns, and what came lies in one
// before Read asks; a ring that is full stops the goroutine or closes the
// peer's window. So there is no goroutine and no channel hop per packet: one
// letter in the mailbox tells the shard of all connections that have something
// for it.
type Net struct {
	conns     map[mptcp.Conn]*NetConn // the shard's
	listeners map[place]*NetListener  // the shard's
	batch     []errand                // the shard's

	gone chan struct{} // closed by Stop

	mu      sync.Mutex
	shard   *Shard
	errands []errand // a connection stands here once, and one for each goroutine that dials, listens or closes
	posted  bool     // a letter is on its way
	stopped bool
}

// errand is what the shard shall do in one of its next turns.
type errand interface{ serve(*Shard) }

// task is an errand without memory.
type task func(*Shard)

func (t task) serve(s *Shard) { t(s) }

const (
	// errandsPerTurn bounds the connections looked at for one letter, as
	// visitsPerTurn does for events.
	errandsPerTurn = visitsPerTurn
	// postPause is how long a full mailbox is left alone.
	postPause = time.Millisecond
	// shortPause is when a connection that found no frames tries again.
	shortPause = 10 * tcp.Millisecond
)

// NewNet makes a Net that waits for its shard.
func NewNet() *Net {
	return &Net{
		conns:     make(map[mptcp.Conn]*NetConn),
		listeners: make(map[place]*NetListener),
		gone:      make(chan struct{}),
	}
}

// Start lends the connections of s, whose App n is. What was asked before begins now.
func (n *Net) Start(s *Shard) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shard = s
	n.post()
	return nil
}

// Stop aborts all connections and closes all listeners; the shard's next turns
// send the resets. It is called on the shard's thread, as the last thing.
func (n *Net) Stop(s *Shard) {
	n.mu.Lock()
	n.stopped = true
	n.errands = nil
	n.mu.Unlock()
	close(n.gone)
	for _, l := range n.listeners {
		l.Close()
		s.unlisten(l.at.addr, l.at.port)
	}
	for _, c := range n.conns {
		c.finish(s, net.ErrClosed)
	}
}

// do queues an errand; from any goroutine. False: the shard is gone.
func (n *Net) do(e errand) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return false
	}
	n.errands = append(n.errands, e)
	n.post()
	return true
}

// post sees to it that a letter is on its way. The caller holds the mutex.
func (n *Net) post() {
	if n.posted || n.shard == nil || n.stopped || len(n.errands) == 0 {
		return
	}
	n.posted = true
	if n.shard.Post(n.letter) {
		return
	}
	time.AfterFunc(postPause, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.posted = false
		n.post()
	})
}

// letter does what was asked for, boundedly.
func (n *Net) letter(s *Shard) {
	n.mu.Lock()
	k := min(len(n.errands), errandsPerTurn)
	n.batch = append(n.batch[:0], n.errands[:k]...)
	rest := copy(n.errands, n.errands[k:])
	clear(n.errands[rest:])
	n.errands = n.errands[:rest]
	n.posted = false
	n.post()
	n.mu.Unlock()
	for i, e := range n.batch {
		s.spans = spansPerVisit
		e.serve(s)
		n.batch[i] = nil
	}
}

// Accept implements App.
func (n *Net) Accept(s *Shard, id mptcp.Conn) bool {
	local, _ := s.Peer(id)
	l := n.listener(local)
	if l == nil {
		return false
	}
	c := newNetConn(n, l.network)
	c.bind(s, id)
	if !l.offer(c) {
		s.stats.BacklogFull++
		return false
	}
	n.conns[id] = c
	return true
}

// listener finds who listens at an address of ours: at it, at its family, or everywhere.
func (n *Net) listener(at netip.AddrPort) *NetListener {
	family := netip.IPv4Unspecified()
	if at.Addr().Is6() {
		family = netip.IPv6Unspecified()
	}
	for _, a := range [...]netip.Addr{at.Addr(), family, everywhere} {
		if l := n.listeners[place{a, at.Port()}]; l != nil {
			return l
		}
	}
	return nil
}

// Ready implements App.
func (n *Net) Ready(s *Shard, id mptcp.Conn, ev tcp.Event) {
	c := n.conns[id]
	if c == nil {
		return
	}
	c.move(s)
	if ev&tcp.Connected != 0 && n.conns[id] == c {
		close(c.ready)
	}
}

package stack

import "github.com/mpxd/mpxd/tcp"

// neighbor is what we know of a next hop (RFC 4861, 7.3.2; for IPv4 the same
// by ARP). Only answers to our own questions change it: whoever else claims an
// address, by a gratuitous ARP, an unsolicited advertisement or a request, is not
// believed. The price: a gateway that moves is noticed by the next probe only.
type neighbor struct {
	addr  tcp.Addr
	want  int16 // link it was looked for on, or AnyLink
	link  int16 // where it answered
	mac   mac
	state neighborState
	tries uint8
	refs  uint32   // flows that send by it
	at    tcp.Time // of the last confirmation or failure
	held  list     // flows that wait for the answer
}

type neighborState uint8

const (
	unresolved neighborState = iota // nothing asked yet
	incomplete                      // asked; flows wait
	reachable                       // stale when older than reachableTime
	probing                         // stale, and asked by unicast; still used
	failed                          // did not answer; segments to it are lost for failedTime
)

const (
	reachableTime = 30 * tcp.Second // RFC 4861, 10: REACHABLE_TIME
	retransTime   = tcp.Second      // RETRANS_TIMER
	maxSolicits   = 3               // MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT
	failedTime    = tcp.Second      // before a flow's retransmission makes us ask again
	evictScan     = 64              // entries looked at to make room for a new one
)

type neighborKey struct {
	addr tcp.Addr
	link int
}

// neighborOf finds or makes the entry for a hop; 0 if the table is full of
// entries in use.
func (s *Shard) neighborOf(h *hop) uint32 {
	key := neighborKey{h.addr, h.link}
	if id, ok := s.byHop[key]; ok {
		return id
	}
	id, n, ok := s.neighbors.Alloc()
	if !ok {
		if !s.evictNeighbor() {
			return 0
		}
		id, n, _ = s.neighbors.Alloc()
	}
	n.addr, n.want = h.addr, int16(h.link)
	s.byHop[key] = id
	return id
}

// evictNeighbor frees an entry that no flow uses, if one is found in a few steps.
func (s *Shard) evictNeighbor() bool {
	for range evictScan {
		s.hand = s.hand%uint32(s.neighbors.Max) + 1
		n := s.neighbors.At(s.hand)
		if n.refs > 0 {
			continue
		}
		delete(s.byHop, neighborKey{n.addr, int(n.want)})
		s.wheel.set(timerID(timeNeighbor, s.hand), tcp.Never)
		*n = neighbor{}
		s.neighbors.Free(s.hand)
		return true
	}
	return false
}

// usable reports whether segments can be sent to the neighbour now (failed:
// they can be lost now), and begins asking where that is needed.
func (s *Shard) usable(id uint32, n *neighbor) bool {
	switch n.state {
	case unresolved:
		s.ask(id, n, incomplete)
	case failed:
		if s.env.Now-n.at >= failedTime {
			s.ask(id, n, incomplete)
		}
	case reachable:
		if s.env.Now-n.at >= reachableTime {
			s.ask(id, n, probing)
		}
	}
	return n.state != incomplete
}

func (s *Shard) ask(id uint32, n *neighbor, state neighborState) {
	n.state, n.tries = state, 0
	s.solicit(id, n)
}

// solicit sends the next question.
func (s *Shard) solicit(id uint32, n *neighbor) {
	n.tries++
	s.wheel.set(timerID(timeNeighbor, id), s.env.Now+retransTime)
	for i := range s.links {
		if n.state == probing && i != int(n.link) || n.want != AnyLink && i != int(n.want) {
			continue
		}
		s.stats.Solicits++
		if n.addr.Is4() {
			s.askARP(i, n)
		} else {
			s.askNDP(i, n)
		}
	}
}

// unanswered is the neighbour's timer.
func (s *Shard) unanswered(id uint32) {
	n := s.neighbors.At(id)
	switch {
	case n.state != incomplete && n.state != probing:
	case n.tries < maxSolicits:
		s.solicit(id, n)
	case n.state == probing:
		s.ask(id, n, incomplete) // it may have moved: ask everybody
	default:
		n.state, n.at = failed, s.env.Now
		s.stats.NeighborFails++
		s.release(n)
	}
}

// answered takes a solicited answer. It reports false if none was asked for.
func (s *Shard) answered(a *tcp.Addr, link int, m mac) bool {
	if m[0]&1 != 0 || m == (mac{}) {
		return false
	}
	for _, l := range [...]int{link, AnyLink} {
		id, ok := s.byHop[neighborKey{*a, l}]
		if !ok {
			continue
		}
		n := s.neighbors.At(id)
		if n.state != incomplete && (n.state != probing || link != int(n.link)) {
			continue // the first answer counts
		}
		n.state, n.link, n.mac, n.at = reachable, int16(link), m, s.env.Now
		s.wheel.set(timerID(timeNeighbor, id), tcp.Never)
		s.release(n)
		return true
	}
	return false
}

// heard refreshes an entry whose mapping a request addressed to us repeats. It
// never changes one.
func (s *Shard) heard(a *tcp.Addr, link int, m mac) {
	if id, ok := s.byHop[neighborKey{*a, link}]; ok {
		if n := s.neighbors.At(id); n.state == reachable && n.mac == m {
			n.at = s.env.Now
		}
	}
}

// release lines up the flows that were held.
func (s *Shard) release(n *neighbor) {
	held := n.held
	n.held = list{}
	for id := s.shift(&held); id != 0; id = s.shift(&held) {
		s.ready(id)
	}
}

// lost takes a segment whose next hop does not answer. A flow that connects is
// over (Linux says EHOSTUNREACH); for others it is a lossy network, and their own
// timers decide.
func (s *Shard) lost(fl *flow, seg *tcp.Segment) {
	s.stats.Drops[DropTxNoNeighbor]++
	if seg.Flags&tcp.SYN == 0 {
		return
	}
	if c := s.set.Tcp(fl.f); c != nil {
		c.Unreachable(&s.env, seg.Seq, true)
		s.set.Expire(&s.env, fl.f) // lets the set see what became of it
	}
}

package stack

import (
	"hash/maphash"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// flow is what the stack knows of a subflow, beside its slot in the Set: it has
// the same index. No Go pointers.
type flow struct {
	f       mptcp.Flow // 0: none
	tuple   tcp.Tuple
	hash    uint32
	next    uint32 // in the list it is queued in
	hop     uint32 // its neighbour
	deficit int32  // bytes it may still send in this round
	left    uint8  // segments it may still send in this visit; 0: the next one begins anew
	sum     uint16 // of the pseudo-header without the length
	queued  bool   // it is in one list: of a queue, or held by its neighbour
	half    bool   // it came by a SYN, and its handshake is in progress
}

// list is a queue of flows, linked by index: a flow stands in one at most.
type list struct{ head, tail uint32 }

func (s *Shard) push(l *list, id uint32) {
	fl := s.flows.at(id)
	fl.next, fl.queued = 0, true
	if l.tail != 0 {
		s.flows.at(l.tail).next = id
	} else {
		l.head = id
	}
	l.tail = id
}

// unshift puts a flow back in front: the port was full, it is still its turn.
func (s *Shard) unshift(l *list, id uint32) {
	fl := s.flows.at(id)
	fl.next, fl.queued = l.head, true
	if l.head == 0 {
		l.tail = id
	}
	l.head = id
}

func (s *Shard) shift(l *list) uint32 {
	id := l.head
	if id == 0 {
		return 0
	}
	fl := s.flows.at(id)
	l.head = fl.next
	if l.head == 0 {
		l.tail = 0
	}
	fl.next, fl.queued = 0, false
	return id
}

// hash is keyed: who chooses tuples cannot choose collisions.
func (s *Shard) hash(t *tcp.Tuple) uint32 {
	return uint32(maphash.Comparable(s.hashSeed, *t))
}

// lookup finds the flow of a tuple, or 0.
func (s *Shard) lookup(t *tcp.Tuple, hash uint32) uint32 {
	return s.demux.find(hash, func(id uint32) bool { return s.flows.at(id).tuple == *t })
}

// addFlow enters a flow that the set has made. It sends by neighbour hop.
func (s *Shard) addFlow(f mptcp.Flow, t *tcp.Tuple, hash, hop uint32) uint32 {
	id := f.Index()
	fl := s.flows.at(id)
	*fl = flow{f: f, tuple: *t, hash: hash, hop: hop}
	fl.sum = checksum.Pseudo(fl.tuple.Local.Bytes(), fl.tuple.Remote.Bytes(), protoTCP, 0)
	s.neighbors.At(hop).refs++
	s.demux.add(hash, id)
	s.ready(id)
	return id
}

// dropFlow forgets a flow that is over and in no list.
func (s *Shard) dropFlow(id uint32) {
	fl := s.flows.at(id)
	f, owner := fl.f, s.set.Owner(fl.f)
	if fl.half {
		s.halfOpen.end(&fl.tuple)
	}
	s.demux.remove(fl.hash, id)
	s.neighbors.At(fl.hop).refs--
	s.wheel.set(timerID(timeFlow, id), tcp.Never)
	*fl = flow{}
	s.set.FreeFlow(&s.env, f)
	if owner != 0 {
		s.wheel.set(timerID(timeConn, owner.Index()), s.set.ConnDeadline(owner))
	}
}

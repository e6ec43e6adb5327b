package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// conn is one connection. It lives in the Set's slab and holds no pointers.
type conn struct {
	// The data sequence spaces, see the package's comment.
	sndUna, sndNxt, wndEnd, sndEnd uint64
	rcvNxt, rcvEdge                uint64
	rcvFin                         uint64 // DSN of the peer's DATA_FIN, if finKnown

	localKey, remoteKey uint64
	una                 uint64 // sndUna when closeAt was last set: whether an orphan makes progress

	retransAt tcp.Time // data-level retransmission
	probeAt   tcp.Time // zero-window probe
	closeAt   tcp.Time // end of a life without subflows or without application
	reported  tcp.Time // what ConnDeadline said last
	rto       tcp.Time // the longest of the subflows'
	coupleAt  tcp.Time // when coupling is next computed

	sq    fifo   // data not yet DATA_ACKed, sent or not
	cur   uint32 // node of sq that holds sndNxt; 0: all was scheduled
	rq    fifo   // in order, for Recv
	ofo   fifo   // out of order, by DSN
	steps int32  // what searches of ofo may still walk

	again, againTail uint32 // mappings whose data must be sent on another subflow

	addrs   uint32   // the peer's addresses, a list
	signals uint32   // ours that it is told of, a list
	aims    uint32   // subflows that are wanted, a list
	joinAt  uint32   // when the joins that began are all paid for, in ms (flooded)
	pathAt  tcp.Time // when the path manager has something to do
	dialsAt tcp.Time // bounds the connecting to what the peer announces: up to when there was enough

	self   uint32 // index in the slab
	first  uint32 // head of the list of subflows
	token  uint32
	rcv    tcp.Sizing // the receive buffer
	stall  tcp.Stall
	lack   uint32   // bytes that the short segments under way lack
	rcvRTT tcp.Time // the longest round trip of the subflows as the receiver sees it
	sndBuf uint32
	ahead  uint32 // what may wait unscheduled: the congestion windows together
	user   uint32
	tuple  tcp.Tuple // of the initial subflow: address id 0
	memo   memo      // the scheduler's
	spare  uint32    // bytes that may be repeated though nothing was lost

	time explained

	event    tcp.Event
	profile  profile
	coupling uint8 // 0: none
	sched    uint8 // number of the scheduler
	nsub     uint8
	backoff  uint8 // of the data-level timers
	err      tcp.Reason

	marked bool // in the list of dirty connections
	waits  bool // in the list of connections to be scheduled
	plain  bool // no MPTCP, or no longer: the one subflow is the connection
	active bool // we opened it
	keyed  bool // both keys are known
	csum   bool // DSS checksums were agreed
	noJoin bool // the peer takes no joins to the remote address and port of the initial subflow
	joined bool // it had more than one subflow: no fallback any more
	resent bool // data was reinjected: no fallback any more
	short  bool // the peer sends 32-bit DSNs
	failed bool // we sent MP_FAIL and wait for the answer

	confirmed bool // a DATA_ACK has come, on any subflow
	planned   bool // the policy's endpoints were seen to
	changed   bool // the path manager is to look

	connected bool
	shut      bool // the application has no more to send
	finSent   bool // DATA_FIN took its DSN, sndEnd
	finAcked  bool
	finKnown  bool // rcvFin is valid
	peerDone  bool // the peer has no more to send
	over      bool // both directions have ended, or err says why not
	released  bool // the application has let go
	fastclose bool // RSTs carry MP_FASTCLOSE
}

// stage is how far a subflow has come as a part of an MPTCP connection.
type stage uint8

const (
	plain          stage = iota // TCP only
	capableSent                 // our SYN offered MP_CAPABLE
	capableRcvd                 // our SYN-ACK carries our key; the peer's is not known
	joinSent                    // our SYN carries MP_JOIN
	joinRcvd                    // our SYN-ACK carries MP_JOIN; the peer has not proved itself
	preEstablished              // our third ACK carries MP_JOIN and was not acknowledged
	established
	fastclosing // our ACKs say that the connection is aborted
)

// subflow is one TCP flow of a connection.
type subflow struct {
	tcp   tcp.Conn
	tuple tcp.Tuple

	ackSent  uint64   // the DATA_ACK last sent here
	earlyDSN uint64   // where the node early begins
	pend     fifo     // data of a mapping whose checksum is not complete
	rx       mappings // declared by the peer, not yet read
	tx       mappings // declared by us, not yet acknowledged at both levels
	held     spanAt   // what is left of a span that crosses the end of a mapping

	self, conn, next        uint32
	early                   uint32 // the node of the connection's ofo that came last from here
	localNonce, remoteNonce uint32
	rd                      uint32 // SSN of the next byte to take from tcp
	wr                      uint32 // SSN of the next byte to give to tcp
	iss, irs                tcp.Seq
	una                     tcp.Seq // acknowledged at the subflow
	staleUna                tcp.Seq // una when it timed out
	delivered               uint32  // bytes of the subflow at rateAt
	reduced                 tcp.Seq // where the window was last reduced
	clean                   uint32  // bytes without a loss
	suspectAt               tcp.Time
	ackAt                   tcp.Time // end of the wait for an ACK: of our third one of a join, or of data
	freshUntil              tcp.Time // it works again since a while before
	rateAt                  tcp.Time // when rate was last measured
	rate                    uint64   // the highest of late, bytes a second
	failDSN                 uint64   // of the MP_FAIL we owe
	pendSum                 uint16
	localID, remoteID       uint8
	syns                    uint8  // SYNs sent
	tries                   uint8  // of what is repeated until the peer answers: the third ACK of a join, MP_FASTCLOSE
	prios                   uint8  // how often MP_PRIO is still to be told
	probes                  uint32 // single bytes that came here once more
	bareEnd                 uint32 // SSN after the last data that came without options
	bare                    uint8  // segments in a row that came without a word of MPTCP
	heard                   bool   // since the last data-level timeout
	rcvScale, sndScale      uint8
	stage                   stage
	reason                  Reset // of the RST we owe
	marked, drained         bool
	answered                bool // an ACK of our data came with a DSS
	owesKeys                bool // active: the next ACK repeats the keys
	confirmed               bool // the peer is known to speak MPTCP here: it sent a DATA_ACK
	backup                  bool // the peer asked to use this subflow last
	ownBackup               bool // we ask the same
	stale                   bool // it timed out and made no progress since
	closing                 bool // no new data: it is being closed or has ended
	gone                    bool // it has ended
	suspect                 bool // its address was removed; silence will end it
	owesReset               bool // reason is to be told
	owesFail                bool // failDSN is
	owesFin                 bool // the DATA_FIN is to be told here
	owesInfinite            bool // plain: the infinite mapping is
	reverted                bool // plain: it spoke MPTCP, and the peer may not know that it is over
	restarted               bool // plain: it was begun again from what was DATA_ACKed on
	undecided               bool // its options are gone; what to do a join that proves itself decides
	owesEcho                bool // the echo of an ADD_ADDR that came here is
	owesSignal              bool // what is due of our addresses is
	owesPrio                bool // ownBackup is
	unwanted                bool // it was closed on purpose, here or there: no other in its place
	transient               bool // the peer's RST said that it may be tried again
}

func (s *Set) conn(c Conn) *conn           { return s.conns.Get(uint64(c)) }
func (s *Set) flow(f Flow) *subflow        { return s.flows.Get(uint64(f)) }
func (s *Set) connHandle(c *conn) Conn     { return Conn(s.conns.Handle(c.self)) }
func (s *Set) flowHandle(sf *subflow) Flow { return Flow(s.flows.Handle(sf.self)) }
func (s *Set) owner(sf *subflow) *conn     { return s.conns.At(sf.conn) }

// only is a subflow that is no join in progress: the connection, in fallback
// and as long as no join succeeded.
func (s *Set) only(c *conn) *subflow {
	for i := c.first; i != 0; {
		sf := s.flows.At(i)
		if !sf.joining() {
			return sf
		}
		i = sf.next
	}
	return nil
}

// joining reports whether a subflow is a join that did not come to an end, or
// to a bad one.
func (sf *subflow) joining() bool { return sf.stage >= joinSent && sf.stage <= preEstablished }

// usable reports whether a subflow may be given data.
func (sf *subflow) usable() bool { return sf.stage == established && !sf.closing }

// open makes a connection with one subflow.
func (s *Set) open(t *tcp.Tuple) (*conn, *subflow, bool) {
	ci, c, ok := s.conns.Alloc()
	if !ok {
		return nil, nil, false
	}
	c.self, c.plain, c.sched = ci, true, s.conf.Scheduler
	c.retransAt, c.probeAt, c.closeAt, c.reported, c.pathAt = tcp.Never, tcp.Never, tcp.Never, tcp.Never, tcp.Never
	c.tuple, c.coupling = *t, s.conf.Coupling
	sf, ok := s.attach(c, t)
	if !ok {
		s.conns.Free(ci)
		return nil, nil, false
	}
	return c, sf, true
}

// attach gives c one more subflow.
func (s *Set) attach(c *conn, t *tcp.Tuple) (*subflow, bool) {
	i, sf, ok := s.flows.Alloc()
	if !ok {
		return nil, false
	}
	sf.self, sf.conn, sf.tuple = i, c.self, *t
	sf.ackAt, sf.suspectAt = tcp.Never, tcp.Never
	sf.rd, sf.wr = 1, 1
	sf.next, c.first = c.first, i
	c.nsub++
	return sf, true
}

// detach takes a subflow that is over out of its connection and frees it.
func (s *Set) detach(e *tcp.Env, sf *subflow) {
	c := s.owner(sf)
	s.lost(e, c, sf)
	if sf.stage == plain {
		s.rescue(e, c, sf)
	}
	s.strip(e, sf)
	sf.tcp.Free(e)
	for p := &c.first; *p != 0; p = &s.flows.At(*p).next {
		if *p == sf.self {
			*p = sf.next
			break
		}
	}
	c.nsub--
	s.flows.Free(sf.self)
	s.reap(e, c)
}

// strip frees what MPTCP keeps of a subflow.
func (s *Set) strip(e *tcp.Env, sf *subflow) {
	s.clear(&sf.rx)
	s.clear(&sf.tx)
	sf.pend.clear(e)
	if sf.held.d.Len > 0 {
		e.Pool.Release(sf.held.d.Frame)
		sf.held = spanAt{}
	}
}

// rescue moves what the application has not read yet out of a dying flow.
func (s *Set) rescue(e *tcp.Env, c *conn, sf *subflow) {
	for {
		d, _, ok := sf.tcp.Recv(e)
		if !ok {
			return
		}
		if c.released || c.err != tcp.NoError {
			e.Pool.Release(d.Frame)
		} else if !c.rq.put(e, d, 0) {
			e.Pool.Release(d.Frame)
			c.err = tcp.Aborted
		}
	}
}

// reap frees a connection that nobody needs any more: the application let go
// of it, and no subflow or hope for one is left.
func (s *Set) reap(e *tcp.Env, c *conn) {
	if c.nsub > 0 || !c.released || !c.over && !c.plain && c.closeAt != tcp.Never {
		return
	}
	s.unregister(c)
	c.sq.clear(e)
	c.rq.clear(e)
	c.ofo.clear(e)
	s.clearAgain(c)
	s.clearAddrs(c)
	s.clearSignals(c)
	s.dropAims(c, func(*aim) bool { return true })
	c.rcv.End(&e.Windows)
	s.conns.Free(c.self)
}

// register enters the connection's token.
func (s *Set) register(c *conn, token uint32) {
	c.token = token
	s.tokens.put(token, c.self)
}

func (s *Set) unregister(c *conn) {
	if c.token != 0 {
		s.tokens.remove(c.token)
		c.token = 0
		if c.keyed {
			s.Count.MPCurrEstab--
		}
	}
}

func (s *Set) markFlow(sf *subflow) {
	sf.drained = false
	if !sf.marked {
		sf.marked = true
		s.dirty.push(uint64(s.flowHandle(sf)))
	}
}

func (s *Set) markConn(c *conn) {
	if !c.marked {
		c.marked = true
		s.dirtyConns.push(uint64(s.connHandle(c)))
	}
}

// tell queues events for the application.
func (s *Set) tell(c *conn, ev tcp.Event) {
	if ev == 0 || c.released {
		return
	}
	if c.event == 0 {
		s.events.push(uint64(s.connHandle(c)))
	}
	c.event |= ev
}

package stack

import (
	"net/netip"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// conn is what the stack knows of a connection, beside its slot in the Set: it
// has the same index. No Go pointers.
type conn struct {
	c      mptcp.Conn
	tuple  tcp.Tuple // of the first flow
	next   uint32    // in the list of those with events
	events tcp.Event
	flags  uint8
}

const (
	passive  uint8 = 1 << iota // came by a SYN: the application must accept it
	accepted                   // the application knows it
	released                   // the application has closed it
	told                       // it is in the list of those with events
	awaits                     // it is among the writers that wait for frames
)

const (
	// spansPerVisit bounds what an application takes in one call, so that one
	// fast connection does not keep the others waiting.
	spansPerVisit = 64
	// visitsPerTurn bounds how many connections an application hears of.
	visitsPerTurn = 256
)

func (s *Shard) addConn(c mptcp.Conn, t *tcp.Tuple, flags uint8) {
	k := s.conns.at(c.Index())
	next, in := k.next, k.flags&told // an old connection's event may still stand in the list
	*k = conn{c: c, tuple: *t, next: next, flags: flags | in}
}

// conn finds a connection that the application may still speak to.
func (s *Shard) conn(c mptcp.Conn) *conn {
	k := s.conns.at(c.Index())
	if c == 0 || k.c != c || k.flags&released != 0 {
		return nil
	}
	return k
}

// tell notes an event for the application's next visit.
func (s *Shard) tell(c mptcp.Conn, ev tcp.Event) {
	k := s.conn(c)
	if k == nil {
		return
	}
	k.events |= ev
	if k.flags&told != 0 {
		return
	}
	k.flags |= told
	k.next = 0
	if s.news.tail != 0 {
		s.conns.at(s.news.tail).next = c.Index()
	} else {
		s.news.head = c.Index()
	}
	s.news.tail = c.Index()
}

// collect takes the events of the set.
func (s *Shard) collect() {
	for c, ev, ok := s.set.NextEvent(); ok; c, ev, ok = s.set.NextEvent() {
		s.tell(c, ev)
	}
}

// events lets the application know. What it causes is told in the next turn.
func (s *Shard) events() {
	s.collect()
	last := s.news.tail
	for n := 0; s.news.head != 0; n++ {
		if n == visitsPerTurn {
			s.more = true
			return
		}
		i := s.news.head
		k := s.conns.at(i)
		if s.news.head = k.next; s.news.head == 0 {
			s.news.tail = 0
		}
		k.flags &^= told
		s.call(k)
		if i == last {
			return
		}
	}
}

// call is one visit of the application.
func (s *Shard) call(k *conn) {
	c, ev := k.c, k.events
	if ev == 0 || k.flags&released != 0 {
		return
	}
	s.stats.AppVisits++
	s.spans = spansPerVisit
	if k.flags&(passive|accepted) == passive {
		if ev&tcp.Connected == 0 {
			if ev&tcp.Finished != 0 { // it never was one
				s.Close(c)
			}
			return // the events stay noted
		}
		k.flags |= accepted
		if !s.app.Accept(s, c) {
			s.Abort(c)
			s.Close(c)
			return
		}
		k.events &^= tcp.Connected
		if ev = k.events; ev == 0 || k.c != c || k.flags&released != 0 {
			return
		}
	}
	k.events = 0
	s.app.Ready(s, c, ev)
}

// Recv takes the next span of the stream: the caller now holds its frame.
// After 64 spans in one visit it takes no more, and the connection is called
// again in the next turn.
func (s *Shard) Recv(c mptcp.Conn) (frame.Span, bool) {
	if s.conn(c) == nil {
		return frame.Span{}, false
	}
	if s.spans == 0 {
		if s.set.Readable(c) > 0 {
			s.Requeue(c, tcp.Readable)
		}
		return frame.Span{}, false
	}
	d, ok := s.set.Recv(&s.env, c)
	if ok {
		s.spans--
	}
	return d, ok
}

// Send queues a span, retaining its frame. False: no Room, or our direction has ended.
func (s *Shard) Send(c mptcp.Conn, d frame.Span) bool {
	return s.conn(c) != nil && s.set.Send(&s.env, c, d)
}

// Room is how many bytes Send takes now.
func (s *Shard) Room(c mptcp.Conn) int {
	if s.conn(c) == nil {
		return 0
	}
	return s.set.Room(c)
}

// Readable is how many bytes Recv would yield.
func (s *Shard) Readable(c mptcp.Conn) int {
	if s.conn(c) == nil {
		return 0
	}
	return s.set.Readable(c)
}

// Write copies b into fresh frames and sends them; it returns how many bytes
// were taken, as Room and frames allow. If frames were short, Ready(Writable) tells when
// there are some.
func (s *Shard) Write(c mptcp.Conn, b []byte) int {
	done := 0
	for done < len(b) {
		n := min(len(b)-done, s.pool.FrameSize()-headroom, s.Room(c))
		if n <= 0 {
			break
		}
		f, ok := uint32(0), s.mayWrite(c)
		if ok {
			f, ok = s.pool.Get()
		}
		if !ok {
			s.await(c)
			break
		}
		d := frame.Span{Frame: f, Off: headroom, Len: uint16(n)}
		copy(s.pool.Bytes(d), b[done:])
		ok = s.Send(c, d)
		s.pool.Release(f)
		if !ok {
			break
		}
		done += n
	}
	return done
}

// Shut ends our direction: what was sent is delivered first.
func (s *Shard) Shut(c mptcp.Conn) {
	if s.conn(c) != nil {
		s.set.Shut(&s.env, c)
	}
}

// Abort ends both directions at once.
func (s *Shard) Abort(c mptcp.Conn) {
	if s.conn(c) != nil {
		s.set.Abort(&s.env, c)
	}
}

// Close says that the application has no more interest: it hears no more of
// c, whose handle is dead. What was sent is still delivered.
func (s *Shard) Close(c mptcp.Conn) {
	k := s.conn(c)
	if k == nil {
		return
	}
	k.flags |= released
	k.events = 0
	s.wheel.set(timerID(timeApp, c.Index()), tcp.Never)
	s.set.Release(&s.env, c)
}

// Status: eof when the peer's direction has ended and everything was read; done
// when both directions have and everything was read, or the connection failed
// with err.
func (s *Shard) Status(c mptcp.Conn) (eof, done bool, err tcp.Reason) {
	if s.conn(c) == nil {
		return true, true, tcp.NoError
	}
	eof, done, err = s.set.Status(c)
	return eof, done && (eof || err != tcp.NoError), err
}

// User and SetUser: the application's cookie.
func (s *Shard) User(c mptcp.Conn) uint32 {
	if s.conn(c) == nil {
		return 0
	}
	return s.set.User(c)
}

func (s *Shard) SetUser(c mptcp.Conn, u uint32) {
	if s.conn(c) != nil {
		s.set.SetUser(c, u)
	}
}

// Peer is the address pair of the connection's first flow.
func (s *Shard) Peer(c mptcp.Conn) (local, remote netip.AddrPort) {
	k := s.conn(c)
	if k == nil {
		return local, remote
	}
	t := &k.tuple
	return netip.AddrPortFrom(toNetip(&t.Local), t.LocalPort), netip.AddrPortFrom(toNetip(&t.Remote), t.RemotePort)
}

// Info describes the connection; false if the handle is dead.
func (s *Shard) Info(c mptcp.Conn) (mptcp.Info, bool) {
	if s.conn(c) == nil {
		return mptcp.Info{}, false
	}
	return s.set.Info(c)
}

// EachFlow calls f with a snapshot of every flow of the connection.
func (s *Shard) EachFlow(c mptcp.Conn, f func(tcp.Status)) {
	if s.conn(c) == nil {
		return
	}
	s.set.EachFlow(c, func(id mptcp.Flow) {
		if t := s.set.Tcp(id); t != nil {
			f(t.Status())
		}
	})
}

// Requeue asks for another Ready(ev) in the next turn.
func (s *Shard) Requeue(c mptcp.Conn, ev tcp.Event) {
	s.stats.AppQueued++
	s.tell(c, ev)
}

// SetTimer arranges one Ready(Timer) at the given time; a later call replaces
// it; tcp.Never cancels.
func (s *Shard) SetTimer(c mptcp.Conn, at tcp.Time) {
	if s.conn(c) != nil {
		s.wheel.set(timerID(timeApp, c.Index()), at)
	}
}

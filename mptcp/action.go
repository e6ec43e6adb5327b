package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// Action is what the path manager asks of the stack, which knows routes and
// ports: to open a subflow.
type Action struct {
	Conn   Conn
	Local  tcp.Addr // zero: one of ours that reaches Remote
	Remote tcp.Addr
	Port   uint16
	ID     uint8 // of our address; 0: any
	Backup bool

	aim uint64
}

// NextAction yields what is to be done now. The stack answers each with Open or
// Unable.
func (s *Set) NextAction() (Action, bool) {
	for {
		h, ok := s.asks.pop()
		if !ok {
			return Action{}, false
		}
		p := s.aims.Get(h)
		if p == nil {
			continue
		}
		p.asked = false
		c := s.conns.At(p.conn)
		if p.flow == 0 && s.multipath(c) && !c.released {
			return Action{s.connHandle(c), p.local, p.remote, p.port, p.id, p.backup, h}, true
		}
	}
}

// Open begins the subflow of an action, as OpenSubflow.
func (s *Set) Open(e *tcp.Env, a *Action, t *tcp.Tuple, params tcp.Params) (Flow, bool) {
	f, ok := s.OpenSubflow(e, a.Conn, t, params, a.ID, a.Backup)
	if !ok {
		s.Unable(e, a)
		return 0, false
	}
	if p := s.aims.Get(a.aim); p != nil {
		p.flow = f
	}
	return f, true
}

// Unable says that the stack could not: for want of a route, a port or memory.
// It is asked again later, not for ever.
func (s *Set) Unable(e *tcp.Env, a *Action) {
	p, c := s.aims.Get(a.aim), s.conn(a.Conn)
	if p == nil || c == nil {
		return
	}
	s.Count.MPJoinUnable++
	p.at = tcp.Never
	if p.tries < maxReopen {
		p.at = e.Now + reopenAfter<<min(p.tries, 5)
		p.tries++
		c.pathAt = min(c.pathAt, p.at)
		s.markConn(c)
	}
}

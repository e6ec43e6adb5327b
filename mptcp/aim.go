package mptcp

import (
	"github.com/mpxd/mpxd/tcp"
)

// aim is a subflow that we want: from an address of ours to one of the peer's.
// It has a subflow or waits for one.
type aim struct {
	local, remote tcp.Addr // local zero: one that reaches remote
	at            tcp.Time // when to open its subflow; Never: not (again)
	flow          Flow     // 0: none
	conn, next    uint32
	port          uint16
	id            uint8 // of our address; 0: any
	turn          uint8 // among those between the same addresses
	remoteID      uint8 // of the announcement that named remote
	tries         uint8 // since it worked
	announced     bool  // remote goes with the announcement
	backup        bool
	proven        bool // it has worked
	asked         bool // in the list of actions
}

const (
	// maxAims of a connection that are wanted: as many as can be in use.
	maxAims = maxViews
	// reopenAfter is how long the second try waits for a path that worked and
	// failed; each further one twice as long, at most 32 times.
	reopenAfter = tcp.Second
	maxReopen   = 10
	// dialBurst addresses that a peer announced are connected to at once, then one in a
	// second: what makes us connect somewhere must not make us flood it.
	dialGap   = tcp.Second
	dialBurst = 8
)

// multipath reports whether a connection is, or may become, more than a flow.
func (s *Set) multipath(c *conn) bool { return !c.plain && !c.failed && !c.over }

// Want opens a subflow from an address of ours (zero: one that fits) to an
// address and port, as soon as both sides have confirmed that they speak MPTCP
// (RFC 8684, 3.1: not before a DSS has come); should it fail after it has
// worked, it is opened again. False: the connection cannot have one.
func (s *Set) Want(e *tcp.Env, h Conn, local, remote tcp.Addr, port uint16, id uint8, backup bool) bool {
	c := s.conn(h)
	if c == nil || !s.multipath(c) || c.released || c.noJoin && remote == c.tuple.Remote && port == c.tuple.RemotePort {
		return false
	}
	p := s.want(e, c, &aim{local: local, remote: remote, port: port, id: id, backup: backup})
	if p == nil {
		return false
	}
	if p.flow == 0 && p.at == tcp.Never {
		p.at, p.tries = e.Now, 0
	}
	s.replan(e, c)
	return true
}

// want enters a path that is not there yet; nil: they are too many.
func (s *Set) want(e *tcp.Env, c *conn, w *aim) *aim {
	n := 0
	for i := c.aims; i != 0; n++ {
		p := s.aims.At(i)
		if p.local == w.local && p.remote == w.remote && p.port == w.port && p.turn == w.turn {
			return p
		}
		i = p.next
	}
	if n >= maxAims {
		return nil
	}
	i, p, ok := s.aims.Alloc()
	if !ok {
		return nil
	}
	*p = *w
	p.conn, p.next, p.at = c.self, c.aims, e.Now
	c.aims = i
	return p
}

// replan is for what changes a connection from outside of Input and Expire.
func (s *Set) replan(e *tcp.Env, c *conn) {
	s.manage(e, c)
	s.markConn(c)
}

// manage is the path manager's turn on a connection: something has changed, or
// is due.
func (s *Set) manage(e *tcp.Env, c *conn) {
	c.changed = false
	due := c.pathAt
	c.pathAt = tcp.Never
	if !c.keyed || !s.multipath(c) {
		return
	}
	s.plan(e, c)
	s.ask(e, c)
	s.herald(e, c)
	if due <= e.Now {
		s.insist(e, c)
	} else {
		c.pathAt = min(c.pathAt, due)
	}
}

// plan enters what the policy wants.
func (s *Set) plan(e *tcp.Env, c *conn) {
	pol := s.policy(c)
	if !c.planned && (!c.active || c.confirmed) {
		c.planned = true
		for i := range pol.Endpoints {
			v := &pol.Endpoints[i]
			if v.Flags&Signal != 0 && (v.Port != 0 || v.Addr != c.tuple.Local) {
				s.announce(e, c, v.Addr, v.Port, v.ID)
			}
		}
		if c.active {
			s.planFirst(e, c, pol)
		}
	}
	for i := c.addrs; i != 0; {
		a := s.addrs.At(i)
		i = a.next
		if a.accepted && !a.planned {
			a.planned = true
			s.planAddress(e, c, pol, a)
		}
	}
}

// planFirst is for the address that we connected to.
func (s *Set) planFirst(e *tcp.Env, c *conn, pol *Policy) {
	to := aim{local: c.tuple.Local, remote: c.tuple.Remote, port: c.tuple.RemotePort}
	if c.noJoin {
		return
	}
	if p := s.want(e, c, &to); p != nil { // there it is: wanted again when it fails
		if sf := s.only(c); sf != nil && c.nsub == 1 {
			p.flow, p.proven = s.flowHandle(sf), true
		}
	}
	for i := 1; i < pol.Subflows; i++ {
		to.turn = uint8(i)
		s.want(e, c, &to)
	}
	to.turn = 0
	for i := range pol.Endpoints {
		v := &pol.Endpoints[i]
		if v.Flags&Subflow != 0 && v.Addr.Is4() == to.remote.Is4() {
			to.local, to.id, to.backup = v.Addr, v.ID, v.Flags&Backup != 0
			s.want(e, c, &to)
		}
	}
}

// planAddress is for one that the peer announced: all endpoints of the full
// mesh connect to it, or, if there are none, whatever address of ours reaches it. Unless
// a port came with it, it is that of the first subflow (RFC 8684, 3.9.1).
func (s *Set) planAddress(e *tcp.Env, c *conn, pol *Policy, a *address) {
	to := aim{remote: a.addr, port: a.port, remoteID: a.id, announced: true}
	if to.port == 0 {
		to.port = c.tuple.RemotePort
	}
	mesh := false
	for i := range pol.Endpoints {
		v := &pol.Endpoints[i]
		if v.Flags&Fullmesh != 0 && v.Addr.Is4() == to.remote.Is4() {
			mesh = true
			to.local, to.id, to.backup = v.Addr, v.ID, v.Flags&Backup != 0
			s.want(e, c, &to)
		}
	}
	if !mesh {
		s.want(e, c, &to)
	}
}

// ask lines up the paths that are to be opened now.
func (s *Set) ask(e *tcp.Env, c *conn) {
	if c.aims == 0 || !c.confirmed || c.released {
		return
	}
	live, half := s.census(c)
	room := s.conf.MaxSubflows - live - half
	for i := c.aims; i != 0; {
		p := s.aims.At(i)
		h := s.aims.Handle(i)
		i = p.next
		switch {
		case p.flow != 0 || p.asked || p.at == tcp.Never:
		case room <= 0: // when one ends, we come back
		case p.at > e.Now:
			c.pathAt = min(c.pathAt, p.at)
		case p.announced && c.dialsAt > e.Now+(dialBurst-1)*dialGap:
			p.at = c.dialsAt - (dialBurst-1)*dialGap
			c.pathAt = min(c.pathAt, p.at)
		default:
			if p.announced {
				c.dialsAt = max(c.dialsAt, e.Now) + dialGap
			}
			room--
			p.asked = true
			s.asks.push(h)
		}
	}
}

// aimOf is the path that a subflow is on, or nil.
func (s *Set) aimOf(c *conn, sf *subflow) *aim {
	f := s.flowHandle(sf)
	for i := c.aims; i != 0; {
		p := s.aims.At(i)
		if p.flow == f {
			return p
		}
		i = p.next
	}
	return nil
}

// parted: a subflow has ended. Its path is tried again if it had worked and
// failed by itself; not if the peer did not want it, nor if it never worked
// (RFC 8684, 3.9.3 and 3.6), but for "lack of resources" and the like.
func (s *Set) parted(e *tcp.Env, c *conn, sf *subflow) {
	c.changed = true
	p := s.aimOf(c, sf)
	if p == nil {
		return
	}
	p.flow, p.at = 0, tcp.Never
	if sf.stage == established {
		p.tries = 0
	}
	if sf.unwanted || !p.proven && !sf.transient || p.tries >= maxReopen {
		return
	}
	p.at = e.Now + reopenAfter<<min(p.tries, 5)
	p.tries++
	c.pathAt = min(c.pathAt, p.at)
}

// disown forgets the path of a subflow that is closed on purpose.
func (s *Set) disown(c *conn, sf *subflow) {
	f := s.flowHandle(sf)
	s.dropAims(c, func(p *aim) bool { return p.flow == f })
}

func (s *Set) dropAims(c *conn, which func(*aim) bool) {
	for at := &c.aims; *at != 0; {
		i := *at
		p := s.aims.At(i)
		if which(p) {
			*at = p.next
			s.aims.Free(i)
		} else {
			at = &p.next
		}
	}
}

// CloseSubflow ends a subflow by FIN: what it was given is delivered, on it or
// on another one. The connection lives on.
func (s *Set) CloseSubflow(e *tcp.Env, f Flow) bool {
	sf := s.flow(f)
	if sf == nil || sf.stage == plain || sf.gone || sf.closing {
		return false
	}
	c := s.owner(sf)
	s.disown(c, sf)
	s.closeSubflow(e, c, sf)
	s.replan(e, c)
	return true
}

func (s *Set) closeSubflow(e *tcp.Env, c *conn, sf *subflow) {
	sf.closing, sf.unwanted = true, true
	sf.suspectAt = e.Now + s.conf.CloseTimeout // the peer may never close its side
	s.reinject(c, sf, CauseEnded)
	if sf.stage < established {
		s.kill(e, c, sf, Unspecified)
	}
	sf.tcp.Shut(e)
	s.settle(e, c, sf)
}

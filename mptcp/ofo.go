package mptcp

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// The data that came out of order: one list by DSN for all subflows.

// early puts a span among those out of order, in pieces where some of it is
// there already.
func (s *Set) early(e *tcp.Env, c *conn, sf *subflow, d frame.Span, dsn uint64) {
	at, ok := s.place(e, c, dsn)
	if !ok || dsn != c.rcvNxt && c.crowded() { // what fills the first hole makes room
		s.Count.OFODrops++
		e.Pool.Release(d.Frame)
		return
	}
	s.Count.OFOQueue++
	end := dsn + uint64(d.Len)
	whole, base := d, dsn
	for before(dsn, end) {
		next := c.ofo.head
		if at != 0 {
			n := e.Nodes.At(at)
			if covered := n.Mark + uint64(n.Span.Len); after(covered, dsn) {
				dsn = covered
				continue
			}
			next = n.Next
		}
		stop := end
		if next != 0 {
			if n := e.Nodes.At(next); before(n.Mark, end) {
				stop = n.Mark
			}
		}
		if stop != dsn {
			piece := cut(e.Pool, whole, uint32(dsn-base), uint32(stop-dsn))
			if c.ofo.extend(e, at, piece, dsn) {
				dsn = stop
				continue
			}
			i, n, ok := e.Nodes.Alloc()
			if !ok {
				s.Count.RcvPressure++
				break
			}
			near := at
			if near == 0 {
				near = c.ofo.head
			}
			n.Span, n.Mark = e.Hold(near, piece), dsn
			n.Came(e.Now)
			c.ofo.insert(e, at, i)
			at, dsn = i, stop
			continue
		}
		at = next
	}
	if at != 0 {
		sf.cameEarly(at, e.Nodes.At(at).Mark, c.rcvNxt)
	}
	e.Pool.Release(d.Frame)
}

// maxSteps is how far one search may go: a whole buffer of full segments. A
// subflow may begin in the middle, far from everything; each search saves
// maxWalk steps for it, so that a peer which scatters its data cannot make every
// search a long one.
const maxSteps = 16 << 10

// cameEarly remembers where the subflow is out of order, which never goes back
// to what is sent again.
func (sf *subflow) cameEarly(node uint32, dsn, rcvNxt uint64) {
	if sf.early == 0 || !after(sf.earlyDSN, rcvNxt) || after(dsn, sf.earlyDSN) {
		sf.early, sf.earlyDSN = node, dsn
	}
}

// place finds the last node out of order that begins at or before dsn (0:
// none does), walking from the nearest of head, tail and where the subflows are:
// each goes on where it was, and what is sent again was near one of them.
func (s *Set) place(e *tcp.Env, c *conn, dsn uint64) (uint32, bool) {
	if c.ofo.head == 0 || after(e.Nodes.At(c.ofo.head).Mark, dsn) {
		return 0, true
	}
	i := c.ofo.tail
	near := apart(e.Nodes.At(i).Mark, dsn)
	if d := apart(e.Nodes.At(c.ofo.head).Mark, dsn); d < near {
		i, near = c.ofo.head, d
	}
	for fi := c.first; fi != 0; {
		sf := s.flows.At(fi)
		fi = sf.next
		if !after(sf.earlyDSN, c.rcvNxt) {
			continue // it is in order by now, and has left
		}
		if d := apart(sf.earlyDSN, dsn); sf.early != 0 && d < near {
			i, near = sf.early, d
		}
	}
	for c.steps = min(c.steps+maxWalk, maxSteps); c.steps > 0; c.steps-- {
		n := e.Nodes.At(i)
		switch {
		case after(n.Mark, dsn):
			i = n.Prev // not 0: the head begins before dsn
		case n.Next == 0 || after(e.Nodes.At(n.Next).Mark, dsn):
			return i, true
		default:
			i = n.Next
		}
	}
	return 0, false
}

func apart(a, b uint64) uint64 {
	d := int64(a - b)
	return uint64(max(d, -d))
}

// drain moves what became in order, and takes the DATA_FIN when it is next.
func (s *Set) drain(e *tcp.Env, c *conn) {
	for c.ofo.head != 0 {
		i := c.ofo.head
		n := e.Nodes.At(i)
		if n.Mark != c.rcvNxt {
			break
		}
		c.ofo.unlink(e, i)
		c.rq.link(e, i)
		c.rcvNxt += uint64(n.Span.Len)
	}
	if c.rq.head != 0 {
		s.tell(c, tcp.Readable)
	}
	if c.finKnown && !c.peerDone && c.rcvNxt == c.rcvFin {
		c.rcvNxt++
		c.peerDone = true
		s.tell(c, tcp.PeerClosed)
	}
}

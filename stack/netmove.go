package stack

import (
	"net"
	"time"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// The shard's side of a NetConn: all of it runs in the turn.

// bind names the connection that c stands for.
func (c *NetConn) bind(s *Shard, id mptcp.Conn) {
	local, remote := s.Peer(id)
	c.id = id
	c.local, c.remote = net.TCPAddrFromAddrPort(local), net.TCPAddrFromAddrPort(remote)
	c.settle(s)
}

// serve implements errand.
func (c *NetConn) serve(s *Shard) {
	c.mu.Lock()
	c.queued = false
	c.mu.Unlock()
	c.move(s)
}

// move goes on in both directions.
func (c *NetConn) move(s *Shard) {
	if s.conn(c.id) == nil {
		return // over, or not begun
	}
	c.send(s)
	c.receive(s)
	c.settle(s)
}

// send gives the connection what was written.
func (c *NetConn) send(s *Shard) {
	c.mu.Lock()
	from := c.out.head
	p, q := c.out.used()
	c.mu.Unlock()
	if len(p) == 0 {
		return
	}
	n := s.Write(c.id, p)
	if n == len(p) {
		n += s.Write(c.id, q)
	}
	c.mu.Lock()
	c.out.consume(from + uint64(n))
	left := c.out.len()
	// More came while this was copied: then nobody else will tell.
	again := n == len(p)+len(q) && left > 0
	c.stuck = left > 0 && !again
	if again {
		c.kick()
	}
	if left <= ringMax/2 {
		signal(c.writable)
	}
	c.mu.Unlock()
	if left > 0 && !again && s.Room(c.id) > 0 {
		s.SetTimer(c.id, s.Now()+shortPause) // no event tells of frames
	}
}

// receive takes what came, as far as there is room for it.
func (c *NetConn) receive(s *Shard) {
	want := s.Readable(c.id)
	if want == 0 {
		return
	}
	frameSize := s.pool.FrameSize() // no span is longer
	c.mu.Lock()
	deaf := c.closed || c.shutRead
	if !deaf {
		c.in.grow(want + frameSize)
	}
	p, q := c.in.unused()
	c.mu.Unlock()
	if deaf {
		c.discard(s)
		return
	}
	n, room := 0, len(p)+len(q)
	for room-n >= frameSize {
		d, ok := s.Recv(c.id)
		if !ok {
			break
		}
		spread(p, q, n, s.pool.Bytes(d))
		n += int(d.Len)
		s.pool.Release(d.Frame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.shutRead { // meanwhile
		c.abrupt = c.abrupt || c.closed && !c.shutRead && n > 0
		c.kick()
		return
	}
	c.in.tail += uint64(n)
	if n > 0 {
		signal(c.readable)
	}
	if room-n < frameSize && s.Readable(c.id) > 0 {
		if c.starved = c.in.len() > ringMax/2; !c.starved {
			c.kick() // it was read meanwhile
		}
	}
}

// discard throws away what comes after CloseRead. After Close nothing is
// taken: that it was not read is then a reason to reset the peer.
func (c *NetConn) discard(s *Shard) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return
	}
	for d, ok := s.Recv(c.id); ok; d, ok = s.Recv(c.id) {
		s.pool.Release(d.Frame)
	}
}

// settle draws the conclusions: of the peer's end, of the connection's, and of
// ours.
func (c *NetConn) settle(s *Shard) {
	eof, done, why := s.Status(c.id)
	info, _ := s.Info(c.id)
	c.mu.Lock()
	c.mptcp = info.MPTCP
	if eof && !c.eof {
		c.eof = true
		signal(c.readable)
	}
	sent := c.out.len() == 0
	closed, abrupt, shut, linger := c.closed, c.abrupt, c.shutWrite, c.linger
	c.mu.Unlock()
	switch {
	case closed && !abrupt && !done && linger > 0 && c.lingering(s, linger, sent):
	case closed && abrupt && !done:
		c.finish(s, net.ErrClosed)
	case closed && (sent || done):
		c.leave(s, nil)
	case done && (why == tcp.NoError || s.Readable(c.id) == 0):
		c.leave(s, errnoOf(why))
	case shut && sent:
		s.Shut(c.id)
	}
}

// lingering reports whether a closed connection stays until the peer has acknowledged all, or the
// time that it was given is over: then it is reset.
func (c *NetConn) lingering(s *Shard, linger time.Duration, sent bool) bool {
	if c.lingers == 0 {
		c.lingers = s.Now() + tcp.Time(linger)
	}
	if sent {
		s.Shut(c.id)
	}
	switch {
	case sent && s.set.Pending(c.id) == 0:
		return false
	case s.Now() >= c.lingers:
		c.finish(s, net.ErrClosed)
	case sent:
		s.SetTimer(c.id, c.lingers) // ACKs tell of themselves
	default:
		s.SetTimer(c.id, min(c.lingers, s.Now()+shortPause))
	}
	return true
}

// finish resets the peer.
func (c *NetConn) finish(s *Shard, err error) {
	s.Abort(c.id)
	c.leave(s, err)
}

// leave lets go of the connection. What was sent is still delivered.
func (c *NetConn) leave(s *Shard, err error) {
	s.Close(c.id)
	delete(c.net.conns, c.id)
	c.mu.Lock()
	c.over, c.err = true, err
	c.out.clear()
	c.mu.Unlock()
	c.wake()
	close(c.done)
}

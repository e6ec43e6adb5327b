package stack

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// NetConn is a connection, TCP or MPTCP, as a net.Conn. Its methods may be called
// by several goroutines at once; Reads wait for one another, and so do Writes.
//
// Read may return what came before the connection was reset; then ECONNRESET.
// Close sends what was written, in the background, unless something was not
// read or SetLinger(0) was called: then the peer is reset.
type NetConn struct {
	net           *Net
	network       string
	local, remote *net.TCPAddr
	id            mptcp.Conn // the shard's

	reading, writing   sync.Mutex // held by one Read and one Write, waiting included
	readable, writable chan struct{}
	ready              chan struct{} // closed when dialling has succeeded
	done               chan struct{} // closed when the connection is over

	mu        sync.Mutex // guards the rest; held for some instructions, never while bytes are copied
	in, out   ring
	rd, wr    deadline
	err       error // why it ended; nil: in order, or not over
	queued    bool  // in the list of errands
	starved   bool  // in was full: the shard wants to know when it has room
	stuck     bool  // the connection took not all of out: it will tell when it takes more
	eof       bool  // what the peer has sent is all in in
	over      bool  // the connection is gone; it may still be read from
	closed    bool  // by the application, as the next two
	shutRead  bool
	shutWrite bool
	abrupt    bool          // closing is a reset
	linger    time.Duration // how long Close waits for the peer to acknowledge all; 0: as long as it goes on
	lingers   tcp.Time      // until when, once closed; the shard's alone
	mptcp     bool
}

var _ net.Conn = (*NetConn)(nil)

func newNetConn(n *Net, network string) *NetConn {
	return &NetConn{
		net: n, network: network,
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
}

// Read implements net.Conn.
func (c *NetConn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for {
		n, err := c.take(b)
		switch {
		case err != nil && err != io.EOF:
			return n, c.fault("read", err)
		case n > 0 || err != nil || len(b) == 0:
			return n, err
		}
		<-c.readable
	}
}

// take reads what has come.
func (c *NetConn) take(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.rd.passed:
		return 0, os.ErrDeadlineExceeded
	case c.shutRead:
		return 0, io.EOF
	case c.in.len() > 0:
		return c.copyOut(b), nil
	case c.err != nil:
		return 0, c.err
	case c.eof || c.over:
		return 0, io.EOF
	}
	return 0, nil
}

// copyOut reads from the ring; only while it copies the mutex is free.
func (c *NetConn) copyOut(b []byte) int {
	from := c.in.head
	p, q := c.in.used()
	c.mu.Unlock()
	n := copy(b, p)
	n += copy(b[n:], q)
	c.mu.Lock()
	c.in.consume(from + uint64(n))
	if c.starved && c.in.len() <= ringMax/2 {
		c.starved = false
		c.kick()
	}
	return n
}

// Write implements net.Conn. It returns when everything lies in the ring, not
// when it was sent.
func (c *NetConn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for {
		k, err := c.put(b[n:])
		n += k
		if err != nil {
			return n, c.fault("write", err)
		}
		if n == len(b) {
			return n, nil
		}
		<-c.writable
	}
}

// put writes what the ring takes.
func (c *NetConn) put(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.wr.passed:
		return 0, os.ErrDeadlineExceeded
	case c.err != nil:
		return 0, c.err
	case c.shutWrite || c.over:
		return 0, syscall.EPIPE
	case len(b) == 0:
		return 0, nil
	}
	c.out.grow(len(b))
	p, q := c.out.unused()
	c.mu.Unlock()
	n := copy(p, b)
	n += copy(q, b[n:])
	c.mu.Lock()
	c.out.tail += uint64(n)
	if n > 0 && !c.stuck {
		c.kick()
	}
	return n, nil
}

// Close implements net.Conn.
func (c *NetConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fault("close", net.ErrClosed)
	}
	c.closed = true
	c.abrupt = c.abrupt || c.in.len() > 0 && !c.shutRead
	c.in.clear()
	c.rd.set(&c.mu, time.Time{}, c.readable)
	c.wr.set(&c.mu, time.Time{}, c.writable)
	c.wake()
	c.kick()
	return nil
}

// CloseRead ends reading: what comes from now on is thrown away.
func (c *NetConn) CloseRead() error {
	return c.shut(func() {
		c.shutRead = true
		c.in.clear()
	})
}

// CloseWrite ends our direction when all that was written is sent.
func (c *NetConn) CloseWrite() error {
	return c.shut(func() { c.shutWrite = true })
}

func (c *NetConn) shut(f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return c.fault("close", net.ErrClosed)
	case c.over:
		return c.fault("close", syscall.ENOTCONN)
	}
	f()
	c.wake()
	c.kick()
	return nil
}

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.Conn. A Write
// that times out says how much was taken: that is sent.
func (c *NetConn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, true, true)
}

func (c *NetConn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(t, true, false)
}

func (c *NetConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(t, false, true)
}

func (c *NetConn) setDeadlines(t time.Time, read, write bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fault("set", net.ErrClosed)
	}
	if read {
		c.rd.set(&c.mu, t, c.readable)
	}
	if write {
		c.wr.set(&c.mu, t, c.writable)
	}
	return nil
}

// SetLinger says what becomes of what was written when the connection is closed. 0: it is forgotten, and the peer is reset.
// sec > 0: it is sent in the background, for so many seconds; what the peer has not acknowledged by then is forgotten, and the peer is
// reset. sec < 0, as by default: it is sent in the background, as long as the peer makes progress.
func (c *NetConn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fault("set", net.ErrClosed)
	}
	c.abrupt = sec == 0
	c.linger = time.Duration(max(sec, 0)) * time.Second
	return nil
}

// SetNoDelay implements what callers expect of a TCP connection. There is no
// other way here: small writes never wait for an ACK.
func (c *NetConn) SetNoDelay(bool) error { return nil }

// LocalAddr and RemoteAddr are those of the connection's first flow, as *net.TCPAddr.
func (c *NetConn) LocalAddr() net.Addr  { return c.local }
func (c *NetConn) RemoteAddr() net.Addr { return c.remote }

// MultipathTCP reports whether the connection speaks MPTCP (now: it may fall
// back).
func (c *NetConn) MultipathTCP() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mptcp, nil
}

// Control runs f on the shard, in one of its next turns, with the connection's
// handle: for what net.Conn has no word, such as the control of paths. The error is
// f's, or net.ErrClosed when the connection or the shard is gone.
func (c *NetConn) Control(f func(*Shard, mptcp.Conn) error) error {
	said := make(chan error, 1)
	run := task(func(s *Shard) {
		if s.conn(c.id) == nil {
			said <- c.fault("control", net.ErrClosed)
			return
		}
		said <- f(s, c.id)
	})
	if !c.net.do(run) {
		return c.fault("control", net.ErrClosed)
	}
	select {
	case err := <-said:
		return err
	case <-c.net.gone:
		return c.fault("control", net.ErrClosed)
	}
}

// Done is closed when the connection is over: both directions have ended, and
// the peer has acknowledged all; or it failed; or it was closed here.
func (c *NetConn) Done() <-chan struct{} { return c.done }

// fault wraps an error of a connection that has addresses.
func (c *NetConn) fault(op string, err error) error {
	return opError(op, op, c.network, c.local, c.remote, err)
}

// kick asks the shard to look at the connection. The caller holds the mutex.
func (c *NetConn) kick() {
	if !c.queued && !c.over {
		c.queued = c.net.do(c)
	}
}

// wake lets those who wait look again.
func (c *NetConn) wake() {
	signal(c.readable)
	signal(c.writable)
}

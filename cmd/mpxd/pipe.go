//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"net/netip"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
)

// pipe is the program of mpxd cat: one connection, and a goroutine that joins
// it to standard input and output.
type pipe struct {
	*stack.Net
	listen uint16 // 0: connect
	to     netip.AddrPort
	mptcp  bool   // offer it when connecting
	paths  []Pair // subflows to be opened
	backup bool   // as backups
	in     io.Reader
	out    io.Writer
	ready  func()             // called when it listens; may be nil
	over   context.CancelFunc // ends the shard's loop
	result chan error
}

// Start lets the conversation begin.
func (p *pipe) Start(s *stack.Shard) error {
	if err := p.Net.Start(s); err != nil {
		return err
	}
	p.result = make(chan error, 1)
	go func() {
		p.result <- p.converse()
		p.over()
	}()
	return nil
}

// wait returns how the conversation went, once there was one.
func (p *pipe) wait() error {
	if p.result == nil {
		return nil
	}
	return <-p.result
}

// converse lasts until both directions of the connection have ended.
func (p *pipe) converse() error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	go p.send(c)
	if _, err := io.Copy(p.out, c); err != nil {
		// Who cannot write resets the peer, as a closed pipe would.
		c.SetLinger(0)
		c.Close()
		<-c.Done()
		return err
	}
	<-c.Done()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		return err
	}
	return nil
}

// send may sit in a read that nothing ends; it then ends with the process.
func (p *pipe) send(c *stack.NetConn) {
	io.Copy(c, p.in) // what the connection has against it, reading tells
	c.CloseWrite()
}

func (p *pipe) connect() (*stack.NetConn, error) {
	if p.listen != 0 {
		return p.accept()
	}
	dial := p.DialContext
	if p.mptcp {
		dial = p.DialMPTCP
	}
	c, err := asNetConn(dial(context.Background(), "tcp", p.to.String()))
	if err != nil || len(p.paths) == 0 {
		return c, err
	}
	err = c.Control(func(s *stack.Shard, id mptcp.Conn) error { return openPairs(s, id, p.paths, p.backup) })
	if err != nil {
		c.SetLinger(0)
		c.Close()
		return nil, err
	}
	return c, nil
}

// accept takes the first connection; the port is closed then.
func (p *pipe) accept() (*stack.NetConn, error) {
	l, err := p.Listen("tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), p.listen).String())
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if p.ready != nil {
		p.ready()
	}
	return asNetConn(l.Accept())
}

func asNetConn(c net.Conn, err error) (*stack.NetConn, error) {
	if err != nil {
		return nil, err
	}
	return c.(*stack.NetConn), nil
}

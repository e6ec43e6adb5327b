//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

const (
	// pipeChunk is what crosses between the shard and a goroutine at once: a hop
	// to a locked thread costs 50 us, so it had better carry much.
	pipeChunk = 256 << 10
	// pipeChunks is how many may wait for the writer.
	pipeChunks = 4
	// postPause is how long a goroutine waits when the mailbox is full.
	postPause = time.Millisecond
)

// pipe is the application of mpxd cat: one connection, whose bytes two
// goroutines read and write. They speak to the shard by its mailbox only, and
// it to them by channels that never make it wait.
//
//	in  -> reader -> mailbox: here is a chunk -> Write ... all taken -> fed
//	out <- writer <- full <- chunk <- Recv;   writer -> free, mailbox: go on
type pipe struct {
	listen uint16 // 0: connect
	to     netip.AddrPort
	in     io.Reader
	out    io.Writer
	over   context.CancelFunc // ends the shard's loop

	// The shard's.
	conn    mptcp.Conn
	pending []byte // of the reader's chunk, not taken yet
	ended   bool   // the reader has no more
	eof     bool   // the writer was told so
	done    bool   // both directions of the connection are over
	err     error

	fed     chan struct{} // the reader may reuse its chunk
	free    chan []byte   // chunks the shard may fill
	full    chan []byte   // chunks to write
	quit    chan struct{} // closed when the shard is gone
	writing sync.WaitGroup
	failed  error // of the writer, after writing
}

func newPipe(listen uint16, to netip.AddrPort, in io.Reader, out io.Writer, over context.CancelFunc) *pipe {
	p := &pipe{
		listen: listen, to: to, in: in, out: out, over: over,
		fed: make(chan struct{}, 1), quit: make(chan struct{}),
		free: make(chan []byte, pipeChunks), full: make(chan []byte, pipeChunks),
	}
	for range pipeChunks {
		p.free <- make([]byte, 0, pipeChunk)
	}
	return p
}

// Start listens or begins to connect.
func (p *pipe) Start(s *stack.Shard) error {
	if p.listen != 0 {
		return s.Listen(p.listen)
	}
	c, err := s.Dial(p.to, 0)
	if err != nil {
		return fmt.Errorf("connect to %v: %w", p.to, err)
	}
	p.conn = c
	return nil
}

// Accept takes the first connection.
func (p *pipe) Accept(s *stack.Shard, c mptcp.Conn) bool {
	if p.conn != 0 || p.done {
		return false
	}
	p.conn = c
	p.begin(s)
	return true
}

func (p *pipe) begin(s *stack.Shard) {
	go p.read(s)
	p.writing.Add(1)
	go p.write(s)
	s.Requeue(p.conn, tcp.Readable|tcp.Writable) // what came before is not told again
}

// Ready moves what can move.
func (p *pipe) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	if c != p.conn || p.done {
		return
	}
	if p.listen == 0 && ev&tcp.Connected != 0 {
		p.begin(s)
	}
	p.move(s)
}

// move goes on in both directions.
func (p *pipe) move(s *stack.Shard) {
	if p.done {
		return
	}
	p.send(s)
	p.receive(s)
	_, done, err := s.Status(p.conn)
	if !done || err == tcp.NoError && !p.eof {
		return // not over, or not all is read
	}
	if err != tcp.NoError {
		p.err = errors.New(err.String())
	}
	p.finish(s)
}

// send gives the reader's chunk to the connection.
func (p *pipe) send(s *stack.Shard) {
	if len(p.pending) > 0 {
		p.pending = p.pending[s.Write(p.conn, p.pending):]
		if len(p.pending) == 0 {
			p.fed <- struct{}{} // never waits: one chunk is under way
		}
	}
	if p.ended && len(p.pending) == 0 {
		s.Shut(p.conn)
	}
}

// receive fills chunks for the writer, as long as it gives some back: what it
// does not write stays in the connection's window.
func (p *pipe) receive(s *stack.Shard) {
	if p.eof {
		return
	}
	for {
		var b []byte
		select {
		case b = <-p.free:
		default:
			return
		}
		for cap(b)-len(b) >= 1<<16 { // the longest span
			d, ok := s.Recv(p.conn)
			if !ok {
				break
			}
			b = append(b, s.Pool().Bytes(d)...)
			s.Pool().Release(d.Frame)
		}
		if len(b) == 0 {
			p.free <- b
			if eof, _, _ := s.Status(p.conn); eof {
				p.eof = true
				close(p.full)
			}
			return
		}
		p.full <- b // never waits: there are pipeChunks chunks
	}
}

func (p *pipe) finish(s *stack.Shard) {
	p.done = true
	if !p.eof {
		p.eof = true
		close(p.full)
	}
	if p.conn != 0 {
		s.Close(p.conn)
	}
	p.over()
}

// Stop gives up.
func (p *pipe) Stop(s *stack.Shard) {
	if p.done {
		return
	}
	p.err = errors.New("interrupted")
	if p.conn != 0 {
		s.Abort(p.conn)
	}
	p.finish(s)
}

// close lets the goroutines go: the shard is gone. The reader may sit in a read
// that nothing ends; it then ends with the process.
func (p *pipe) close() { close(p.quit) }

// result waits for the writer and says how it went.
func (p *pipe) result() error {
	p.writing.Wait()
	return errors.Join(p.err, p.failed)
}

// post hands f to the shard; false: the shard is gone.
func (p *pipe) post(s *stack.Shard, f func(*stack.Shard)) bool {
	for !s.Post(f) {
		select {
		case <-p.quit:
			return false
		case <-time.After(postPause):
		}
	}
	return true
}

// read is the reader's goroutine.
func (p *pipe) read(s *stack.Shard) {
	buf := make([]byte, pipeChunk)
	for {
		n, err := p.in.Read(buf)
		if n > 0 {
			if !p.post(s, func(s *stack.Shard) { p.pending = buf[:n]; p.move(s) }) {
				return
			}
			select {
			case <-p.fed:
			case <-p.quit:
				return
			}
		}
		if err != nil {
			p.post(s, func(s *stack.Shard) { p.ended = true; p.move(s) })
			return
		}
	}
}

// write is the writer's goroutine. When writing fails it aborts the connection,
// as a closed pipe would.
func (p *pipe) write(s *stack.Shard) {
	defer p.writing.Done()
	for b := range p.full {
		if p.failed == nil {
			if _, p.failed = p.out.Write(b); p.failed != nil {
				p.post(s, p.Stop)
			}
		}
		p.free <- b[:0]
		p.post(s, p.move)
	}
}

package sim

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// Peer is an application for tests: on each connection it sends a known stream
// of bytes and checks the other one's.
type Peer struct {
	// Serve makes the plan for an incoming connection; nil: none is accepted.
	Serve func() *Stream

	streams map[mptcp.Conn]*Stream
}

// Stream is the plan for one connection, and what came of it.
type Stream struct {
	Send  int64  // bytes to send, then our direction ends
	Key   uint64 // of the bytes sent
	Want  uint64 // key of the bytes expected
	After bool   // send only when the peer's direction has ended
	Hold  bool   // do not read; Resume ends it

	Sent, Got int64
	Mismatch  int64 // offset + 1 of the first byte that was not as expected
	Connected bool
	EOF       bool
	Done      bool // the connection is over, as Err says
	Err       tcp.Reason
	shut      bool
	conn      mptcp.Conn
}

// Dial begins a connection with a plan.
func (p *Peer) Dial(s *stack.Shard, to string, st *Stream) error {
	c, err := s.Dial(addrPort(to), 0)
	if err == nil {
		p.add(c, st)
	}
	return err
}

func (p *Peer) add(c mptcp.Conn, st *Stream) {
	if p.streams == nil {
		p.streams = make(map[mptcp.Conn]*Stream)
	}
	st.conn = c
	p.streams[c] = st
}

// Resume lets a stream read that did not.
func (p *Peer) Resume(s *stack.Shard, st *Stream) {
	st.Hold = false
	s.Requeue(st.conn, tcp.Readable)
}

// Accept implements stack.App.
func (p *Peer) Accept(s *stack.Shard, c mptcp.Conn) bool {
	if p.Serve == nil {
		return false
	}
	st := p.Serve()
	if st == nil {
		return false
	}
	st.Connected = true
	p.add(c, st)
	p.pump(s, c, st)
	return true
}

// Ready implements stack.App.
func (p *Peer) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	st := p.streams[c]
	if st == nil {
		return
	}
	st.Connected = st.Connected || ev&tcp.Connected != 0
	p.pump(s, c, st)
}

func (p *Peer) pump(s *stack.Shard, c mptcp.Conn, st *Stream) {
	if !st.Hold {
		st.drink(s, c)
	}
	eof, done, err := s.Status(c)
	st.EOF = st.EOF || eof
	if st.Connected && (!st.After || st.EOF) {
		st.fill(s, c)
	}
	if done {
		st.Done, st.Err = true, err
		delete(p.streams, c)
		s.Close(c)
	}
}

// drink reads what there is.
func (st *Stream) drink(s *stack.Shard, c mptcp.Conn) {
	for d, ok := s.Recv(c); ok; d, ok = s.Recv(c) {
		st.check(s.Pool().Bytes(d))
		s.Pool().Release(d.Frame)
	}
}

// fill sends what the connection takes.
func (st *Stream) fill(s *stack.Shard, c mptcp.Conn) {
	var b [3000]byte
	for st.Sent < st.Send {
		n := min(int64(len(b)), st.Send-st.Sent)
		Pattern(b[:n], st.Key, st.Sent)
		k := s.Write(c, b[:n])
		st.Sent += int64(k)
		if int64(k) < n {
			return
		}
	}
	if !st.shut {
		st.shut = true
		s.Shut(c)
	}
}

func (st *Stream) check(b []byte) {
	var want [4096]byte
	Pattern(want[:len(b)], st.Want, st.Got)
	for i := range b {
		if b[i] != want[i] && st.Mismatch == 0 {
			st.Mismatch = st.Got + int64(i) + 1
		}
	}
	st.Got += int64(len(b))
}

// Pattern writes the bytes that stand at offset at of a stream with that key.
// No two places of it look alike.
func Pattern(b []byte, key uint64, at int64) {
	var word [8]byte
	for i := 0; i < len(b); {
		x := (uint64(at)>>3 + key<<32 + 1) * 0x9e3779b97f4a7c15
		binary.LittleEndian.PutUint64(word[:], x^x>>29)
		k := copy(b[i:], word[at&7:])
		i += k
		at += int64(k)
	}
}

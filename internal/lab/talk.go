package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Duplex is a connection whose directions end one by one.
type Duplex interface {
	net.Conn
	CloseWrite() error
}

// Talker is one end of a conversation: it sends the pattern of one seed until it
// is told to finish, and compares what it hears with the pattern of another. So
// whatever happens to the connection meanwhile happens in mid-transfer, in both
// directions. Its methods may be called from any goroutine.
type Talker struct {
	conn       Duplex
	rate       int64
	sent, got  atomic.Int64
	ending     atomic.Bool
	said, hear error // valid when ended is closed
	ended      chan struct{}
}

// talkChunk is what a talker writes at once.
const talkChunk = 16 << 10

// Talk begins to talk. rate bounds what is said, in bytes per second; 0: nothing
// does. The connection stays the caller's.
func Talk(conn Duplex, say, expect uint64, rate int64) *Talker {
	t := &Talker{conn: conn, rate: rate, ended: make(chan struct{})}
	var both sync.WaitGroup
	both.Go(func() { t.said = t.speak(say) })
	both.Go(func() { t.hear = t.listen(expect) })
	go func() {
		both.Wait()
		close(t.ended)
	}()
	return t
}

// speak ends its direction when it is told to.
func (t *Talker) speak(seed uint64) error {
	p := newPattern(seed)
	began := time.Now()
	for !t.ending.Load() {
		n, err := t.conn.Write(p.next(talkChunk))
		t.sent.Add(int64(n))
		if err != nil {
			return err
		}
		if t.rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(t.sent.Load() * int64(time.Second) / t.rate))))
		}
	}
	return t.conn.CloseWrite()
}

// listen reads to the end.
func (t *Talker) listen(seed uint64) error {
	s := newSink(seed, false)
	defer s.free()
	for {
		n, err := s.read(t.conn)
		t.got.Add(int64(n))
		if s.diff >= 0 {
			return fmt.Errorf("%w: byte %d is the first", ErrDiffers, s.diff)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Sent and Heard are the bytes that were written and that came, so far.
func (t *Talker) Sent() int64  { return t.sent.Load() }
func (t *Talker) Heard() int64 { return t.got.Load() }

// Finish lets the talker end its direction after what it is writing.
func (t *Talker) Finish() { t.ending.Store(true) }

// Ended is closed when both directions have ended, in order or not.
func (t *Talker) Ended() <-chan struct{} { return t.ended }

// Err says, once Ended is closed, what was wrong with what was said and with
// what was heard.
func (t *Talker) Err() error {
	var said, heard error
	if t.said != nil {
		said = fmt.Errorf("after %d bytes said: %w", t.Sent(), t.said)
	}
	if t.hear != nil {
		heard = fmt.Errorf("after %d bytes heard: %w", t.Heard(), t.hear)
	}
	return errors.Join(said, heard)
}

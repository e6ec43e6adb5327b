package lab

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen says how a kernel peer listens.
type Listen struct {
	Addr       netip.AddrPort // port 0: the kernel's choice
	MPTCP      bool
	Congestion string // empty: the namespace's default
}

// Origin is a server on the kernel's TCP or MPTCP. A client sends lines:
//
//	GET n seed\n   the answer is n bytes of the pattern seed; then the next line
//	PUT seed\n     and bytes of the pattern until it half-closes; the answer is
//	               "count sha256 first-difference\n" (-1: none) and the end
//
// A client that half-closes after a GET gets the end of the stream.
type Origin struct {
	Addr netip.AddrPort
	l    net.Listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	done  sync.WaitGroup
}

// Serve starts an origin in the namespace.
func (ns *NS) Serve(c Listen) (*Origin, error) {
	var l net.Listener
	lc := net.ListenConfig{Control: control(c.Congestion, "")}
	lc.SetMultipathTCP(c.MPTCP)
	err := ns.Do(func() (err error) {
		l, err = lc.Listen(context.Background(), network(c.Addr.Addr()), c.Addr.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	o := &Origin{Addr: l.Addr().(*net.TCPAddr).AddrPort(), l: l, conns: map[net.Conn]struct{}{}}
	o.done.Go(o.accept)
	return o, nil
}

func network(a netip.Addr) string {
	if a.Is4() {
		return "tcp4"
	}
	return "tcp6"
}

// control sets what must be set before a socket connects or listens.
func control(congestion, device string) func(string, string, syscall.RawConn) error {
	return func(_, _ string, rc syscall.RawConn) error {
		var err error
		ctl := rc.Control(func(fd uintptr) {
			if congestion != "" {
				err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
			}
			if device != "" && err == nil {
				err = unix.BindToDevice(int(fd), device)
			}
		})
		return errors.Join(ctl, err)
	}
}

// Close stops the origin and closes its connections.
func (o *Origin) Close() error {
	err := o.l.Close()
	o.mu.Lock()
	for c := range o.conns {
		c.Close()
	}
	o.conns = nil // accept adds no more
	o.mu.Unlock()
	o.done.Wait()
	return err
}

func (o *Origin) accept() {
	for {
		c, err := o.l.Accept()
		if err != nil {
			return
		}
		if !o.add(c) {
			c.Close()
			return
		}
		o.done.Go(func() {
			_ = serve(c) // the client sees what went wrong
			o.remove(c)
		})
	}
}

func (o *Origin) add(c net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conns == nil {
		return false
	}
	o.conns[c] = struct{}{}
	return true
}

func (o *Origin) remove(c net.Conn) {
	c.Close()
	o.mu.Lock()
	delete(o.conns, c)
	o.mu.Unlock()
}

// chunk is how much is written or read at once.
const chunk = 256 << 10

// chunks saves an idle origin connection its buffers.
var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

func serve(c net.Conn) error {
	r := bufio.NewReaderSize(c, 128) // a line must fit
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		var n int64
		var seed uint64
		if k, _ := fmt.Sscanf(string(line), "GET %d %d\n", &n, &seed); k == 2 {
			err = sendPattern(c, seed, n)
		} else if k, _ := fmt.Sscanf(string(line), "PUT %d\n", &seed); k == 1 {
			return receivePattern(c, r, seed)
		} else {
			err = fmt.Errorf("not a request: %q", line)
		}
		if err != nil {
			return err
		}
	}
}

func sendPattern(w io.Writer, seed uint64, n int64) error {
	p := newPattern(seed)
	for n > 0 {
		m, err := w.Write(p.next(int(min(n, chunk))))
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}

// receivePattern reads to the end and answers what came.
func receivePattern(w io.Writer, r io.Reader, seed uint64) error {
	s := newSink(seed, true)
	defer s.free()
	for {
		if _, err := s.read(r); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d %x %d\n", s.n, s.sum(), s.diff)
	return err
}

// A sink takes a stream in and compares it with a pattern.
type sink struct {
	n       int64 // bytes so far
	diff    int64 // offset of the first byte that differs, -1: none
	pattern pattern
	hash    interface {
		io.Writer
		Sum([]byte) []byte
	}
	buf *[]byte
}

func newSink(seed uint64, hash bool) *sink {
	s := &sink{diff: -1, pattern: newPattern(seed), buf: chunks.Get().(*[]byte)}
	if hash {
		s.hash = sha256.New()
	}
	return s
}

func (s *sink) free() { chunks.Put(s.buf) }

func (s *sink) read(r io.Reader) (int, error) {
	n, err := r.Read(*s.buf)
	b := (*s.buf)[:n]
	if s.diff < 0 {
		if i := s.pattern.check(b); i >= 0 {
			s.diff = s.n + int64(i)
		}
	}
	if s.hash != nil {
		s.hash.Write(b)
	}
	s.n += int64(n)
	return n, err
}

func (s *sink) sum() (sum [sha256.Size]byte) {
	if s.hash != nil {
		s.hash.Sum(sum[:0])
	}
	return sum
}

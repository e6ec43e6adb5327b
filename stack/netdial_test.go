package stack

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mpxd/mpxd/tcp"
)

// TestNetDialErrors: who fails to connect is told in the kernel's words.
func TestNetDialErrors(t *testing.T) {
	a, b := newStations(t, func(c *Config) {
		c.TCP.SynRetries, c.TCP.InitialRTO, c.TCP.MinRTO = 1, 20*tcp.Millisecond, 20*tcp.Millisecond
	})
	fails := func(network, addr string, want error) {
		t.Helper()
		_, err := a.Dial(network, addr)
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" || want != nil && !errors.Is(err, want) {
			t.Errorf("%s %s: %v", network, addr, err)
		}
	}
	fails("tcp", "10.0.0.2:9", syscall.ECONNREFUSED)
	fails("tcp", "[fd00::2]:9", syscall.ECONNREFUSED)
	fails("tcp", "192.0.2.1:9", syscall.ENETUNREACH)
	fails("tcp", "10.0.0.1:9", syscall.ENETUNREACH) // ourselves
	fails("tcp", "10.0.0.2:0", syscall.ENETUNREACH)
	fails("udp", "10.0.0.2:9", net.UnknownNetworkError("udp"))
	fails("tcp6", "10.0.0.2:9", nil)
	fails("tcp4", "[fd00::2]:9", nil)
	fails("tcp", "example.org:80", nil)
	fails("tcp", "10.0.0.2", nil)
	b.setCut(true) // the neighbour is known by now, and silent
	fails("tcp", "10.0.0.2:9", syscall.ETIMEDOUT)
}

// TestNetDialContext: a context ends dialling.
func TestNetDialContext(t *testing.T) {
	a, b := newStations(t, nil)
	a.Dial("tcp", "10.0.0.2:9") // learns where b is
	b.setCut(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := a.DialContext(ctx, "tcp", "10.0.0.2:9")
	var timeout net.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error(err)
	}
	if _, err = a.DialContext(ctx, "tcp", "10.0.0.2:9"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err = a.DialContext(ctx, "tcp", "10.0.0.2:9"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for conns := 1; conns > 0; time.Sleep(time.Millisecond) { // what was given up is aborted
		a.ask(func(s *Shard) { conns, _, _, _ = s.Idle() })
	}
}

func TestNetListener(t *testing.T) {
	a, b := newStations(t, nil)
	l, err := b.Listen("tcp4", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != "10.0.0.2:80" {
		t.Error(l.Addr())
	}
	fails := func(network, addr string, want error) {
		t.Helper()
		if _, err := b.Listen(network, addr); !errors.Is(err, want) {
			t.Errorf("%s %s: %v", network, addr, err)
		}
	}
	fails("tcp", ":80", syscall.EADDRINUSE)
	fails("tcp", "10.0.0.3:81", syscall.EADDRNOTAVAIL)
	fails("unix", "10.0.0.2:81", net.UnknownNetworkError("unix"))
	fails("tcp4", ":80", syscall.EADDRINUSE)
	fails("tcp4", "10.0.0.2:80", syscall.EADDRINUSE)
	// Another address may have a listener of its own at the port.
	six, err := b.Listen("tcp6", "[fd00::2]:80")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := a.Dial("tcp", "[fd00::2]:80"); err != nil {
		t.Error(err)
	} else if in, err := six.Accept(); err != nil || in.LocalAddr().String() != "[fd00::2]:80" {
		t.Error(err)
	} else {
		in.Close()
		c.Close()
	}
	six.Close()
	b.ask(func(*Shard) {}) // it closes in a turn
	if _, err := a.Dial("tcp", "[fd00::2]:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the listener of one address was closed: %v", err)
	}
	if _, err := a.Dial("tcp", "[fd00::2]:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("another address of ours: %v", err)
	}

	d := l.(*NetListener)
	d.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	d.SetDeadline(time.Time{})

	c, err := a.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if in.LocalAddr().String() != c.RemoteAddr().String() || in.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("%v %v, %v %v", in.LocalAddr(), in.RemoteAddr(), c.LocalAddr(), c.RemoteAddr())
	}

	// One that nobody accepted is reset when the listener closes; one that was lives on.
	waiting, err := a.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n == 0; {
		d.mu.Lock()
		n = len(d.waiting)
		d.mu.Unlock()
	}
	if l.Close() != nil || !errors.Is(l.Close(), net.ErrClosed) {
		t.Error("closing twice")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	_, err = waiting.Read(make([]byte, 1))
	reset(t, "reading", err)
	if _, err := a.Dial("tcp", "10.0.0.2:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Close: %v", err)
	}
	go in.Write([]byte("still here"))
	if n, err := c.Read(make([]byte, 16)); n == 0 || err != nil {
		t.Error(n, err)
	}
	if l, err = b.Listen("tcp", ":80"); err != nil {
		t.Error("the port is not free again:", err)
	} else {
		l.Close()
	}
}

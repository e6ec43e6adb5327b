package stack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

// pipes joins a and b again and again.
func pipes(t *testing.T, a, b *station, multipath bool) nettest.MakePipe {
	return func() (c1, c2 net.Conn, stop func(), err error) {
		l, err := b.Listen("tcp", ":0")
		if err != nil {
			return nil, nil, nil, err
		}
		defer l.Close()
		c1, err = join(a, b, l, multipath)
		if err != nil {
			return nil, nil, nil, err
		}
		if c2, err = l.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	}
}

// join dials b's listener from a.
func join(a, b *station, l net.Listener, multipath bool) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if multipath {
		return a.DialMPTCP(context.Background(), "tcp", net.JoinHostPort(b.addr, port))
	}
	return a.Dial("tcp", net.JoinHostPort(b.addr, port))
}

// each runs a test over TCP and over MPTCP.
func each(t *testing.T, f func(t *testing.T, a, b *station, pipe nettest.MakePipe, multipath bool)) {
	for name, multipath := range map[string]bool{"TCP": false, "MPTCP": true} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			t.Run("", func(t *testing.T) {
				a, b := newStations(t, speaksMPTCP)
				f(t, a, b, pipes(t, a, b, multipath), multipath)
			})
		})
	}
}

// pair makes one pipe.
func pair(t *testing.T, pipe nettest.MakePipe) (c1, c2 *NetConn) {
	t.Helper()
	p, q, stop, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return p.(*NetConn), q.(*NetConn)
}

func TestNetConnIsANetConn(t *testing.T) {
	each(t, func(t *testing.T, a, b *station, pipe nettest.MakePipe, multipath bool) {
		c1, c2 := pair(t, pipe)
		for _, c := range []*NetConn{c1, c2} {
			if is, _ := c.MultipathTCP(); is != multipath {
				t.Errorf("%v: MultipathTCP is %v", c.LocalAddr(), is)
			}
		}
		nettest.TestConn(t, pipe)
	})
}

// TestNetConnHalfClose: both directions at once, more than all buffers hold, each
// ended by itself.
func TestNetConnHalfClose(t *testing.T) {
	each(t, func(t *testing.T, a, b *station, pipe nettest.MakePipe, _ bool) {
		c1, c2 := pair(t, pipe)
		up, down := noise(1, 5<<20), noise(2, 3<<20)
		talk := func(c *NetConn, say, hear []byte) {
			var both sync.WaitGroup
			both.Go(func() {
				if n, err := c.Write(say); n != len(say) || err != nil {
					t.Errorf("wrote %d: %v", n, err)
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
				if _, err := c.Write(say); !errors.Is(err, syscall.EPIPE) {
					t.Errorf("writing after CloseWrite: %v", err)
				}
			})
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, hear) {
				t.Errorf("%d of %d bytes, %v", len(got), len(hear), err)
			}
			both.Wait()
			<-c.Done()
			if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("after the end: %d, %v", n, err)
			}
		}
		var two sync.WaitGroup
		two.Go(func() { talk(c1, up, down) })
		two.Go(func() { talk(c2, down, up) })
		two.Wait()
	})
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// TestNetConnBackPressure: who does not read stops the other one, and what is held for
// it is bounded.
func TestNetConnBackPressure(t *testing.T) {
	each(t, func(t *testing.T, a, b *station, pipe nettest.MakePipe, _ bool) {
		c1, c2 := pair(t, pipe)
		all := noise(3, 32<<20)
		n := 0
		for more := 1; more > 0; n += more { // until the time passes without a byte
			var err error
			c1.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if more, err = c1.Write(all[n:]); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%d bytes went nowhere: %v", n+more, err)
			}
		}
		if n < ringMax || n > 2*ringMax+2<<20 {
			t.Fatalf("%d bytes went nowhere", n)
		}
		// All that was taken arrives.
		c1.SetWriteDeadline(time.Time{})
		go c1.CloseWrite()
		got, err := io.ReadAll(c2)
		if err != nil || !bytes.Equal(got, all[:n]) {
			t.Errorf("%d of %d bytes, %v", len(got), n, err)
		}
	})
}

// TestNetConnReset: closing with something unread, or abruptly, resets the
// peer; it may read what came before.
func TestNetConnReset(t *testing.T) {
	each(t, func(t *testing.T, a, b *station, pipe nettest.MakePipe, _ bool) {
		c1, c2 := pair(t, pipe)
		one := make([]byte, 1)
		c1.Write([]byte("unread"))
		if _, err := c2.Read(one); err != nil {
			t.Fatal(err)
		}
		c2.Close()
		_, err := c1.Read(one)
		reset(t, "reading", err)
		_, err = c1.Write(one)
		reset(t, "writing", err)
		if err := c1.CloseWrite(); !errors.Is(err, syscall.ENOTCONN) {
			t.Errorf("CloseWrite: %v", err)
		}

		c1, c2 = pair(t, pipe)
		c1.SetLinger(0)
		c1.Close()
		_, err = c2.Read(one)
		reset(t, "reading", err)
		for _, err := range []error{c1.Close(), c1.SetDeadline(time.Time{}), c1.CloseRead(), c1.SetLinger(0)} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %v", err)
			}
		}
	})
}

func reset(t *testing.T, what string, err error) {
	t.Helper()
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Addr == nil {
		t.Errorf("%s: %v", what, err)
	}
}

// TestNetConnLinger: who lingers is reset when the peer does not take all in time, and not before; if it
// does, it sees the end.
func TestNetConnLinger(t *testing.T) {
	each(t, func(t *testing.T, a, b *station, pipe nettest.MakePipe, _ bool) {
		c1, c2 := pair(t, pipe)
		c1.SetLinger(1)
		c1.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c1.Write(noise(6, 32<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("all went nowhere: %v", err)
		}
		begin := time.Now()
		c1.Close()
		<-c1.Done()
		if took := time.Since(begin); took < 900*time.Millisecond || took > 10*time.Second {
			t.Errorf("it lingered for %v", took)
		}
		_, err := io.Copy(io.Discard, c2)
		reset(t, "reading", err)

		c1, c2 = pair(t, pipe)
		c1.SetLinger(20)
		want := noise(7, 1<<20)
		go func() {
			c1.Write(want)
			c1.Close()
		}()
		if got, err := io.ReadAll(c2); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		select { // long before the time is over
		case <-c1.Done():
		case <-time.After(10 * time.Second):
			t.Error("it lingers though all was acknowledged")
		}
	})
}

// TestNetConnCloseRead: what comes after it is thrown away, and does not stop
// the peer.
func TestNetConnCloseRead(t *testing.T) {
	each(t, func(t *testing.T, a, b *station, pipe nettest.MakePipe, _ bool) {
		c1, c2 := pair(t, pipe)
		if err := c2.CloseRead(); err != nil {
			t.Fatal(err)
		}
		if n, err := c2.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := c1.Write(noise(4, 8<<20)); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		c1.CloseWrite()
		c2.Write([]byte("fine"))
		c2.CloseWrite()
		if got, err := io.ReadAll(c1); err != nil || string(got) != "fine" {
			t.Errorf("%q, %v", got, err)
		}
		<-c2.Done()
	})
}

// TestNetConnLeavesNothing: connections opened and closed in all ways give back
// everything they had.
func TestNetConnLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, a, b *station, pipe nettest.MakePipe, _ bool) {
		var all sync.WaitGroup
		for i := range 24 {
			all.Go(func() {
				c1, c2, stop, err := pipe()
				if err != nil {
					t.Error(err)
					return
				}
				defer stop()
				switch i % 4 {
				case 0:
					c1.Write(noise(5, 1<<17)) // read by nobody
				case 1:
					go c1.Write(noise(5, 1<<20))
					io.CopyN(io.Discard, c2, 1<<18)
				case 2:
					c1.(*NetConn).SetLinger(0)
				}
			})
		}
		all.Wait()
		for _, s := range []*station{a, b} {
			for deadline := time.Now().Add(20 * time.Second); ; {
				var conns, lent, free int
				s.ask(func(sh *Shard) {
					conns, _, _, _ = sh.Idle()
					lent, free = len(s.Net.conns), s.pool.Free()
				})
				if conns+lent == 0 && free == s.pool.Frames() {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d connections, %d lent, %d of %d frames free", conns, lent, free, s.pool.Frames())
				}
				time.Sleep(time.Millisecond)
			}
		}
	})
}

// TestNetStop: when the shard goes, everybody who waits is told.
func TestNetStop(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var waiting sync.WaitGroup
	closed := func(what string, f func() error) {
		waiting.Go(func() {
			if err := f(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	var a *station
	t.Run("", func(t *testing.T) {
		var b *station
		a, b = newStations(t, nil)
		l, err := a.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		c1, _ := pair(t, pipes(t, a, b, false))
		closed("accept", func() error { _, err := l.Accept(); return err })
		closed("read", func() error { _, err := c1.Read(make([]byte, 1)); return err })
		closed("write", func() error { _, err := c1.Write(make([]byte, 1<<24)); return err })
		a.setCut(true)
		closed("dial", func() error { _, err := a.Dial("tcp", "10.0.0.2:81"); return err })
		for a.ringing(c1) == 0 { // the writer waits
			time.Sleep(time.Millisecond)
		}
	})
	waiting.Wait()
	closed("dial, later", func() error { _, err := a.Dial("tcp", "10.0.0.2:81"); return err })
	closed("listen, later", func() error { _, err := a.Listen("tcp", ":81"); return err })
	waiting.Wait()
}

// ringing is how many bytes wait to be sent.
func (s *station) ringing(c *NetConn) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.len()
}

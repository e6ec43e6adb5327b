package sim

import (
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

func isARP(b []byte) bool { return b[12] == 8 && b[13] == 6 }

func TestLostARPIsRepeated(t *testing.T) {
	p := newPair(t, pairConfig{seed: 3, link: link.Config{Rate: 1e9, Delay: ms}})
	lose := 2 // the client's first request, and the reply to its second
	p.lan.Mangle = func(_ *Port, b []byte) bool {
		if isARP(b) && lose > 0 {
			lose--
			return false
		}
		return true
	}
	p.exchange(t, servers["IPv4"], 1000, 1000, 20*tcp.Second)
	if n := p.client.Shard.Stats().Solicits; n != 3 {
		t.Errorf("asked %d times", n)
	}
	p.settle(t)
}

func TestRefusedAndUnreachable(t *testing.T) {
	p := newPair(t, pairConfig{seed: 4, link: link.Config{Rate: 1e9, Delay: ms}})
	for to, want := range map[string]tcp.Reason{
		"10.0.0.2:81": tcp.Refused, "[fd00::2]:81": tcp.Refused,
		"10.0.0.9:80": tcp.Unreachable, "[fd00::9]:80": tcp.Unreachable, // nobody is there
	} {
		st := &Stream{Send: 100}
		p.client.Do(func(s *stack.Shard) {
			if err := p.app.Dial(s, to, st); err != nil {
				t.Error(to, err)
			}
		})
		if !p.RunUntil(func() bool { return st.Done }, 10*tcp.Second) || st.Err != want || st.Connected {
			t.Errorf("%s: %+v, want %v", to, *st, want)
		}
	}
	p.client.Do(func(s *stack.Shard) {
		if err := p.app.Dial(s, "192.0.2.1:80", &Stream{}); err != stack.ErrNoRoute {
			t.Error(err)
		}
	})
	p.settle(t)
}

// TestManyConnections opens connections faster than they close, some of them
// refused by the application, and some reset.
func TestManyConnections(t *testing.T) {
	conf := tcp.DefaultConfig()
	conf.MSL = tcp.Second
	p := newPair(t, pairConfig{seed: 5, tcp: &conf, link: link.Config{Rate: 1e9, Delay: ms, Loss: 2000}})
	const total = 2000
	var served, refused int
	var all []*Stream
	p.service.Serve = func() *Stream {
		if served++; served%10 == 0 {
			refused++
			return nil
		}
		return &Stream{Send: 5000, Key: 2, Want: 1, After: true}
	}
	for i := range total {
		to := servers["IPv4"]
		if i%3 == 0 {
			to = servers["IPv6"]
		}
		p.client.Do(func(s *stack.Shard) {
			st := &Stream{Send: 2000, Key: 1, Want: 2}
			all = append(all, st)
			if err := p.app.Dial(s, to, st); err != nil {
				t.Error(err)
			}
		})
		p.Run(p.Now() + 300*tcp.Microsecond)
	}
	over := func() bool {
		for _, st := range all {
			if !st.Done {
				return false
			}
		}
		return len(all) == total
	}
	if !p.RunUntil(over, 200*tcp.Second) {
		t.Fatal("not over")
	}
	good, reset := 0, 0
	for _, st := range all {
		switch {
		case st.Err == tcp.NoError && st.Got == 5000 && st.Mismatch == 0:
			good++
		case st.Err == tcp.ResetByPeer:
			reset++
		default:
			t.Errorf("%+v", *st)
		}
	}
	if served != total || reset != refused || good+reset != total {
		t.Errorf("%d served, %d refused; %d good, %d reset", served, refused, good, reset)
	}
	p.settle(t)
}

// TestFewFrames: a pool much smaller than the buffers promised. Nothing may
// deadlock, and the stream must be whole.
func TestFewFrames(t *testing.T) {
	p := newPair(t, pairConfig{seed: 6, frames: 300, link: link.Config{Rate: 1e9, Delay: ms, Loss: 1000},
		client: NIC{HoldTx: 100 * tcp.Microsecond}, server: NIC{HoldTx: 100 * tcp.Microsecond}})
	p.exchange(t, servers["IPv4"], 4<<20, 4<<20, 600*tcp.Second)
	p.settle(t)
}

// TestPartialChecksums: a link that leaves checksums to the receiver.
func TestPartialChecksums(t *testing.T) {
	for family, to := range servers {
		t.Run(family, func(t *testing.T) {
			p := newPair(t, pairConfig{seed: 7, link: link.Config{Rate: 1e9, Delay: ms, Loss: 1000},
				client: NIC{Partial: true}, server: NIC{Partial: true}})
			p.exchange(t, to, 1<<20, 1<<20, 60*tcp.Second)
			if n := p.server.Shard.Stats().RxPartial; n < 700 {
				t.Errorf("%d partial checksums seen", n)
			}
			p.settle(t)
		})
	}
}

// TestCutAndMend: a link that is silent for a while costs time, no bytes.
func TestCutAndMend(t *testing.T) {
	p := newPair(t, pairConfig{seed: 8, link: link.Config{Rate: 1e8, Delay: 5 * ms}})
	p.lan.Mangle = func(_ *Port, b []byte) bool {
		return p.Now() < 200*tcp.Millisecond || p.Now() > 1200*tcp.Millisecond
	}
	p.exchange(t, servers["IPv4"], 8<<20, 1<<20, 60*tcp.Second)
	if p.Now() < 1200*tcp.Millisecond {
		t.Errorf("over at %d ms, before the cut was", p.Now()/tcp.Millisecond)
	}
	p.settle(t)
}

// TestTwoLinks: a host with a leg in two networks serves both.
func TestTwoLinks(t *testing.T) {
	w := NewWorld(9)
	wifi, lte := w.Net("wifi"), w.Net("lte")
	good := link.Config{Rate: 1e9, Delay: ms}
	var a1, a2, service Peer
	one := w.Host(HostConfig{Name: "one", App: &a1, NICs: []NIC{{Net: wifi, Addresses: []string{"10.1.0.1/24"}, Up: good}}})
	two := w.Host(HostConfig{Name: "two", App: &a2, NICs: []NIC{{Net: lte, Addresses: []string{"10.2.0.1/24"}, Up: good}}})
	server := w.Host(HostConfig{Name: "server", App: &service, NICs: []NIC{
		{Net: wifi, Addresses: []string{"10.1.0.2/24"}, Up: good}, {Net: lte, Addresses: []string{"10.2.0.2/24"}, Up: good}}})
	service.Serve = func() *Stream { return &Stream{Send: 50000, After: true} }
	server.Do(func(s *stack.Shard) { s.Listen(80) })
	s1, s2 := &Stream{Send: 10}, &Stream{Send: 10}
	one.Do(func(s *stack.Shard) { a1.Dial(s, "10.1.0.2:80", s1) })
	two.Do(func(s *stack.Shard) { a2.Dial(s, "10.2.0.2:80", s2) })
	if !w.RunUntil(func() bool { return s1.Done && s2.Done }, 10*tcp.Second) || s1.Got != 50000 || s2.Got != 50000 {
		t.Errorf("%+v %+v", *s1, *s2)
	}
	if err := w.Settle(); err != nil {
		t.Error(err)
	}
}

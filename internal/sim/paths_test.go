package sim

import (
	"net/netip"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// managed is a phone with two links and a server with an address in each
// network, whose path managers do all: the applications know of one address.
func managed(t *testing.T, seed uint64, phone, server mptcp.Policy) *twoPaths {
	return managedOf(t, seed, phone, server, nil)
}

func managedOf(t *testing.T, seed uint64, phone, server mptcp.Policy, edit func(*mptcp.Config)) *twoPaths {
	p := &twoPaths{World: NewWorld(seed)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d, ended at %d ms; phone %+v; server %+v", seed, p.Now()/tcp.Millisecond, *p.phone.Shard.MPTCP(), *p.server.Shard.MPTCP())
		}
	})
	w, l := p.Net("wifi"), p.Net("lte")
	p.app.single = true
	conf := func(c mptcp.Config) mptcp.Config {
		c.Enabled = true
		if edit != nil {
			edit(&c)
		}
		return c
	}
	wifi, lte := link.Config{Rate: 50e6, Delay: 5 * ms}, link.Config{Rate: 50e6, Delay: 20 * ms}
	p.phone = p.Host(HostConfig{Name: "phone", App: &p.app, MPTCP: conf(mptcp.Config{Active: phone}), Frames: 1 << 15, NICs: []NIC{
		{Net: w, Addresses: []string{"10.1.0.1/24"}, Up: wifi, Down: wifi},
		{Net: l, Addresses: []string{"10.2.0.1/24"}, Up: lte, Down: lte}}})
	p.server = p.Host(HostConfig{Name: "server", App: &p.service, MPTCP: conf(mptcp.Config{Passive: server}), Frames: 1 << 15, NICs: []NIC{
		{Net: w, Addresses: []string{"10.1.0.2/24"}}, {Net: l, Addresses: []string{"10.2.0.2/24"}}}})
	p.server.Do(func(s *stack.Shard) { s.Listen(80) })
	return p
}

func endpoint(addr string, port uint16, f mptcp.EndpointFlags) mptcp.Endpoint {
	return mptcp.Endpoint{Addr: netip.MustParseAddr(addr).As16(), Port: port, Flags: f}
}

// TestAnnouncedPath: a server with two addresses announces the second one; the
// phone, which was told of one only, uses both.
func TestAnnouncedPath(t *testing.T) {
	for name, port := range map[string]uint16{"address": 0, "address and port": 8443} {
		t.Run(name, func(t *testing.T) {
			p := managed(t, 81, mptcp.Policy{AddAddrAccepted: 2}, mptcp.Policy{Endpoints: []mptcp.Endpoint{endpoint("10.2.0.2", port, mptcp.Signal)}})
			p.download(t, 3*transfer, 120*tcp.Second, nil)
			for i, l := range []*link.Link{p.phone.Ports[0].Down, p.phone.Ports[1].Down} {
				if n := l.Counters().Bytes; n < transfer/4 {
					t.Errorf("path %d carried %d bytes only", i, n)
				}
			}
			if err := p.Settle(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBreakBeforeMake: the only subflow ends in mid-download, the connection
// lives on without, and the phone's next one, on its other link, goes on with it.
func TestBreakBeforeMake(t *testing.T) {
	p := managed(t, 82, mptcp.Policy{}, mptcp.Policy{})
	p.app.most = 2 // it never has more than one at a time
	p.download(t, transfer, 120*tcp.Second, func() {
		p.phone.Do(func(s *stack.Shard) {
			s.EachSubflow(p.app.conn, func(f mptcp.Flow, _ mptcp.SubflowInfo) {
				if err := s.CloseSubflow(f); err != nil {
					t.Error(err)
				}
			})
		})
		p.Run(p.Now() + 20*tcp.Second)
		if c, _, _, _ := p.server.Shard.Idle(); c != 1 {
			t.Errorf("the server has %d connections", c)
		}
		p.phone.Do(func(s *stack.Shard) {
			if err := s.OpenSubflow(p.app.conn, netip.MustParseAddr("10.2.0.1"), addrPort("10.2.0.2:80"), 0, false); err != nil {
				t.Error(err)
			}
		})
	})
	if n := p.phone.Ports[1].Down.Counters().Bytes; n < transfer/4 {
		t.Errorf("the second link carried %d bytes", n)
	}
	if err := p.Settle(); err != nil {
		t.Error(err)
	}
}

// TestBreakTooLong: a connection that stays without subflows for CloseTimeout
// is over at both ends.
func TestBreakTooLong(t *testing.T) {
	p := managedOf(t, 83, mptcp.Policy{}, mptcp.Policy{}, func(c *mptcp.Config) { c.CloseTimeout = 5 * tcp.Second })
	in := &Stream{Send: transfer, Key: 2, Want: 1, After: true}
	out := &Stream{Send: 1000, Key: 1, Want: 2}
	p.app.st, p.service.Serve = out, func() *Stream { return in }
	p.phone.Do(func(s *stack.Shard) { p.app.dial(t, s) })
	p.RunUntil(func() bool { return out.Got > transfer/4 }, 60*tcp.Second)
	cut := p.Now()
	p.phone.Do(func(s *stack.Shard) {
		s.EachSubflow(p.app.conn, func(f mptcp.Flow, _ mptcp.SubflowInfo) { s.CloseSubflow(f) })
	})
	if !p.RunUntil(func() bool { return in.Done && out.Done }, 60*tcp.Second) || in.Err != tcp.TimedOut || out.Err != tcp.TimedOut {
		t.Errorf("phone %+v\nserver %+v", *out, *in)
	}
	if took := p.Now() - cut; took < 5*tcp.Second || took > 7*tcp.Second {
		t.Errorf("over after %d ms", took/tcp.Millisecond)
	}
	if err := p.Settle(); err != nil {
		t.Error(err)
	}
}

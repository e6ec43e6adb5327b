package sim

import (
	"net/netip"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// phone is an application that opens a second path as soon as it may.
type phone struct {
	Peer
	conn   mptcp.Conn
	st     *Stream
	most   int
	single bool // open none
}

func (a *phone) dial(t *testing.T, s *stack.Shard) {
	c, err := s.DialMPTCP(addrPort("10.1.0.2:80"), 0)
	if err != nil {
		t.Error(err)
		return
	}
	a.conn = c
	a.add(c, a.st)
}

func (a *phone) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	if i, ok := s.Info(c); ok && c == a.conn {
		if a.most = max(a.most, i.Subflows); i.Subflows == 1 && !a.single {
			s.OpenSubflow(c, netip.MustParseAddr("10.2.0.1"), addrPort("10.2.0.2:80"), 2, false)
		}
	}
	a.Peer.Ready(s, c, ev)
}

// twoPaths is a phone with two links and a server with a leg in each network.
type twoPaths struct {
	*World
	phone, server *Host
	app           phone
	service       Peer
}

func newTwoPaths(t *testing.T, seed uint64, wifi, lte link.Config, checksum bool) *twoPaths {
	return newTwoPathsOf(t, seed, wifi, lte, checksum, nil)
}

// newTwoPathsOf has another configuration of TCP, if it is not nil.
func newTwoPathsOf(t *testing.T, seed uint64, wifi, lte link.Config, checksum bool, c *tcp.Config) *twoPaths {
	return newTwoPathsWith(t, seed, wifi, lte, c, mptcp.Config{Enabled: true, Checksum: checksum})
}

func newTwoPathsWith(t *testing.T, seed uint64, wifi, lte link.Config, c *tcp.Config, conf mptcp.Config) *twoPaths {
	p := &twoPaths{World: NewWorld(seed)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d, ended at %d ms; phone %+v; server %+v", seed, p.Now()/tcp.Millisecond, *p.phone.Shard.MPTCP(), *p.server.Shard.MPTCP())
		}
	})
	w, l := p.Net("wifi"), p.Net("lte")
	p.phone = p.Host(HostConfig{Name: "phone", App: &p.app, TCP: c, MPTCP: conf, Frames: 1 << 15, NICs: []NIC{
		{Net: w, Addresses: []string{"10.1.0.1/24"}, Up: wifi, Down: wifi},
		{Net: l, Addresses: []string{"10.2.0.1/24"}, Up: lte, Down: lte}}})
	p.server = p.Host(HostConfig{Name: "server", App: &p.service, TCP: c, MPTCP: conf, Frames: 1 << 15, NICs: []NIC{
		{Net: w, Addresses: []string{"10.1.0.2/24"}}, {Net: l, Addresses: []string{"10.2.0.2/24"}}}})
	p.server.Do(func(s *stack.Shard) { s.Listen(80) })
	return p
}

// download lets the server send. f, if any, is called in the middle, when both paths carry data.
func (p *twoPaths) download(t *testing.T, bytes int64, within tcp.Time, f func()) {
	t.Helper()
	in := &Stream{Send: bytes, Key: 2, Want: 1, After: true}
	p.app.st = &Stream{Send: 1000, Key: 1, Want: 2}
	p.service.Serve = func() *Stream { return in }
	p.phone.Do(func(s *stack.Shard) { p.app.dial(t, s) })
	out := p.app.st
	if f != nil {
		if !p.RunUntil(func() bool { return out.Got > bytes/4 }, within) || out.Done {
			t.Fatalf("never in the middle: %+v", *out)
		}
		f()
	}
	if !p.RunUntil(func() bool { return out.Done && in.Done }, within) ||
		out.Got != bytes || out.Mismatch != 0 || out.Err != tcp.NoError || in.Got != 1000 || in.Err != tcp.NoError {
		t.Fatalf("phone %+v\nserver %+v", *out, *in)
	}
	if p.app.most < 2 {
		t.Errorf("at most %d subflows", p.app.most)
	}
}

func TestTwoPaths(t *testing.T) {
	wifi, lte := link.Config{Rate: 200e6, Delay: 5 * ms}, link.Config{Rate: 100e6, Delay: 20 * ms}
	bad := func(c link.Config) link.Config {
		c.Loss, c.Reorder, c.ReorderDelay, c.Duplicate, c.Corrupt = 1000, 2000, 2*ms, 1000, 500
		return c
	}
	for name, c := range map[string]struct {
		wifi, lte link.Config
		checksum  bool
	}{
		"clean": {wifi: wifi, lte: lte}, "checksum": {wifi: wifi, lte: lte, checksum: true},
		"bad": {wifi: bad(wifi), lte: bad(lte)}, "bad and checksum": {wifi: bad(wifi), lte: bad(lte), checksum: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTwoPaths(t, 11, c.wifi, c.lte, c.checksum)
			p.download(t, 3*transfer, 120*tcp.Second, nil)
			t.Logf("%d Mbit/s", 3*transfer*8*1000/(int64(p.Now())))
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

// TestPathCut: one path falls silent in the middle of a download, and comes
// back, or not.
func TestPathCut(t *testing.T) {
	for _, path := range []int{0, 1} {
		for _, back := range []bool{true, false} {
			p := newTwoPaths(t, 12, link.Config{Rate: 50e6, Delay: 5 * ms}, link.Config{Rate: 50e6, Delay: 20 * ms}, false)
			p.download(t, transfer, 120*tcp.Second, func() {
				p.phone.SetUp(path, false)
				if back {
					p.Run(p.Now() + 2*tcp.Second)
					p.phone.SetUp(path, true)
				}
			})
			t.Logf("path %d, back %v: %d ms", path, back, p.Now()/tcp.Millisecond)
			if err := p.Settle(); err != nil {
				t.Errorf("path %d, back %v: %v", path, back, err)
			}
		}
	}
}

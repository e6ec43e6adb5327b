package sim

import (
	"fmt"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// pair is a client and a server on one network.
type pair struct {
	*World
	lan            *Net
	client, server *Host
	app, service   Peer
}

type pairConfig struct {
	seed           uint64
	link           link.Config // of each direction of each NIC
	client, server NIC
	frames         int
	serverFrames   int // 0: frames
	tcp            *tcp.Config
}

func newPair(t testing.TB, c pairConfig) *pair {
	t.Helper()
	p := &pair{World: NewWorld(c.seed)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d, ended at %d ms; client %+v; server %+v", c.seed, p.Now()/tcp.Millisecond, *p.client.Shard.Stats(), *p.server.Shard.Stats())
		}
	})
	p.lan = p.Net("lan")
	nic := func(n NIC, addresses ...string) []NIC {
		n.Net, n.Addresses, n.Up, n.Down = p.lan, addresses, c.link, c.link
		return []NIC{n}
	}
	p.client = p.Host(HostConfig{Name: "client", App: &p.app, Frames: c.frames, TCP: c.tcp,
		NICs: nic(c.client, "10.0.0.1/24", "fd00::1/64")})
	if c.serverFrames == 0 {
		c.serverFrames = c.frames
	}
	p.server = p.Host(HostConfig{Name: "server", App: &p.service, Frames: c.serverFrames, TCP: c.tcp,
		NICs: nic(c.server, "10.0.0.2/24", "fd00::2/64")})
	p.server.Do(func(s *stack.Shard) {
		if err := s.Listen(80); err != nil {
			t.Error(err)
		}
	})
	return p
}

var servers = map[string]string{"IPv4": "10.0.0.2:80", "IPv6": "[fd00::2]:80"}

// exchange dials and lets both sides send; the server answers when the client has finished.
func (p *pair) exchange(t testing.TB, to string, up, down int64, within tcp.Time) {
	t.Helper()
	out := &Stream{Send: up, Key: 1, Want: 2}
	in := &Stream{Send: down, Key: 2, Want: 1, After: true}
	p.service.Serve = func() *Stream { return in }
	p.client.Do(func(s *stack.Shard) {
		if err := p.app.Dial(s, to, out); err != nil {
			t.Error(err)
		}
	})
	ended := p.RunUntil(func() bool { return out.Done && in.Done }, within)
	for _, s := range []struct {
		name string
		*Stream
		want int64
	}{{"client", out, down}, {"server", in, up}} {
		if s.Got != s.want || s.Mismatch != 0 || !s.EOF || !s.Done || s.Err != tcp.NoError {
			t.Errorf("%s: %+v, wanted %d bytes", s.name, *s.Stream, s.want)
		}
	}
	if !ended {
		t.Fatalf("not over after %d s", within/tcp.Second)
	}
}

func (p *pair) settle(t testing.TB) {
	t.Helper()
	if err := p.Settle(); err != nil {
		t.Error(err)
	}
}

const ms = int64(tcp.Millisecond)

func TestTransfer(t *testing.T) {
	kinds := map[string]link.Config{
		"clean":   {Rate: 1e9, Delay: ms},
		"loss":    {Rate: 1e9, Delay: ms, Loss: 5000},
		"reorder": {Rate: 1e9, Delay: ms, Reorder: 20000, ReorderDelay: ms / 2},
		"dup":     {Rate: 1e9, Delay: ms, Duplicate: 20000},
		"corrupt": {Rate: 1e9, Delay: ms, Corrupt: 5000},
		"all": {Rate: 2e8, Delay: 3 * ms, Jitter: ms, Loss: 3000, Reorder: 10000, ReorderDelay: ms,
			Duplicate: 5000, Corrupt: 2000, Burst: link.Burst{Enter: 200, Leave: 200000, Loss: link.Million}},
	}
	for name, l := range kinds {
		for family, to := range servers {
			t.Run(name+"/"+family, func(t *testing.T) {
				t.Parallel()
				p := newPair(t, pairConfig{seed: 1, link: l, client: NIC{HoldTx: 20 * tcp.Microsecond}})
				p.exchange(t, to, transfer, transfer, 300*tcp.Second)
				t.Logf("%d ms", p.Now()/tcp.Millisecond)
				p.settle(t)
			})
		}
	}
}

func TestSeedDecidesEverything(t *testing.T) {
	run := func(seed uint64) string {
		p := newPair(t, pairConfig{seed: seed, link: link.Config{Rate: 1e8, Delay: ms, Loss: 20000, Jitter: ms}})
		p.exchange(t, servers["IPv4"], 1<<20, 1<<20, 60*tcp.Second)
		return fmt.Sprint(p.Now(), *p.client.Shard.Stats())
	}
	if a, b := run(7), run(7); a != b {
		t.Errorf("the same seed gave two runs:\n%s\n%s", a, b)
	}
	if a, b := run(7), run(8); a == b {
		t.Errorf("two seeds gave the same run: %s", a)
	}
}

package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/internal/sim"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

const ms = int64(tcp.Millisecond)

// world is client -- access -- proxy -- core -- origin, each a host of our own
// stack.
type world struct {
	*sim.World
	access, core          *sim.Net
	client, proxy, origin *sim.Host
	app                   guests
	p                     *Proxy
	server                server
	records               []Record
}

type worldConfig struct {
	seed         uint64
	access, core link.Config
	frames       int         // of the proxy
	tcp          *tcp.Config // of all
	stack        func(*stack.Config)
	proxy        Config // Addresses and Record are filled in
	app          func(*Proxy) stack.App
}

var (
	clientAddresses = []string{"10.1.0.1/24", "fd01::1/64"}
	accessAddresses = []string{"10.1.0.2/24", "fd01::2/64"}
	coreAddresses   = []string{"10.2.0.2/24", "fd02::2/64"}
	originAddresses = []string{"10.2.0.1/24", "fd02::1/64"}
)

func newWorld(t testing.TB, c worldConfig) *world {
	t.Helper()
	w := &world{World: sim.NewWorld(c.seed)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d, ended at %d ms; proxy %+v; its stack %+v", c.seed, w.Now()/tcp.Millisecond, w.p.Count(), *w.proxy.Shard.Stats())
		}
	})
	for _, a := range append(accessAddresses[:2:2], coreAddresses...) {
		c.proxy.Addresses = append(c.proxy.Addresses, netip.MustParsePrefix(a))
	}
	c.proxy.Record = func(r Record) { w.records = append(w.records, r) }
	var err error
	if w.p, err = New(c.proxy); err != nil {
		t.Fatal(err)
	}
	app := stack.App(w.p)
	if c.app != nil {
		app = c.app(w.p)
	}
	w.access, w.core = w.Net("access"), w.Net("core")
	nic := func(n *sim.Net, l link.Config, addresses []string) sim.NIC {
		return sim.NIC{Net: n, Addresses: addresses, Up: l, Down: l}
	}
	w.client = w.Host(sim.HostConfig{Name: "client", App: &w.app, TCP: c.tcp, NICs: []sim.NIC{nic(w.access, c.access, clientAddresses)}})
	w.proxy = w.Host(sim.HostConfig{Name: "proxy", App: app, TCP: c.tcp, Frames: c.frames, Stack: c.stack,
		NICs: []sim.NIC{nic(w.access, link.Config{}, accessAddresses), nic(w.core, link.Config{}, coreAddresses)}})
	w.origin = w.Host(sim.HostConfig{Name: "origin", App: &w.server, TCP: c.tcp, NICs: []sim.NIC{nic(w.core, c.core, originAddresses)}})
	w.proxy.Do(func(s *stack.Shard) {
		if err := w.p.Start(s); err != nil {
			t.Error(err)
		}
	})
	w.origin.Do(func(s *stack.Shard) {
		if err := s.Listen(80); err != nil {
			t.Error(err)
		}
	})
	return w
}

// visit begins a client's visit.
func (w *world) visit(t testing.TB, g *guest) *guest {
	t.Helper()
	if g.at == "" {
		g.at = "10.1.0.2:1080"
	}
	w.client.Do(func(s *stack.Shard) { w.app.dial(t, s, g) })
	return g
}

// settle checks that nothing is left of anything.
func (w *world) settle(t testing.TB) {
	t.Helper()
	if err := w.Settle(); err != nil {
		t.Error(err)
	}
	if c := w.p.Count(); c.Sessions != 0 || w.p.handshakes.Live() != 0 {
		t.Errorf("%d sessions, %d handshakes are left", c.Sessions, w.p.handshakes.Live())
	}
}

// guests is the application of the client host.
type guests struct{ all map[mptcp.Conn]*guest }

// guest is the plan of one visit to the proxy, and what came of it.
type guest struct {
	at    string // the proxy
	say   []byte // greeting and request, and what else stands before the stream
	piece int    // say is sent in pieces of so many bytes, one every gap; 0: at once
	gap   tcp.Time

	answer int   // length of what the proxy says before the stream
	up     int64 // bytes of the stream, then our direction ends; -1: it never does
	hold   bool  // do not read
	key    uint64
	want   uint64

	conn    mptcp.Conn
	said    int
	heard   []byte // the first answer bytes that came
	sent    int64
	got     int64
	wrong   int64 // offset+1 of the first byte that was not the origin's
	shut    bool
	eof     bool
	done    bool
	err     tcp.Reason
	doneAt  tcp.Time
	nextSay tcp.Time
}

func (a *guests) dial(t testing.TB, s *stack.Shard, g *guest) {
	c, err := s.Dial(netip.MustParseAddrPort(g.at), 0)
	if err != nil {
		t.Error(err)
		return
	}
	if a.all == nil {
		a.all = map[mptcp.Conn]*guest{}
	}
	g.conn = c
	a.all[c] = g
}

func (a *guests) Accept(*stack.Shard, mptcp.Conn) bool { return false }

func (a *guests) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	g := a.all[c]
	if g == nil {
		return
	}
	g.read(s)
	if s.Now() >= g.nextSay {
		g.write(s)
	}
	eof, done, err := s.Status(c)
	if g.eof = g.eof || eof && !g.hold; done && (eof || err != tcp.NoError) { // one visit may not have read all
		g.done, g.err, g.doneAt = true, err, s.Now()
		delete(a.all, c)
		s.Close(c)
	}
}

func (g *guest) read(s *stack.Shard) {
	for !g.hold {
		d, ok := s.Recv(g.conn)
		if !ok {
			return
		}
		b := s.Pool().Bytes(d)
		k := min(g.answer-len(g.heard), len(b))
		g.heard = append(g.heard, b[:k]...)
		b = b[k:]
		want := make([]byte, len(b))
		sim.Pattern(want, g.want, g.got)
		for i := range b {
			if b[i] != want[i] && g.wrong == 0 {
				g.wrong = g.got + int64(i) + 1
			}
		}
		g.got += int64(len(b))
		s.Pool().Release(d.Frame)
	}
}

func (g *guest) write(s *stack.Shard) {
	for g.said < len(g.say) {
		n := len(g.say) - g.said
		if g.piece > 0 {
			n = min(n, g.piece)
		}
		k := s.Write(g.conn, g.say[g.said:g.said+n])
		g.said += k
		if k < n {
			return
		}
		if g.piece > 0 {
			g.nextSay = s.Now() + g.gap
			s.SetTimer(g.conn, g.nextSay)
			return
		}
	}
	if g.up < 0 || len(g.heard) < g.answer {
		return
	}
	var b [3000]byte
	for g.sent < g.up {
		n := min(int64(len(b)), g.up-g.sent)
		sim.Pattern(b[:n], g.key, g.sent)
		k := s.Write(g.conn, b[:n])
		g.sent += int64(k)
		if int64(k) < n {
			return
		}
	}
	if !g.shut {
		g.shut = true
		s.Shut(g.conn)
	}
}

// resume lets a guest that held read.
func (w *world) resume(g *guest) {
	w.client.Do(func(s *stack.Shard) {
		g.hold = false
		s.Requeue(g.conn, tcp.Readable)
	})
}

// hello is greeting and request for a destination.
func hello(to string) []byte { return append([]byte("\x05\x01\x00"), ask(commandConnect, to)...) }

// ask is a request.
func ask(command byte, to string) []byte {
	b := []byte{version, command, 0}
	if a, err := netip.ParseAddrPort(to); err == nil {
		if a.Addr().Is4() {
			b = append(b, typeIPv4)
		} else {
			b = append(b, typeIPv6)
		}
		return binary.BigEndian.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
	}
	name, port := to, uint16(0)
	for i := range to {
		if to[i] == ':' {
			name = to[:i]
			fmt.Sscan(to[i+1:], &port)
		}
	}
	b = append(b, typeDomain, byte(len(name)))
	return binary.BigEndian.AppendUint16(append(b, name...), port)
}

// server is the application of the origin; it knows its last connection.
type server struct {
	sim.Peer
	last mptcp.Conn
}

func (a *server) Accept(s *stack.Shard, c mptcp.Conn) bool {
	a.last = c
	return a.Peer.Accept(s, c)
}

// names is a resolver: a name without addresses is never answered, one that is
// missing does not exist.
type names map[string][]string

func (n names) Lookup(name string, done func([]netip.Addr, error)) bool {
	list, ok := n[name]
	if !ok {
		done(nil, errors.New("no such name"))
	} else if len(list) > 0 {
		var found []netip.Addr
		for _, a := range list {
			found = append(found, netip.MustParseAddr(a))
		}
		done(found, nil)
	}
	return true
}

// serve plans the origin's side of the next connections: it answers down bytes
// when the client's direction has ended.
func (w *world) serve(down int64) *sim.Stream {
	st := &sim.Stream{Send: down, Key: 2, Want: 1, After: true}
	w.server.Serve = func() *sim.Stream { return st }
	return st
}

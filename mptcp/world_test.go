package mptcp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// A world of two hosts, a client and a server, with several paths between
// them, in virtual time. Segments cross as bytes.

type path struct {
	up       bool
	rate     int64 // bytes a second; 0: infinite
	delay    tcp.Time
	jitter   tcp.Time
	queue    int64 // bytes
	loss     float64
	dup      float64
	corrupt  bool        // changes payload, and mends the checksum
	busy     [2]tcp.Time // each direction
	strip    func(seg *tcp.Segment, toServer bool)
	filter   func(seg *tcp.Segment, toServer bool) bool // false: drop
	box      box                                        // changes segments
	carried  [2]int64
	overflow int
}

type packet struct {
	at    tcp.Time
	seq   int
	to    *host
	tuple tcp.Tuple // as the receiver sees it
	b     []byte
	hdr   int
}

type packets []*packet

func (p packets) Len() int { return len(p) }
func (p packets) Less(i, j int) bool {
	return p[i].at < p[j].at || p[i].at == p[j].at && p[i].seq < p[j].seq
}
func (p packets) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *packets) Push(x any)   { *p = append(*p, x.(*packet)) }
func (p *packets) Pop() any {
	old := *p
	x := old[len(old)-1]
	*p = old[:len(old)-1]
	return x
}

// app drives one connection: it sends what gen makes and checks what comes.
type app struct {
	c         Conn
	send      int64 // bytes to send in all
	sent      int64
	got       int64
	bad       bool
	shut      bool
	eof       bool
	hold      bool // do not read
	keepOpen  bool // do not shut after sending
	waitEOF   bool // answer only after the peer's end
	connected bool
	done      bool
	err       tcp.Reason
	salt      byte
	peerSalt  byte
	last      tcp.Time     // when data last came
	longest   tcp.Time     // longest gap while data was expected
	chunk     func() int64 // how much to send at once, at most 1400
	altered   *editor      // what a middlebox does to the peer's bytes, and may arrive
}

func pattern(salt byte, at int64) byte { return byte(at>>16) ^ byte(at>>8)*3 ^ byte(at)*7 ^ salt }

type host struct {
	w      *world
	name   string
	set    *Set
	env    tcp.Env
	flows  map[tcp.Tuple]Flow
	tuples map[Flow]tcp.Tuple
	conns  map[Conn]bool
	apps   map[Conn]*app
	listen func(c Conn) *app
	resets int
}

type world struct {
	t     *testing.T
	now   tcp.Time
	rng   *rand.Rand
	seed  uint64
	seqno int
	ports uint16 // given to subflows
	net   packets
	paths []*path
	cli   *host
	srv   *host
	at    []event
	mtu   int
	v     profile // that the client offers
	seg   tcp.Segment
	trace bool
	txs   func(from *host, seg *tcp.Segment, t *tcp.Tuple)
}

type event struct {
	at tcp.Time
	f  func()
}

const frames = 1 << 14

func newHost(w *world, name string, seed uint64, conf Config) *host {
	h := &host{w: w, name: name, set: NewSet(conf), flows: map[tcp.Tuple]Flow{}, tuples: map[Flow]tcp.Tuple{}, conns: map[Conn]bool{}, apps: map[Conn]*app{}}
	tc := tcp.DefaultConfig()
	tc.Secret[0] = byte(seed)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(len(name))
	h.env = tcp.Env{Pool: frame.New(make([]byte, frames<<11), 11), Nodes: &tcp.Nodes{}, Rand: rand.NewChaCha8(key), Conf: &tc, Count: &tcp.Counters{}}
	return h
}

func newWorld(t *testing.T, seed uint64, paths ...*path) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), paths: paths, mtu: 1460, v: v1, now: tcp.Second}
	conf := Config{Enabled: true, RcvBuf: 4 << 20, SndBuf: 4 << 20}
	w.cli, w.srv = newHost(w, "client", seed, conf), newHost(w, "server", seed+1, conf)
	return w
}

func addr(n byte) tcp.Addr { return tcp.AddrFrom4([4]byte{10, 0, 0, n}) }

// tuple of path i, from the client's side.
func tuple(i int, port uint16) tcp.Tuple {
	return tcp.Tuple{Local: addr(byte(1 + i)), Remote: addr(100), LocalPort: port, RemotePort: 80}
}

func (w *world) params() tcp.Params {
	return tcp.Params{MSS: uint16(w.mtu), PathMSS: uint16(w.mtu)}
}

func (w *world) after(d tcp.Time, f func()) { w.at = append(w.at, event{w.now + d, f}) }

func (h *host) add(t tcp.Tuple, f Flow) {
	h.flows[t] = f
	h.tuples[f] = t
}

// transmit puts a segment on its path.
func (h *host) transmit(t *tcp.Tuple, seg *tcp.Segment) {
	w := h.w
	toServer := h == w.cli
	phone := t.Remote
	if toServer {
		phone = t.Local
	}
	p := w.paths[int(phone[15])-1]
	if w.txs != nil {
		w.txs(h, seg, t)
	}
	if p.strip != nil {
		p.strip(seg, toServer)
	}
	if n := seg.HeaderLen(); n > tcp.MaxHeader {
		w.t.Fatalf("seed %d: header of %d bytes", w.seed, n)
	}
	hdr := seg.HeaderLen()
	if hdr-20+int(seg.Len) > w.mtu {
		w.t.Fatalf("seed %d: segment of %d bytes options, %d payload exceeds %d", w.seed, hdr-20, seg.Len, w.mtu)
	}
	payload := make([]byte, seg.Len)
	if seg.Len > 0 {
		h.env.Nodes.Gather(h.env.Pool, seg.Run, payload)
	}
	if p.corrupt && seg.Len > 0 {
		payload[seg.Len/2] ^= 0x10
	}
	if p.box == nil {
		h.carry(p, t, seg, payload)
		return
	}
	p.box.pass(w, seg, payload, toServer, func(seg *tcp.Segment, payload []byte) { h.carry(p, t, seg, payload) })
}

// carry takes a segment over a path.
func (h *host) carry(p *path, t *tcp.Tuple, seg *tcp.Segment, payload []byte) {
	w := h.w
	toServer := h == w.cli
	other, dir := w.cli, 1
	phone := t.Remote
	if toServer {
		other, dir, phone = w.srv, 0, t.Local
	}
	seg.Len = uint32(len(payload))
	hdr := seg.HeaderLen()
	b := make([]byte, hdr+len(payload))
	seg.Put(b, t.LocalPort, t.RemotePort)
	copy(b[hdr:], payload)
	if w.trace {
		w.t.Logf("%d.%06d %s path %d %s", w.now/tcp.Second, w.now%tcp.Second/1000, h.name, phone[15], describe(seg))
	}
	if !p.up || p.loss > 0 && w.rng.Float64() < p.loss || p.filter != nil && !p.filter(seg, toServer) {
		return
	}
	size := int64(len(b) + 54)
	at := max(w.now, p.busy[dir])
	if p.rate > 0 {
		if int64(at-w.now)*p.rate/int64(tcp.Second) > p.queue {
			p.overflow++
			return
		}
		at += tcp.Time(size * int64(tcp.Second) / p.rate)
		p.busy[dir] = at
	}
	p.carried[dir] += size
	copies := 1
	if p.dup > 0 && w.rng.Float64() < p.dup {
		copies = 2
	}
	for range copies {
		due := at + p.delay
		if p.jitter > 0 {
			due += tcp.Time(w.rng.Int64N(int64(p.jitter)))
		}
		w.seqno++
		rt := tcp.Tuple{Local: t.Remote, Remote: t.Local, LocalPort: t.RemotePort, RemotePort: t.LocalPort}
		heap.Push(&w.net, &packet{at: due, seq: w.seqno, to: other, tuple: rt, b: b, hdr: hdr})
	}
}

func describe(seg *tcp.Segment) string {
	var o options
	o.parse(v1, seg.Raw[:seg.RawLen])
	s := fmt.Sprintf("flags %02x seq %d ack %d wnd %d len %d sack %d", seg.Flags, seg.Seq, seg.Ack, seg.Wnd, seg.Len, seg.Opts.NSACK)
	if o.is(subDSS) {
		s += fmt.Sprintf(" DSS %02x ack %x dsn %x ssn %d len %d", o.dss.flags, o.dss.ack, o.dss.dsn, o.dss.ssn, o.dss.length)
	}
	if o.is(subCapable) {
		s += fmt.Sprintf(" MPC %d", o.cap.size)
	}
	if o.is(subJoin) {
		s += fmt.Sprintf(" MPJ %d", o.join.size)
	}
	if o.is(subReset) {
		s += " TCPRST " + o.reset.reason.String()
	}
	if o.is(subFastclose) {
		s += " FASTCLOSE"
	}
	return s
}

// receive gives a packet to its flow.
func (h *host) receive(p *packet) {
	h.env.Now = h.w.now
	seg := &h.w.seg
	n, ok := seg.Parse(p.b)
	if !ok {
		h.w.t.Fatalf("seed %d: bad header", h.w.seed)
	}
	payload := p.b[n:]
	seg.Len, seg.Data = uint32(len(payload)), seg.Data[:0]
	if len(payload) > 0 {
		f, ok := h.env.Pool.Get()
		if !ok {
			h.w.t.Fatalf("seed %d: %s out of frames: %v", h.w.seed, h.name, h.env.Pool.Leaks(3))
		}
		defer h.env.Pool.Release(f)
		d := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(len(payload))}
		copy(h.env.Pool.Bytes(d), payload)
		seg.Data = append(seg.Data, d)
	}
	f, ok := h.flows[p.tuple]
	if ok {
		h.set.Input(&h.env, f, seg)
		return
	}
	var rst tcp.Segment
	switch {
	case IsJoin(seg):
		f, ok := h.set.Join(&h.env, &p.tuple, h.w.params(), seg, &rst)
		if ok {
			h.add(p.tuple, f)
			return
		}
		if rst.Flags == 0 {
			return
		}
	case seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN && h.listen != nil:
		f, ok := h.set.Accept(&h.env, &p.tuple, h.w.params(), seg)
		if ok {
			h.add(p.tuple, f)
			c := h.set.Owner(f)
			h.apps[c] = h.listen(c)
			h.apps[c].c = c
			h.conns[c] = true
		}
		return
	default:
		if !tcp.Reset(seg, &rst) {
			return
		}
	}
	h.resets++
	h.transmit(&p.tuple, &rst)
}

// turn lets a host do all that is due now.
func (h *host) turn() {
	h.env.Now = h.w.now
	for f := range h.tuples {
		if h.set.Deadline(f) <= h.w.now {
			h.set.Expire(&h.env, f)
			if h.set.Deadline(f) <= h.w.now {
				h.w.t.Fatalf("seed %d: %s: a flow's deadline does not move", h.w.seed, h.name)
			}
		}
	}
	for c := range h.conns {
		if d := h.set.ConnDeadline(c); d <= h.w.now {
			h.set.ExpireConn(&h.env, c)
			if h.set.ConnDeadline(c) <= h.w.now {
				h.w.t.Fatalf("seed %d: %s: a connection's deadline does not move", h.w.seed, h.name)
			}
		}
	}
	for range 100 {
		h.events()
		if !h.emit() {
			return
		}
	}
	h.w.t.Fatalf("seed %d: %s never rests", h.w.seed, h.name)
}

func (h *host) events() {
	for {
		c, ev, ok := h.set.NextEvent()
		if !ok {
			return
		}
		if a := h.apps[c]; a != nil {
			a.ready(h, ev)
		}
	}
}

// act opens the subflows that are asked for: from any address is from path 1's.
func (h *host) act() {
	for a, ok := h.set.NextAction(); ok; a, ok = h.set.NextAction() {
		h.w.ports++
		t := tcp.Tuple{Local: a.Local, Remote: a.Remote, LocalPort: 3000 + h.w.ports, RemotePort: a.Port}
		if a.Local == (tcp.Addr{}) {
			t.Local = addr(2)
		}
		if f, ok := h.set.Open(&h.env, &a, &t, h.w.params()); ok {
			h.add(t, f)
		}
	}
}

func (h *host) emit() (any bool) {
	h.act()
	var seg tcp.Segment
	for {
		f, ok := h.set.NextDirty(&h.env)
		if !ok {
			break
		}
		any = true
		t := h.tuples[f]
		for n := 0; h.set.Output(&h.env, f, &seg); n++ {
			h.transmit(&t, &seg)
			if n > 10000 {
				h.w.t.Fatalf("seed %d: %s: Output never ends", h.w.seed, h.name)
			}
		}
		if _, _, over := h.set.Over(&h.env, f); over {
			h.set.FreeFlow(&h.env, f)
			delete(h.tuples, f)
			delete(h.flows, t)
		}
	}
	for _, ok := h.set.NextDirtyConn(); ok; _, ok = h.set.NextDirtyConn() {
	}
	return any
}

// ready is the application's side.
func (a *app) ready(h *host, ev tcp.Event) {
	if ev&tcp.Connected != 0 {
		a.connected = true
	}
	a.read(h)
	a.write(h)
	a.look(h)
}

// want is the byte expected at a place of the stream.
func (a *app) want(at int64) byte {
	if a.altered != nil {
		return a.altered.byte(at, func(at int64) byte { return pattern(a.peerSalt, at) })
	}
	return pattern(a.peerSalt, at)
}

func (a *app) read(h *host) {
	for !a.hold {
		d, ok := h.set.Recv(&h.env, a.c)
		if !ok {
			break
		}
		for _, b := range h.env.Pool.Bytes(d) {
			if b != a.want(a.got) {
				a.bad = true
			}
			a.got++
		}
		h.env.Pool.Release(d.Frame)
		if a.last != 0 {
			a.longest = max(a.longest, h.w.now-a.last)
		}
		a.last = h.w.now
	}
}

func (a *app) write(h *host) {
	if a.waitEOF {
		if eof, _, _ := h.set.Status(a.c); !eof {
			return
		}
	}
	for a.sent < a.send {
		n := min(a.send-a.sent, 1400)
		if a.chunk != nil {
			n = min(n, a.chunk())
		}
		if int64(h.set.Room(a.c)) < n || h.env.Pool.Free() < 64 {
			return
		}
		f, ok := h.env.Pool.Get()
		if !ok {
			return
		}
		d := frame.Span{Frame: f, Off: frame.Headroom, Len: uint16(n)}
		for i, b := 0, h.env.Pool.Bytes(d); i < len(b); i++ {
			b[i] = pattern(a.salt, a.sent+int64(i))
		}
		ok = h.set.Send(&h.env, a.c, d)
		h.env.Pool.Release(f)
		if !ok {
			return
		}
		a.sent += n
	}
	if !a.shut && !a.keepOpen {
		a.shut = true
		h.set.Shut(&h.env, a.c)
	}
}

func (a *app) look(h *host) {
	eof, done, err := h.set.Status(a.c)
	a.eof = a.eof || eof
	if done && !a.done {
		a.done, a.err = true, err
		a.read(h)
		h.set.Release(&h.env, a.c)
	}
}

// next is when anything is due.
func (w *world) next() tcp.Time {
	next := tcp.Never
	if len(w.net) > 0 {
		next = w.net[0].at
	}
	for _, ev := range w.at {
		next = min(next, ev.at)
	}
	for _, h := range []*host{w.cli, w.srv} {
		for f := range h.tuples {
			next = min(next, h.set.Deadline(f))
		}
		for c := range h.conns {
			next = min(next, h.set.ConnDeadline(c))
		}
	}
	return next
}

// step jumps to the next event.
func (w *world) step() bool {
	next := w.next()
	if next == tcp.Never {
		return false
	}
	w.now = max(w.now, next)
	for i := 0; i < len(w.at); i++ {
		if w.at[i].at <= w.now {
			f := w.at[i].f
			w.at = append(w.at[:i], w.at[i+1:]...)
			i--
			w.cli.env.Now, w.srv.env.Now = w.now, w.now
			f()
		}
	}
	for len(w.net) > 0 && w.net[0].at <= w.now {
		p := heap.Pop(&w.net).(*packet)
		p.to.receive(p)
		p.to.emitSome()
	}
	w.cli.turn()
	w.srv.turn()
	return true
}

// emitSome lets ACKs go between the packets of one instant.
func (h *host) emitSome() { h.events(); h.emit() }

// run steps until done, at most for d.
func (w *world) run(d tcp.Time, done func() bool) {
	w.t.Helper()
	w.cli.turn()
	w.srv.turn()
	end := w.now + d
	for !done() {
		if w.now > end || !w.step() {
			w.t.Fatalf("seed %d: not done at %d ms (client %+v; server %+v)", w.seed, w.now/tcp.Millisecond, w.status(w.cli), w.status(w.srv))
		}
	}
}

func (w *world) status(h *host) string {
	s := ""
	for _, a := range h.apps {
		s += fmt.Sprintf("[app %+v]", *a)
	}
	return s + fmt.Sprintf("[count %+v]", h.set.Count)
}

// dial opens a connection over path 0.
func (w *world) dial(a *app) Conn {
	t := tuple(0, 1000)
	w.cli.env.Now = w.now
	dial := w.cli.set.DialMPTCP
	if w.v == v0 {
		dial = w.cli.set.DialMPTCPv0
	}
	c, f, ok := dial(&w.cli.env, &t, w.params(), 0)
	if !ok {
		w.t.Fatal("DialMPTCP failed")
	}
	a.c = c
	w.cli.add(t, f)
	w.cli.apps[c] = a
	w.cli.conns[c] = true
	return c
}

// join opens one more subflow over path i.
func (w *world) join(c Conn, i int, port uint16, backup bool) bool {
	t := tuple(i, port)
	w.cli.env.Now = w.now
	f, ok := w.cli.set.OpenSubflow(&w.cli.env, c, &t, w.params(), uint8(i), backup)
	if ok {
		w.cli.add(t, f)
	}
	return ok
}

// rest runs until both hosts have forgotten everything, and checks that
// nothing leaked.
func (w *world) rest() {
	w.t.Helper()
	w.run(400*tcp.Second, func() bool {
		for _, h := range []*host{w.cli, w.srv} {
			if c, f := h.set.Len(); c != 0 || f != 0 {
				return false
			}
		}
		return true
	})
	for _, h := range []*host{w.cli, w.srv} {
		if h.env.Pool.Free() != h.env.Pool.Frames() {
			w.t.Errorf("seed %d: %s leaks %d frames: %v", w.seed, h.name, h.env.Pool.Frames()-h.env.Pool.Free(), h.env.Pool.Leaks(3))
		}
		if n := h.env.Nodes.Live(); n != 0 {
			w.t.Errorf("seed %d: %s leaks %d nodes", w.seed, h.name, n)
		}
		if n := h.set.maps.Live(); n != 0 {
			w.t.Errorf("seed %d: %s leaks %d mappings", w.seed, h.name, n)
		}
		if h.set.tokens.n != 0 || h.set.Count.MPCurrEstab != 0 {
			w.t.Errorf("seed %d: %s: %d tokens, %d connections counted", w.seed, h.name, h.set.tokens.n, h.set.Count.MPCurrEstab)
		}
	}
}

func (w *world) equal(c, s *app) {
	w.t.Helper()
	if c.bad || s.bad || c.got != s.send || s.got != c.send {
		w.t.Fatalf("seed %d: client got %d of %d (bad %v), server %d of %d (bad %v); client %s; server %s", w.seed, c.got, s.send, c.bad, s.got, c.send, s.bad, w.status(w.cli), w.status(w.srv))
	}
}

func wifi() *path {
	return &path{up: true, rate: 867e6 / 8, delay: 5 * tcp.Millisecond, queue: 2 << 20}
}
func lte() *path {
	return &path{up: true, rate: 300e6 / 8, delay: 20 * tcp.Millisecond, queue: 3 << 20}
}

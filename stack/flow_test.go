package stack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// close shuts both ends of a connection whose applications ignore events.
func (c *couple) close(t testing.TB, at, bt mptcp.Conn) {
	t.Helper()
	c.a.Shut(at)
	c.b.Shut(bt)
	over := func(s *Shard, k mptcp.Conn) bool { _, done, _ := s.Status(k); return done }
	c.until(t, "closed", func() bool { return over(c.a, at) && over(c.b, bt) })
	c.a.Close(at)
	c.b.Close(bt)
	c.until(t, "freed", func() bool {
		ac, af, _, _ := c.a.Idle()
		bc, bf, _, _ := c.b.Idle()
		return ac+af+bc+bf == 0
	})
}

// inject lets the first shard of the couple receive a packet.
func (c *couple) inject(s *duplex, b []byte) {
	f, _ := s.pool.Get()
	s.q[s.n] = frame.Span{Frame: f, Off: 256, Len: uint16(len(b))}
	copy(s.pool.Bytes(s.q[s.n]), b)
	s.n++
}

// watch collects what goes to a port.
func (d *duplex) watch() *[][]byte {
	var seen [][]byte
	d.drop = func(b []byte) bool {
		seen = append(seen, append([]byte(nil), b...))
		return false
	}
	return &seen
}

func TestTimeWaitAnswersAndIsReused(t *testing.T) {
	c := newCouple(t, nil)
	seen := c.pb.watch()
	at, bt := c.dial(t)
	c.close(t, at, bt)
	var last []byte // the FIN of one side, to be repeated
	for _, b := range *seen {
		if p := decode(t, b); p.Layer(layers.LayerTypeTCP) != nil && tcpOf(t, p).FIN {
			last = b
		}
	}
	_, _, wa, _ := c.a.Idle()
	_, _, wb, _ := c.b.Idle()
	if wa+wb == 0 || last == nil {
		t.Fatalf("%d and %d in TIME-WAIT, FIN %x", wa, wb, last)
	}
	if wb == 0 {
		t.Fatal("simultaneous close: both should wait")
	}
	// A repeated FIN is acknowledged, and the wait begins again.
	c.now += tcp.Second
	left := c.b.waits.at(c.b.waits.head).tw.Left(c.now)
	back := c.pa.watch()
	c.inject(c.pb, last)
	c.b.Turn(c.now)
	if h := tcpOf(t, one(t, *back)); !h.ACK || h.FIN || h.RST {
		t.Errorf("%+v", h)
	}
	if c.b.waits.at(c.b.waits.head).tw.Left(c.now) <= left {
		t.Error("the wait did not begin again")
	}
	// A flood of it is not answered by a flood, but each begins the wait again.
	*back = nil
	c.now += tcp.Second
	for range 200 {
		c.inject(c.pb, last)
		c.b.Turn(c.now)
	}
	if n, held := len(*back), c.b.Stats().Drops[DropTimeWaitLimit]; n != 1 || held != 199 {
		t.Errorf("%d answers to 200 FINs, %d withheld", n, held)
	}
	c.now += 100 * tcp.Millisecond
	left = c.b.waits.at(c.b.waits.head).tw.Left(c.now)
	c.inject(c.pb, last)
	c.b.Turn(c.now)
	if c.b.Stats().Drops[DropTimeWaitLimit] != 200 || c.b.waits.at(c.b.waits.head).tw.Left(c.now) <= left {
		t.Error("a withheld answer did not begin the wait again")
	}
	// A new SYN on the tuple, with a later timestamp, is a new connection.
	p := decode(t, (*seen)[1]) // after the ARP request
	h := tcpOf(t, p)
	if !h.SYN {
		t.Fatalf("%v", p)
	}
	fresh := append([]byte(nil), (*seen)[1]...)
	seq := h.Seq + 1<<24
	binary.BigEndian.PutUint32(fresh[38:], seq)
	for i := 54; i < 70; i++ {
		if fresh[i] == 8 && fresh[i+1] == 10 {
			binary.BigEndian.PutUint32(fresh[i+2:], binary.BigEndian.Uint32(fresh[i+2:])+1<<20)
			break
		}
	}
	fixSum(t, fresh)
	before := c.b.Stats().TCP.PassiveOpens
	c.inject(c.pb, fresh)
	c.b.Turn(c.now)
	if c.b.Stats().TCP.PassiveOpens != before+1 || c.b.waits.live != 0 {
		t.Errorf("the tuple was not reused: %+v", c.b.Stats().Drops)
	}
}

// fixSum repairs the checksum of a TCP segment over IPv4 without IP options.
func fixSum(t testing.TB, b []byte) {
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	h := tcpOf(t, p)
	h.SetNetworkLayerForChecksum(p.NetworkLayer())
	copy(b, build(t, p.LinkLayer().(*layers.Ethernet), p.NetworkLayer().(*layers.IPv4), h, gopacket.Payload(h.Payload)))
}

func TestTimeWaitTableIsBounded(t *testing.T) {
	if n := unsafe.Sizeof(wait{}); n > 64 {
		t.Errorf("an entry takes %d bytes", n)
	}
	w := waits{max: 100, hash: func(t *tcp.Tuple) uint32 { return uint32(t.RemotePort) * 7919 }}
	conf := tcp.Config{MSL: tcp.Second}
	at := func(i int) tcp.Time { return tcp.Time(i) * tcp.Millisecond }
	evicted := 0
	for i := range 1000 {
		tu, tw := tcp.Tuple{RemotePort: uint16(i)}, tcp.TimeWait{}
		tw.Restart(&tcp.Env{Now: at(i), Conf: &conf})
		if w.enter(&tu, w.hash(&tu), tw) {
			evicted++
		}
	}
	if evicted != 900 || w.live != 100 || w.next(at(999)) != at(900+2000+1) {
		t.Errorf("%d evicted, %d live, next at %d", evicted, w.live, w.next(at(999)))
	}
	tu := tcp.Tuple{RemotePort: 950}
	if w.lookup(&tu, w.hash(&tu)) == 0 {
		t.Error("a young entry is gone")
	}
	if w.expire(at(949 + 2001)); w.live != 50 {
		t.Errorf("%d live", w.live)
	}
	if w.top != 100 {
		t.Errorf("%d entries for 100", w.top)
	}
}

// icmpTo builds an ICMP error from a router about a packet that we sent.
func icmpTo(t testing.TB, kind, code uint8, rest uint32, quoted []byte) []byte {
	h := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, code), Id: uint16(rest >> 16), Seq: uint16(rest)}
	return build(t, ether(gateMAC, ourMAC0, layers.EthernetTypeIPv4), ip4(gate4, our4, layers.IPProtocolICMPv4), h,
		gopacket.Payload(quoted[14:14+28]))
}

func TestPacketTooBig(t *testing.T) {
	c := newCouple(t, nil)
	at, _ := c.dial(t)
	seen := c.pb.watch()
	c.a.Write(at, make([]byte, 20000))
	c.a.Turn(c.now)
	full := func() []byte {
		for _, b := range *seen {
			if len(b) == 1514 || len(b) == 1014 {
				return b
			}
		}
		t.Fatalf("no full segment among %d", len(*seen))
		return nil
	}
	segment := full()
	forged := append([]byte(nil), segment...)
	binary.BigEndian.PutUint32(forged[38:], binary.BigEndian.Uint32(forged[38:])+1<<20) // not in flight
	c.inject(c.pa, icmpTo(t, 3, 4, 1000, forged))
	c.a.Turn(c.now)
	if c.a.Stats().Drops[DropICMPStale] != 1 {
		t.Error("a forged error was believed")
	}
	*seen = nil
	c.inject(c.pa, icmpTo(t, 3, 4, 1000, segment))
	c.pb.q, c.pb.n = [512]frame.Span{}, 0 // lost on the way, as too long
	for range 200 {
		c.step()
	}
	for _, b := range *seen {
		if len(b) > 1014 {
			t.Errorf("a segment of %d bytes on a path of 1000", len(b)-14)
		}
	}
	if len(*seen) < 20 {
		t.Errorf("only %d packets", len(*seen))
	}
	// Floor: nobody makes us send crumbs.
	*seen = nil
	c.a.Write(at, make([]byte, 20000))
	c.a.Turn(c.now)
	c.inject(c.pa, icmpTo(t, 3, 4, 68, full()))
	*seen = nil
	c.a.Turn(c.now)
	for range 100 {
		c.step()
	}
	longest := 0
	for _, b := range *seen {
		longest = max(longest, len(b)-14)
	}
	if longest != minMTU4 {
		t.Errorf("longest packet %d bytes, want the floor, %d", longest, minMTU4)
	}
}

func TestPortUnreachableFailsADial(t *testing.T) {
	for code, want := range map[uint8]bool{3: true, 1: false} { // port: hard; host: soft
		c := newCouple(t, nil)
		var syn []byte
		c.pb.drop = func(b []byte) bool {
			if b[12] == 8 && b[13] == 0 {
				syn = append([]byte(nil), b...)
				return true
			}
			return false
		}
		at, err := c.a.Dial(netip.MustParseAddrPort("10.0.0.2:80"), 0)
		if err != nil {
			t.Fatal(err)
		}
		c.until(t, "SYN sent", func() bool { return syn != nil })
		c.inject(c.pa, icmpTo(t, 3, code, 0, syn))
		for range 5 {
			c.step()
		}
		if _, done, err := c.a.Status(at); done != want || done && err != tcp.Unreachable {
			t.Errorf("code %d: done %v, %v", code, done, err)
		}
	}
}

func TestDialTakesFreePortsOnly(t *testing.T) {
	b := newBench(t, benchConfig{edit: func(c *Config) {
		c.Addresses = append(c.Addresses, Address{Prefix: netip.MustParsePrefix("10.0.0.7/24")})
	}})
	// All ports to this destination from the first address are taken, but 100.
	to := netip.AddrPortFrom(peer4, 80)
	tu := tcp.Tuple{Local: fromNetip(our4), Remote: fromNetip(peer4), RemotePort: 80}
	var tw tcp.TimeWait
	tw.Restart(&b.env)
	const ephemerals = lastPort - firstPort + 1
	for p := range ephemerals - 100 {
		tu.LocalPort = uint16(firstPort + p)
		b.waits.enter(&tu, b.hash(&tu), tw)
	}
	used := map[netip.AddrPort]bool{}
	second := 0
	for range 300 {
		c, err := b.Dial(to, 0)
		if err != nil {
			t.Fatal(err)
		}
		local, _ := b.Peer(c)
		if used[local] {
			t.Fatalf("%v was used twice", local)
		}
		used[local] = true
		if local.Addr() == our4 {
			if int(local.Port()) < firstPort+ephemerals-100 {
				t.Fatalf("%v is in TIME-WAIT", local)
			}
		} else {
			second++
		}
	}
	if second < 200 {
		t.Errorf("%d dials from the second address", second)
	}
}

func TestEphemeralPortsLookRandom(t *testing.T) {
	b := newBench(t, benchConfig{})
	seen := map[uint16]int{}
	for i := range 200 {
		c, err := b.Dial(netip.AddrPortFrom(peer4, uint16(1000+i)), 0)
		if err != nil {
			t.Fatal(err)
		}
		local, _ := b.Peer(c)
		seen[local.Port()/256]++
	}
	for block, n := range seen {
		if n > 20 {
			t.Errorf("%d of 200 destinations got a port in block %d", n, block)
		}
	}
}

func TestDialErrors(t *testing.T) {
	b := newBench(t, benchConfig{edit: func(c *Config) { c.Routes, c.MPTCP.MaxConns = nil, 1 }})
	for to, want := range map[string]error{"192.0.2.1:80": ErrNoRoute, "10.0.0.1:80": ErrNoRoute, "224.0.0.1:80": ErrNoRoute, "10.0.0.2:0": ErrNoRoute} {
		if _, err := b.Dial(netip.MustParseAddrPort(to), 0); !errors.Is(err, want) {
			t.Errorf("%s: %v", to, err)
		}
	}
	b.Dial(netip.MustParseAddrPort("10.0.0.2:80"), 0)
	if _, err := b.Dial(netip.MustParseAddrPort("10.0.0.2:80"), 0); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

func TestDialledMSSFitsTheClientsLeg(t *testing.T) {
	for _, c := range []struct {
		enabled bool
		reserve int
		want    uint16
	}{{true, 0, 1432}, {false, 0, 1460}, {true, -1, 1460}, {true, 100, 1360}} {
		b := newBench(t, benchConfig{edit: func(k *Config) { k.MPTCP.Enabled, k.DialMSSReserve = c.enabled, c.reserve }})
		dialPeer(t, b)
		h := tcpOf(t, one(t, b.turn(arpPacket(t, arpReply, ourMAC0, peerMAC, peer4, our4))))
		if o := h.Options[0]; o.OptionType != layers.TCPOptionKindMSS || binary.BigEndian.Uint16(o.OptionData) != c.want {
			t.Errorf("%+v: %v", c, h.Options)
		}
	}
}

// TestFullRingLosesNothing: a port that takes few packets at a time, and gives
// frames back late, delays; it does not drop.
func TestFullRingLosesNothing(t *testing.T) {
	limit := 2 << 20
	c, _ := relaying(t, &limit)
	slow := &throttled{duplex: c.pb}
	c.b.queues[0].port = slow
	for i := 0; i < 100_000 && c.received < 2<<20-1448; i++ {
		slow.left = 3
		c.step()
	}
	if c.received < 2<<20-1448 {
		t.Errorf("%d bytes came back", c.received)
	}
	if n := c.b.Stats().TCP.RetransSegs + c.a.Stats().TCP.RetransSegs; n != 0 {
		t.Errorf("%d retransmissions", n)
	}
}

type throttled struct {
	*duplex
	left int
}

func (p *throttled) Room() int { return min(p.left, p.duplex.Room()) }
func (p *throttled) Send(out []frame.Span) int {
	n := p.duplex.Send(out[:min(len(out), p.left)])
	p.left -= n
	return n
}

// TestFlowsShareAFullPort: deficit round robin.
func TestFlowsShareAFullPort(t *testing.T) {
	c := newCouple(t, func(a, _ *Config) { a.TCP.SndBuf = 1 << 18 })
	bytes := map[uint16]int{}
	c.appB.ready = func(s *Shard, k mptcp.Conn, _ tcp.Event) {
		for d, ok := s.Recv(k); ok; d, ok = s.Recv(k) {
			_, remote := s.Peer(k)
			bytes[remote.Port()] += int(d.Len)
			s.pool.Release(d.Frame)
		}
	}
	var conns []mptcp.Conn
	for range 5 {
		at, _ := c.dial(t)
		conns = append(conns, at)
	}
	slow := &throttled{duplex: c.pa}
	c.a.queues[0].port = slow
	data := make([]byte, 1<<16)
	for range 1500 {
		for i, k := range conns {
			if i == 0 { // one flow sends small segments
				for range 4 {
					c.a.Write(k, data[:200])
				}
				continue
			}
			c.a.Write(k, data)
		}
		slow.left = 8
		c.step()
	}
	least, most := 1<<62, 0
	for _, k := range conns[1:] {
		local, _ := c.a.Peer(k)
		least, most = min(least, bytes[local.Port()]), max(most, bytes[local.Port()])
	}
	if least == 0 || most > 2*least {
		t.Errorf("between %d and %d bytes per flow", least, most)
	}
}

func TestVisitIsBounded(t *testing.T) {
	c := newCouple(t, func(_, b *Config) { b.TCP.RcvStart = b.TCP.RcvBuf })
	most, visits := 0, 0
	c.appB.ready = func(s *Shard, k mptcp.Conn, _ tcp.Event) {
		visits++
		n := 0
		for d, ok := s.Recv(k); ok; d, ok = s.Recv(k) {
			n++
			s.pool.Release(d.Frame)
			c.received += int(d.Len)
		}
		most = max(most, n)
	}
	at, bt := c.dial(t)
	hold := c.appB.ready
	c.appB.ready = nil
	sent := 0
	for range 200 { // gather a queue of several visits
		sent += c.a.Write(at, make([]byte, 1448))
		c.step()
	}
	c.until(t, "all arrived", func() bool { return c.b.Readable(bt) == sent })
	c.appB.ready = hold
	c.b.Requeue(bt, tcp.Readable)
	for range 5 {
		c.step()
	}
	if c.received != sent || most != spansPerVisit || visits < 200/spansPerVisit {
		t.Errorf("%d of %d bytes in %d visits, at most %d spans in one", c.received, sent, visits, most)
	}
}

func TestTimerAndMailbox(t *testing.T) {
	c := newCouple(t, nil)
	at, _ := c.dial(t)
	c.appA.events = map[mptcp.Conn]tcp.Event{}
	due := c.now + 123*tcp.Millisecond
	c.a.SetTimer(at, due+tcp.Second)
	c.a.SetTimer(at, due)
	c.until(t, "timer", func() bool { return c.appA.events[at]&tcp.Timer != 0 })
	if late := c.a.Now() - due; late < 0 || late > 200*tcp.Microsecond {
		t.Errorf("%d ns late", late)
	}
	c.appA.events[at] = 0
	c.a.SetTimer(at, c.now+tcp.Millisecond)
	c.a.SetTimer(at, tcp.Never)
	for range 1000 {
		c.step()
	}
	if c.appA.events[at] != 0 {
		t.Error("a cancelled timer fired")
	}

	woken, ran := 0, 0
	c.a.SetWake(func() { woken++ })
	for range mailboxSize {
		if !c.a.Post(func(*Shard) { ran++ }) {
			t.Fatal("full too early")
		}
	}
	if c.a.Post(func(*Shard) {}) || woken != 1 {
		t.Errorf("the mailbox is not bounded, or woke %d times", woken)
	}
	if next := c.a.Turn(c.now); ran != mailsPerTurn || next != c.now {
		t.Errorf("%d letters in a turn, next at %d", ran, next)
	}
	for range mailboxSize/mailsPerTurn - 1 {
		c.a.Turn(c.now)
	}
	if ran != mailboxSize {
		t.Errorf("%d letters read", ran)
	}
}

// TestSuperPacket: a chain of spans is one segment.
func TestSuperPacket(t *testing.T) {
	b := newBench(t, benchConfig{})
	b.Listen(80)
	payload := make([]byte, 20000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	opts := []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
	b.turn(tcp4(t, &layers.TCP{SrcPort: 9, DstPort: 80, Seq: 99, SYN: true, Window: 60000, Options: opts}, nil))
	synack := tcpOf(t, one(t, b.turn(arpPacket(t, arpReply, ourMAC0, peerMAC, peer4, our4))))
	whole := tcp4(t, &layers.TCP{SrcPort: 9, DstPort: 80, Seq: 100, Ack: synack.Seq + 1, ACK: true, Window: 60000}, payload)
	var got []byte
	b.app.ready = func(s *Shard, c mptcp.Conn, _ tcp.Event) {
		for d, ok := s.Recv(c); ok; d, ok = s.Recv(c) {
			got = append(got, s.pool.Bytes(d)...)
			s.pool.Release(d.Frame)
		}
	}
	bad := append([]byte(nil), whole...)
	bad[9000] ^= 4
	for i, p := range [][]byte{bad, whole} {
		var chain [][]byte
		for rest := p; len(rest) > 0; {
			n := min(len(rest), 3333) // odd: pieces begin at odd offsets
			chain = append(chain, rest[:n])
			rest = rest[n:]
		}
		b.wires[0].in = append(b.wires[0].in, chain)
		b.turn()
		b.turn()
		if i == 0 && (len(got) != 0 || b.Stats().Drops[DropTCPChecksum] != 1) {
			t.Error("a damaged super-packet got through")
		}
	}
	if string(got) != string(payload) {
		t.Errorf("%d of %d bytes, or not the same", len(got), len(payload))
	}
	if st := b.Stats(); st.RxPackets != 4 || st.RxFrames != 2+7+7 {
		t.Errorf("%d packets in %d frames", st.RxPackets, st.RxFrames)
	}
}

func TestShortFramesRefuseConnections(t *testing.T) {
	b := newBench(t, benchConfig{})
	b.Listen(80)
	var held []uint32
	for b.pool.Free() >= b.pressure.low {
		f, _ := b.pool.Get()
		held = append(held, f)
	}
	b.dropped(DropSynPressure, tcp4(t, synTo(80), nil))
	if _, err := b.Dial(netip.AddrPortFrom(peer4, 80), 0); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
	for _, f := range held {
		b.pool.Release(f)
	}
	b.turn(tcp4(t, synTo(80), nil))
	if c, _, _, _ := b.Idle(); c != 1 {
		t.Errorf("%d connections", c)
	}
}

func TestRoutePrefersTheSpeakersSubnet(t *testing.T) {
	any4 := netip.MustParsePrefix("0.0.0.0/0")
	second := netip.MustParseAddr("10.9.0.1")
	b := newBench(t, benchConfig{links: 2, edit: func(c *Config) {
		c.Addresses = append(c.Addresses, Address{Prefix: netip.PrefixFrom(second, 24), Link: 1})
		c.Routes = append(c.Routes, Route{Prefix: any4, Gateway: netip.MustParseAddr("10.9.0.254")},
			Route{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Gateway: gate4})
	}})
	for _, c := range []struct{ to, from, via string }{
		{"192.0.2.7", "10.0.0.1", "10.0.0.254"},
		{"192.0.2.7", "10.9.0.1", "10.9.0.254"},
		{"198.51.100.1", "10.9.0.1", "10.0.0.254"}, // the longer prefix
		{"10.0.0.9", "10.9.0.1", "10.0.0.9"},
	} {
		to, from := fromNetip(netip.MustParseAddr(c.to)), fromNetip(netip.MustParseAddr(c.from))
		h, ok := b.route(&to, &from)
		if link := b.onLink(netip.MustParseAddr(c.via)); !ok || toNetip(&h.addr).String() != c.via || h.link != link {
			t.Errorf("%+v: via %v on link %d", c, toNetip(&h.addr), h.link)
		}
	}
}

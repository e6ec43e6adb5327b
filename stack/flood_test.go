//go:build !framecheck && !race

// framecheck writes a history, which allocates; the race detector does as well.

package stack

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// flood is a Port that forges SYNs, and now and then receives what is in in.
// What is sent to the one who is no forger is kept.
type flood struct {
	pool   *frame.Pool
	syn    []byte // to be varied
	left   int
	source uint64
	spread uint64 // sources
	in     [][]byte
	peer   [4]byte
	out    [][]byte
	arp    [][]byte // what answers an ARP request
}

func (f *flood) Recv(in []frame.Span) (n int) {
	put := func(b []byte) []byte {
		fr, ok := f.pool.Get()
		if !ok {
			panic("no frame to receive into")
		}
		in[n] = frame.Span{Frame: fr, Off: 256, Len: uint16(len(b))}
		n++
		p := f.pool.Bytes(in[n-1])
		copy(p, b)
		return p
	}
	for ; len(f.in) > 0 && n < len(in); f.in = f.in[1:] {
		put(f.in[0])
	}
	for ; f.left > 0 && n < len(in); f.left-- {
		b := put(f.syn)
		f.source = f.source*6364136223846793005 + 1442695040888963407
		who := f.source >> 20 % f.spread
		binary.BigEndian.PutUint32(b[26:], 0x64400000+uint32(who>>8)) // 100.64.0.0/10
		binary.BigEndian.PutUint16(b[34:], 1024+uint16(who)|1)
		binary.BigEndian.PutUint32(b[38:], uint32(f.source>>32))
		b[24], b[25], b[50], b[51] = 0, 0, 0, 0
		binary.BigEndian.PutUint16(b[24:], ^checksum.Sum(b[14:34]))
		binary.BigEndian.PutUint16(b[50:], ^checksum.Add(checksum.Pseudo(b[26:30], b[30:34], protoTCP, len(b)-34), checksum.Sum(b[34:])))
	}
	return n
}

func (f *flood) Send(out []frame.Span) int {
	for _, d := range out {
		if b := f.pool.Bytes(d); b[12] == 8 && b[13] == 6 {
			f.in = append(f.in, f.arp...)
		}
		if b := f.pool.Bytes(d); [4]byte(b[30:]) == f.peer && b[12] == 8 && b[13] == 0 {
			f.out = append(f.out, append([]byte(nil), b...))
		}
		f.pool.TxStart(d.Frame)
		f.pool.TxDone(d.Frame)
	}
	return len(out)
}

func (f *flood) Room() int { return 1024 }
func (f *flood) Flush()    {}

// TestSynFlood: a million SYNs a second from a million sources. They cost no
// memory beyond the backlog, and whoever means it is served, with all options.
func TestSynFlood(t *testing.T) { synFlood(t, false) }

// TestCapableFlood: the same of SYNs that offer MPTCP. Whoever means it is served, by MPTCP.
func TestCapableFlood(t *testing.T) { synFlood(t, true) }

func synFlood(t *testing.T, capable bool) {
	million := 1000000
	if testing.Short() {
		million = 100000
	}
	pool := frame.New(make([]byte, 4096<<12), 12)
	forged := synTo(80)
	forged.Options = synOptions(capable)
	f := &flood{pool: pool, syn: tcp4(t, forged, nil), spread: 1 << 20, peer: peer4.As4()}
	app := &recorder{}
	conf := Config{
		Addresses:  []Address{{Prefix: netip.PrefixFrom(our4, 24)}},
		Routes:     []Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gate4}},
		TCP:        tcp.DefaultConfig(),
		Seed:       [32]byte{1},
		SynBacklog: 256,
		MPTCP:      mptcp.Config{Enabled: true},
	}
	s, err := New(conf, pool, []Link{{Name: "flood", MAC: ourMAC, MTU: 1500, Ports: []Port{f}}}, app)
	if err != nil {
		t.Fatal(err)
	}
	s.Listen(80)
	now := tcp.Second
	run := func(syns int) {
		for f.left = syns; f.left > 0 || len(f.in) > 0; now += 64 * tcp.Microsecond {
			s.Turn(now)
		}
	}
	run(10000) // until the backlog is full
	conns, flows, _, _ := s.Idle()
	if conns > 256 || s.Stats().TCP.SyncookiesSent < 9000 {
		t.Fatalf("%d connections in progress, %d cookies", conns, s.Stats().TCP.SyncookiesSent)
	}
	free, index, hops := pool.Free(), len(s.demux.slots), len(s.byHop)
	var before, after runtime.MemStats
	for i := range 10 {
		runtime.ReadMemStats(&before)
		run(million / 10)
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > 20 { // the runtime's own
			t.Errorf("%d allocations, %d bytes", n, after.TotalAlloc-before.TotalAlloc)
		}
		if c, fl, _, _ := s.Idle(); c > conns+i || fl > flows+i || pool.Free() < free-i || len(s.demux.slots) != index || len(s.byHop) > hops+1 {
			t.Fatalf("%d connections, %d flows, %d frames, %d slots, %d neighbours", c, fl, pool.Free(), len(s.demux.slots), len(s.byHop))
		}
		connect(t, s, f, uint16(5000+i), capable, run)
		if len(app.accepted) != i+1 {
			t.Fatalf("%d of %d connections accepted", len(app.accepted), i+1)
		}
		if n := s.Readable(app.accepted[i]); n != 5 {
			t.Errorf("%d bytes of what came with the ACK", n)
		}
		mss := uint32(1360 - 12)
		if info, _ := s.Info(app.accepted[i]); info.MPTCP != capable {
			t.Errorf("%+v", info)
		}
		if capable {
			mss -= 28 // the DSS
		}
		s.EachFlow(app.accepted[i], func(st tcp.Status) {
			if st.SndWScale != 7 || st.MSS != mss || st.State != tcp.Established {
				t.Errorf("%+v", st)
			}
		})
	}
	st := s.Stats()
	if st.TCP.SyncookiesRecv != 10 || st.TCP.SyncookiesFailed != 0 || st.Drops[DropSynLimit]+st.Drops[DropSynHalfOpen]+st.Drops[DropSynPressure] != 0 {
		t.Errorf("%+v", st)
	}
	if m := s.MPTCP(); (m.MPCurrEstab == uint64(len(app.accepted))) != capable || m.MPFallbackTokenInit+m.MPCapableCookieKey != 0 {
		t.Errorf("%+v", *m)
	}
	t.Logf("%d SYNs, %d cookies, %d handshakes in progress", million+10000, st.TCP.SyncookiesSent, flows)
}

// TestJoinFlood: a million MP_JOINs, with a token nobody has and with one that was overheard. The first leave nothing
// behind but some RSTs a second; of the second some handshakes are in progress, and some HMACs a second are computed.
func TestJoinFlood(t *testing.T) {
	million := 1000000
	if testing.Short() {
		million = 100000
	}
	pool := frame.New(make([]byte, 4096<<12), 12)
	f := &flood{pool: pool, spread: 1 << 20, peer: peer4.As4(), arp: [][]byte{
		arpPacket(t, arpReply, ourMAC, gateMAC, gate4, our4), arpPacket(t, arpReply, ourMAC, gateMAC, peer4, our4)}}
	app := &recorder{}
	s, err := New(Config{
		Addresses: []Address{{Prefix: netip.PrefixFrom(our4, 24)}},
		Routes:    []Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Gateway: gate4}},
		TCP:       tcp.DefaultConfig(), Seed: [32]byte{1}, MPTCP: mptcp.Config{Enabled: true},
	}, pool, []Link{{Name: "flood", MAC: ourMAC, MTU: 1500, Ports: []Port{f}}}, app)
	if err != nil {
		t.Fatal(err)
	}
	s.Listen(80)
	now := tcp.Second
	run := func(syns int) {
		for f.left = syns; f.left > 0 || len(f.in) > 0; now += 64 * tcp.Microsecond {
			s.Turn(now)
		}
	}
	join := func(token uint32) {
		syn := synTo(80)
		data := binary.BigEndian.AppendUint32([]byte{0x10, 1}, token)
		syn.Options = append(synOptions(false), layers.TCPOption{OptionType: layers.TCPOptionKindMultipathTCP, OptionLength: 12, OptionData: append(data, 1, 2, 3, 4)})
		f.syn = tcp4(t, syn, nil)
	}
	join(0)
	connect(t, s, f, 5000, true, run)
	run(10) // what was learnt of the gateway
	info, _ := s.Info(app.accepted[0])
	if !info.MPTCP {
		t.Fatalf("%+v", info)
	}
	free, index, hops := pool.Free(), len(s.demux.slots), len(s.byHop)
	for _, known := range []bool{false, true} {
		token := info.Token
		if !known {
			token++
		}
		join(token)
		begin, sent := now, s.Stats().TCP.OutSegs
		run(million)
		m, took := s.MPTCP(), int((now-begin)/tcp.Millisecond)
		conns, flows, _, _ := s.Idle()
		rsts, answers := int(s.Stats().Resets), int(s.Stats().TCP.OutSegs-sent)
		t.Logf("known %v: %d ms, %d RSTs, %d SYN-ACKs, %d flows; %d unknown, %d dropped", known, took, rsts, answers, flows, m.MPJoinNoTokenFound, m.MPJoinFlood)
		most := 1
		if known {
			most += 8
		}
		if conns != 1 || flows > most || pool.Free() < free-8 || len(s.demux.slots) != index || len(s.byHop) > hops+1 {
			t.Errorf("%d connections, %d flows, %d frames, %d slots, %d neighbours", conns, flows, pool.Free(), len(s.demux.slots), len(s.byHop))
		}
		if rsts > joinBurst+took*joinRate/1000+joinBurst || !known && rsts < joinBurst {
			t.Errorf("%d RSTs in %d ms", rsts, took)
		}
		if known && (answers > 50+took/50 || m.MPJoinFlood < uint64(million)*9/10) {
			t.Errorf("%d SYN-ACKs in %d ms, %d dropped", answers, took, m.MPJoinFlood)
		}
	}
	// It is over: what is in progress gives way, and the connection is what it was.
	for range 200 {
		now += tcp.Second
		s.Turn(now)
	}
	if conns, flows, _, _ := s.Idle(); conns != 1 || flows > 1 {
		t.Errorf("%d connections, %d flows are left", conns, flows)
	}
}

func synOptions(capable bool) []layers.TCPOption {
	opts := []layers.TCPOption{
		{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{1370 >> 8, 1370 & 255}},
		{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
		{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 1, 0, 0, 0, 0, 0}},
		{OptionType: layers.TCPOptionKindNop},
		{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{7}},
	}
	if capable {
		opts = append(opts, layers.TCPOption{OptionType: layers.TCPOptionKindMultipathTCP, OptionLength: 4, OptionData: []byte{1, 1}})
	}
	return opts
}

// connect opens a connection in the middle of the flood, and sends five bytes
// with the ACK.
func connect(t *testing.T, s *Shard, f *flood, port uint16, capable bool, run func(int)) {
	t.Helper()
	syn := synTo(80)
	syn.SrcPort, syn.Options = layers.TCPPort(port), synOptions(capable)
	f.out, f.in = nil, [][]byte{tcp4(t, syn, nil)}
	run(100)
	answer := tcpOf(t, one(t, f.out))
	if !answer.SYN || !answer.ACK || answer.Ack != 1001 || len(answer.Options) < 5 {
		t.Fatalf("%+v", answer)
	}
	ack := &layers.TCP{SrcPort: layers.TCPPort(port), DstPort: 80, Seq: 1001, Ack: answer.Seq + 1, ACK: true, Window: 500}
	for _, o := range answer.Options {
		switch o.OptionType {
		case layers.TCPOptionKindTimestamps:
			ack.Options = append(ack.Options, layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10,
				OptionData: append([]byte{0, 0, 1, 9}, o.OptionData[:4]...)})
		case layers.TCPOptionKindMultipathTCP: // version, flags and our key: both keys and the length of the data go back
			key := append(append([]byte{1, 1}, 1, 2, 3, 4, 5, 6, 7, 8), o.OptionData[2:10]...)
			ack.Options = append(ack.Options, layers.TCPOption{OptionType: layers.TCPOptionKindMultipathTCP, OptionLength: 22,
				OptionData: append(key, 0, 5)})
		}
	}
	f.in = [][]byte{tcp4(t, ack, gopacket.Payload("hello"))}
	run(100)
}

// TestHalfOpenPerNetwork: one network's flood leaves the others their
// handshakes.
func TestHalfOpenPerNetwork(t *testing.T) {
	b := newBench(t, benchConfig{edit: func(c *Config) { c.SynBacklog = 100 }})
	b.Listen(80)
	syn := func(from string, port int) {
		h := synTo(80)
		h.SrcPort = layers.TCPPort(port)
		b.turn(build(t, ether(gateMAC, ourMAC0, layers.EthernetTypeIPv4), ip4(netip.MustParseAddr(from), our4, layers.IPProtocolTCP), h))
	}
	for i := range 200 {
		syn("192.0.2.1", 1000+i)
	}
	if c, _, _, _ := b.Idle(); c != 25 || b.Stats().TCP.SyncookiesSent != 175 {
		t.Errorf("%d handshakes from one network, %d cookies", c, b.Stats().TCP.SyncookiesSent)
	}
	syn("192.0.3.1", 1000)
	if c, _, _, _ := b.Idle(); c != 26 {
		t.Errorf("%d handshakes: the flood of one network costs another one's", c)
	}
	// They end: each SYN-ACK is sent six times, then the place is free.
	b.turn(arpPacket(t, arpReply, ourMAC0, gateMAC, gate4, our4))
	sent := 26
	for range 200 {
		sent += len(b.after(tcp.Second))
	}
	if c, _, _, _ := b.Idle(); c != 0 || b.halfOpen.ports[80] != 0 || b.halfOpen.prefixes != [halfOpenPrefixes]uint16{} {
		t.Errorf("%d handshakes are left, %d counted", c, b.halfOpen.ports[80])
	}
	if again := b.Stats().TCP.RetransSegs; again != 26*5 {
		t.Errorf("%d SYN-ACKs were repeated", again)
	}
	b.free()
}

func TestCookieModes(t *testing.T) {
	for mode, want := range map[CookieMode]struct{ flows, cookies, dropped uint64 }{
		CookiesAuto:   {1, 3, 0},
		CookiesNever:  {1, 0, 3},
		CookiesAlways: {0, 4, 0},
	} {
		b := newBench(t, benchConfig{edit: func(c *Config) { c.SynBacklog, c.SynCookies = 1, mode }})
		b.Listen(80)
		for i := range 4 {
			h := synTo(80)
			h.SrcPort = layers.TCPPort(5000 + i)
			b.turn(tcp4(t, h, nil))
		}
		_, flows, _, _ := b.Idle()
		if st := b.Stats(); uint64(flows) != want.flows || st.TCP.SyncookiesSent != want.cookies || st.Drops[DropSynHalfOpen] != want.dropped {
			t.Errorf("mode %d: %d flows, %d cookies, %d dropped", mode, flows, st.TCP.SyncookiesSent, st.Drops[DropSynHalfOpen])
		}
	}
}

package mptcp

import (
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// TestAddressStorm: a peer that knows the keys announces and removes addresses
// and changes priorities with every ACK. What it costs stays bounded, it opens
// no more than a connection a second, and the stream arrives.
func TestAddressStorm(t *testing.T) {
	const seed = 71
	r := rand.New(rand.NewPCG(seed, 1))
	w, a, b := managed(t, seed, Policy{Endpoints: []Endpoint{{Addr: addr(2), Flags: Subflow}}}, Policy{AddAddrAccepted: 4}, nil)
	b.send = 16 << 20
	n, most := 0, 0
	for _, p := range w.paths {
		p.strip = func(seg *tcp.Segment, up bool) {
			if !up || seg.Len > 0 || seg.Flags != tcp.ACK || w.now < 1300*tcp.Millisecond {
				return
			}
			c := w.serverConn()
			seg.RawLen, seg.Opts.NSACK = 0, 0
			n++
			switch r.IntN(4) {
			case 0:
				o := addrOption{id: uint8(r.IntN(256)), addr: addr(byte(1 + r.IntN(2))), hasPort: true, port: uint16(1 + r.IntN(65535)), signed: true}
				o.mac = c.profile.addrMAC(c.remoteKey, c.localKey, &o)
				o.put(seg, v1)
			case 1:
				o := removeOption{n: 20}
				for i := range o.ids[:o.n] {
					o.ids[i] = uint8(1 + r.IntN(255)) // 0 and 1 carry the stream
				}
				o.put(seg)
			case 2:
				prioOption{backup: r.IntN(2) == 0}.put(seg)
			default: // the stream must go on
				d := dssOption{flags: dssAck | dssAck64, ack: w.cli.set.conn(a.c).rcvNxt}
				d.put(seg)
			}
			kept := 0
			for i := c.addrs; i != 0; i = w.srv.set.addrs.At(i).next {
				kept++
			}
			for i := c.aims; i != 0; i = w.srv.set.aims.At(i).next {
				kept++
			}
			most = max(most, kept)
		}
		p.filter = func(seg *tcp.Segment, up bool) bool { return up || seg.Flags != tcp.SYN } // nobody is where we are sent
	}
	w.run(300*tcp.Second, func() bool { return a.eof })
	took := uint64(w.now / tcp.Second)
	for _, p := range w.paths {
		p.strip = nil
	}
	s := w.srv.set.Count
	if s.AddAddr == 0 || s.RmAddr == 0 || s.MPPrioRx == 0 || most == 0 {
		t.Errorf("no storm: %s", told(s))
	}
	if most > maxAddresses+maxAims || s.MPJoinSynTx > dialBurst+took+1 {
		t.Errorf("%d kept, %d joins in %d s: %s", most, s.MPJoinSynTx, took, told(s))
	}
	t.Logf("%d ACKs in %d s: %s", n, took, told(s))
	w.finish(a, b)
}

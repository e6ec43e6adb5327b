package tcp

import (
	"math/rand/v2"
	"testing"
)

func TestConnectTransferClose(t *testing.T) {
	p := newPair(t, 1, link{delay: 10 * Millisecond})
	p.h[0].toSend, p.h[1].toSend = 1<<20, 3<<20
	p.h[0].shut, p.h[1].shut = true, true
	p.open()
	both := func() bool { return p.h[0].ev&p.h[1].ev&Finished != 0 }
	if !p.run(60*Second, both) {
		t.Fatalf("states %d, %d; got %d, %d", p.h[0].conn.state, p.h[1].conn.state, p.h[0].got, p.h[1].got)
	}
	if p.h[0].got != 3<<20 || p.h[1].got != 1<<20 {
		t.Errorf("got %d, %d", p.h[0].got, p.h[1].got)
	}
	for i, h := range p.h {
		if h.count.RetransSegs != 0 || h.cut > h.whole/50 || h.ev&Connected == 0 || h.ev&PeerClosed == 0 {
			t.Errorf("host %d: %d retransmissions, %d gathered of %d, events %b", i, h.count.RetransSegs, h.cut, h.whole, h.ev)
		}
	}
	p.finish()
}

func TestGoodputUnderLoss(t *testing.T) {
	// At random loss p the law of Mathis gives 1.22 MSS / (RTT sqrt(p)): 22, 7
	// and 3 Mbit/s of 100 for Reno at 0.1, 1 and 5 %.
	for _, x := range []struct {
		name  string
		link  link
		least int // per cent of the link's payload rate
	}{
		{"clean", link{}, 75},
		{"loss 0.1%", link{loss: 1}, 25},
		{"loss 1%", link{loss: 10}, 6},
		{"loss 5%", link{loss: 50}, 2},
		{"reorder", link{jitter: 5 * Millisecond}, 65},
		{"reorder, loss 1%", link{jitter: 5 * Millisecond, loss: 10}, 4},
		{"duplicates 2%", link{dup: 20}, 75},
	} {
		for _, sack := range []bool{true, false} {
			const seed, size = 7, 6 << 20
			l := x.link
			l.delay, l.rate, l.queue = 10*Millisecond, 100e6/8, 40*Millisecond
			p := newPair(t, seed, l)
			p.h[0].conf.NoSACK = !sack
			p.h[1].toSend, p.h[1].shut, p.h[0].shut = size, true, true
			p.open()
			start := p.now
			if !p.run(1200*Second, func() bool { return p.h[0].ev&p.h[1].ev&Finished != 0 }) {
				t.Fatalf("%s, seed %d: not done, got %d", x.name, seed, p.h[0].got)
			}
			took := p.now - start
			c := &p.h[1].count
			percent := int(Time(size) * Second / took * 100 / (12500000 * 1448 / 1538))
			t.Logf("%-18s SACK %-5v seed %d: %3d%% of the link; %d segments, %d again (fast %d), %d RTO, %d TLP, %d spurious, %d DSACK",
				x.name, sack, seed, percent, c.OutSegs, c.RetransSegs, c.FastRetrans, c.Timeouts, c.TLPProbes, c.SpuriousRTOs, c.DSACKRecv)
			if p.h[0].got != size {
				t.Errorf("%s: got %d", x.name, p.h[0].got)
			}
			if sack && percent < x.least {
				t.Errorf("%s: %d%% of the link, want %d%%", x.name, percent, x.least)
			}
			p.finish()
		}
	}
}

// Whatever the link does, and however small the buffers, windows and writes:
// all bytes arrive in order, both sides close, nothing leaks.
func TestAnyLinkDelivers(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 17))
		pick := func(n ...int) int { return n[r.IntN(len(n))] }
		l := link{
			delay: Time(pick(0, 1, 20, 300)) * Millisecond, jitter: Time(pick(0, 1, 10, 60)) * Millisecond,
			rate: pick(0, 50e3, 2e6, 50e6), queue: Time(pick(0, 20, 200)) * Millisecond,
			loss: pick(0, 10, 50, 150), dup: pick(0, 20, 200),
		}
		p := newPair(t, seed, l)
		for _, h := range p.h {
			h.conf.RcvBuf, h.conf.SndBuf = uint32(pick(3000, 20000, 300000)), uint32(pick(4000, 50000, 300000))
			h.conf.NoSACK, h.conf.NoTimestamps = r.IntN(4) == 0, r.IntN(4) == 0
			h.conf.Controller = uint8(pick(int(CUBIC), int(NewReno)))
			h.conf.DataRetries, h.conf.SynRetries = 40, 40 // at 15 % even twelve losses in a row happen
			h.piece = pick(1, 100, 1448, 3800)
			h.toSend = pick(0, 1, 5000, 100000*min(h.piece, 10)/10)
			h.shut = true
		}
		p.open()
		ok := p.run(20000*Second, func() bool { return p.h[0].ev&p.h[1].ev&Finished != 0 })
		for i, h := range p.h {
			if !ok || h.got != p.h[1-i].toSend || h.conn.Err() != NoError {
				t.Errorf("seed %d: host %d got %d of %d, state %s, %v, at %d ms; link %+v", seed, i, h.got, p.h[1-i].toSend,
					h.conn.state.short(), h.conn.Err(), p.now/Millisecond, l)
			}
		}
		p.finish()
	}
}

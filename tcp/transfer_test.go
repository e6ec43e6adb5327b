package tcp

import "testing"

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

package stack

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// narrow has three addresses of ours on the subnet of the peer, one that is
// routed to us on its link, one of another subnet, one of no link, and ten ports.
func narrow(t *testing.T) *bench {
	return newBench(t, benchConfig{edit: func(c *Config) {
		c.Ports = [2]uint16{50000, 50009}
		for _, a := range []string{"10.0.0.7/24", "10.0.0.8/24", "203.0.113.1/32", "10.9.0.1/24"} {
			c.Addresses = append(c.Addresses, Address{Prefix: netip.MustParsePrefix(a)})
		}
		c.Addresses = append(c.Addresses, Address{Prefix: netip.MustParsePrefix("203.0.113.2/32"), Link: AnyLink})
	}})
}

// TestDialUsesEveryPortOfEveryAddress: as many connections to one destination as
// there are ports of all addresses that are answered there; then an error, and a count.
func TestDialUsesEveryPortOfEveryAddress(t *testing.T) {
	b := narrow(t)
	to := netip.AddrPortFrom(peer4, 80)
	used, of := map[netip.AddrPort]bool{}, map[netip.Addr]int{}
	for i := range 40 {
		c, err := b.Dial(to, 0)
		if err != nil {
			t.Fatalf("dial %d: %v", i, err)
		}
		local, _ := b.Peer(c)
		if used[local] || local.Port() < 50000 || local.Port() > 50009 {
			t.Fatalf("from %v", local)
		}
		used[local] = true
		of[local.Addr()]++
		if i == 11 && len(of) < 3 {
			t.Errorf("the first 12 dials came from %d of 4 addresses", len(of))
		}
		if local.Addr() == netip.MustParseAddr("10.9.0.1") {
			t.Error("from an address of another subnet")
		}
		if local.Addr() == netip.MustParseAddr("203.0.113.2") {
			t.Error("from an address that only clients know the way to")
		}
	}
	for a, n := range of {
		if n != 10 {
			t.Errorf("%d dials from %v", n, a)
		}
	}
	if _, err := b.Dial(to, 0); !errors.Is(err, ErrNoPort) || b.Stats().PortsExhausted != 1 {
		t.Errorf("%v, %d counted", err, b.Stats().PortsExhausted)
	}
	if _, err := b.Dial(netip.AddrPortFrom(peer4, 81), 0); err != nil {
		t.Errorf("another destination has ports of its own: %v", err)
	}
}

// TestDialFromTimeWait: when all tuples are in TIME-WAIT, one whose timestamps
// allow it is dialled with, and begins beyond the old flow.
func TestDialFromTimeWait(t *testing.T) {
	b := narrow(t)
	to := netip.AddrPortFrom(peer4, 80)
	end := func(hasTS bool) {
		for _, a := range []string{"10.0.0.1", "10.0.0.7", "10.0.0.8", "203.0.113.1"} {
			for p := range 10 {
				tu := tcp.Tuple{Local: fromNetip(netip.MustParseAddr(a)), Remote: fromNetip(peer4), LocalPort: 50000 + uint16(p), RemotePort: 80}
				if id := b.waits.lookup(&tu, b.hash(&tu)); id != 0 {
					b.waits.drop(id)
				}
				tw := tcp.TimeWait{HasTS: hasTS, SndNxt: tcp.ISN(&b.env, &tu) + 1<<30}
				tw.Restart(&b.env)
				b.waits.enter(&tu, b.hash(&tu), tw)
			}
		}
	}
	b.turn()
	end(false)
	b.after(5 * tcp.Second)
	if _, err := b.Dial(to, 0); !errors.Is(err, ErrNoPort) {
		t.Errorf("without timestamps: %v", err)
	}
	end(true)
	if _, err := b.Dial(to, 0); !errors.Is(err, ErrNoPort) {
		t.Errorf("at once: %v", err)
	}
	b.after(reuseAge)
	before := b.waits.live
	c, err := b.Dial(to, 0)
	if err != nil || b.waits.live != before-1 || b.Stats().TimeWaitDialed != 1 {
		t.Fatalf("%v, %d of %d wait", err, b.waits.live, before)
	}
	local, _ := b.Peer(c)
	tu := tcp.Tuple{Local: fromNetip(local.Addr()), Remote: fromNetip(peer4), LocalPort: local.Port(), RemotePort: 80}
	b.EachFlow(c, func(st tcp.Status) {
		if d := st.ISS.Sub(tcp.ISN(&b.env, &tu)); d < 1<<29 {
			t.Errorf("the new flow begins %d after the clock", d)
		}
	})
	if b.waits.lookup(&tu, b.hash(&tu)) != 0 {
		t.Error("the old flow waits still")
	}
}

const reuseAge = tcp.Second + tcp.Millisecond

// TestPortsTellNothing: the port of a dial does not tell the next one's, not
// even to the same destination (RFC 6056), and all ports come up equally often.
func TestPortsTellNothing(t *testing.T) {
	b := newBench(t, benchConfig{})
	steps, seen := map[int]int{}, [16]int{}
	last := 0
	const n = 2000
	for i := range n {
		c, err := b.Dial(netip.AddrPortFrom(peer4, 80), 0)
		if err != nil {
			t.Fatal(err)
		}
		local, _ := b.Peer(c)
		p := int(local.Port())
		if i > 0 {
			steps[(p-last+32768)%32768]++
		}
		seen[(p-firstPort)/2048]++
		last = p
	}
	for step, k := range steps {
		if k > n/portStep*2 {
			t.Errorf("%d of %d dials used the port %d after the last", k, n, step)
		}
	}
	for i, k := range seen {
		if k < n/16/2 || k > n/16*2 {
			t.Errorf("%d of %d dials used a port of block %d", k, n, i)
		}
	}
}

package sim

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/mpxd/mpxd/internal/link"
	"github.com/mpxd/mpxd/tcp"
)

// replay runs a test that goes through seeds with one of them: what a failure prints.
var replay = flag.Uint64("seed", 0, "run with this seed only")

// seeds are first, first+1, ...: as many as given, with MPXD_FULL=1 fifty times as many, or the one of -seed.
func seeds(first, n uint64) (all []uint64) {
	if *replay != 0 {
		return []uint64{*replay}
	}
	if os.Getenv("MPXD_FULL") == "1" {
		n *= 50
	}
	for i := range n {
		all = append(all, first+i)
	}
	return all
}

// TestSeeds: bad links and small pools, once more for each seed.
func TestSeeds(t *testing.T) {
	l := link.Config{Rate: 1e8, Delay: 3 * ms, Jitter: ms, Loss: 10000, Reorder: 20000, ReorderDelay: 2 * ms, Duplicate: 10000, Corrupt: 5000}
	for _, seed := range seeds(100, 10) {
		t.Run(fmt.Sprint("TCP/", seed), func(t *testing.T) {
			p := newPair(t, pairConfig{seed: seed, link: l, frames: 600, client: NIC{HoldTx: 50 * tcp.Microsecond}})
			p.exchange(t, servers[[]string{"IPv4", "IPv6"}[seed%2]], 1<<20, 1<<20, 300*tcp.Second)
			p.settle(t)
		})
		t.Run(fmt.Sprint("MPTCP/", seed), func(t *testing.T) {
			p := newTwoPaths(t, seed, l, l, seed%3 == 0)
			p.download(t, 4<<20, 300*tcp.Second, func() {
				p.phone.SetUp(int(seed%2), false)
				p.Run(p.Now() + 3*tcp.Second)
				p.phone.SetUp(int(seed%2), true)
			})
			if err := p.Settle(); err != nil {
				t.Error(err)
			}
		})
	}
}

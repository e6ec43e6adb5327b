package stack

import (
	"encoding/binary"
	"hash/maphash"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

func pathTo(i uint32) *tcp.Tuple {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 0x0a000000+i)
	return &tcp.Tuple{Local: tcp.AddrFrom4([4]byte{192, 0, 2, 1}), Remote: tcp.AddrFrom4(a), LocalPort: uint16(i), RemotePort: 80}
}

func TestPathsRemember(t *testing.T) {
	ps := paths{seed: maphash.MakeSeed()}
	one, other := pathTo(1), pathTo(2)
	now := tcp.Time(5 * tcp.Second)
	expect := func(p *tcp.Tuple, want int) {
		t.Helper()
		if got := ps.mtu(p, now, 1500); got != want {
			t.Errorf("at %d s: MTU %d, want %d", now/tcp.Second, got, want)
		}
	}
	expect(one, 1500)
	ps.learn(one, 1400, now)
	expect(one, 1400)
	expect(other, 1500)
	otherPort := *one
	otherPort.LocalPort, otherPort.RemotePort = 9, 9
	expect(&otherPort, 1400)
	otherAddress := *one
	otherAddress.Local[15]++ // of ours: by another uplink
	expect(&otherAddress, 1500)
	if got := ps.mtu(one, now, 1300); got != 1300 {
		t.Errorf("a link of 1300: MTU %d", got)
	}
	now += 300 * tcp.Second
	ps.learn(one, 1450, now) // said of an older flow: the smaller one is still good
	expect(one, 1400)
	now += 299 * tcp.Second
	expect(one, 1400)
	now += tcp.Second
	expect(one, 1500) // it is too old
	ps.learn(one, 1450, now)
	expect(one, 1450)
}

// The table is bounded, and does not forget one path while there is room for it.
func TestPathsAreBounded(t *testing.T) {
	ps := paths{seed: maphash.MakeSeed()}
	const many = 100_000
	evicted := 0
	for i := range uint32(many) {
		if ps.learn(pathTo(i), 1400, tcp.Time(1+i)) {
			evicted++
		}
	}
	known := 0
	for i := range uint32(many) {
		if ps.mtu(pathTo(i), many, 1500) == 1400 {
			known++
		}
	}
	if len(ps.entries) != pathSets*pathWays || known+evicted != many || known < pathSets*pathWays*9/10 {
		t.Errorf("%d entries, %d known, %d evicted", len(ps.entries), known, evicted)
	}
	if ps.mtu(pathTo(many-1), many, 1500) != 1400 {
		t.Error("the last one is not known")
	}
}

func TestPlateau(t *testing.T) {
	for n, want := range map[int]int{65535: 32000, 1500: 1492, 1492: 1280, 1280: 1006, 1006: minMTU4, 0: minMTU4} {
		if got := plateau(n); got != want {
			t.Errorf("%d is too long: assume %d, want %d", n, got, want)
		}
	}
}

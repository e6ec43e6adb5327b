//go:build linux && !framecheck

package xdp

import (
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/lab"
)

func TestNothingIsAllocated(t *testing.T) {
	k := newKernel(t, 512, 128)
	in := make([]frame.Span, 64)
	allocs := testing.AllocsPerRun(100, func() {
		for range 20 {
			k.deliver(1514)
		}
		k.deliver(3840, 3840, 77)
		n := k.s.Recv(in)
		if k.s.Send(in[:n]) != n {
			t.Fatal("no room")
		}
		k.release(in[:n])
		k.s.Flush()
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if k.s.sending != 0 || k.s.count.RxPackets != 21*101 {
		t.Errorf("counted %+v", k.s.count)
	}
	k.end()
}

func TestNothingIsAllocatedOnASocket(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	s := open(t, w.host, config(Generic))
	defer s.end()
	q := s.Sockets()[0]
	f, _ := s.pool.Get()
	defer s.pool.Release(f)
	out := []frame.Span{{Frame: f, Off: frame.Headroom, Len: 60}}
	copy(s.pool.Bytes(out[0]), ip4(peerAddr, 17, 0, 0))
	if allocs := testing.AllocsPerRun(100, func() {
		q.Send(out)
		q.Flush()
		q.Recv(s.in)
		s.Wake()
		s.Wait(1000)
		s.Wait(1000)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

//go:build linux

package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/lab"
)

// Somebody else's program stays, and is named.
func TestForeignProgram(t *testing.T) {
	lab.Root(t)
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, actionPass), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Close()
	info, err := pass.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	byLink := func(f link.XDPAttachFlags) func(int) (func() error, error) {
		return func(index int) (func() error, error) {
			l, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: index, Flags: f})
			if err != nil {
				return nil, err
			}
			return l.Close, nil
		}
	}
	byNetlink := func(index int) (func() error, error) {
		l, err := netlink.LinkByIndex(index)
		if err != nil {
			return nil, err
		}
		return func() error { return nil }, netlink.LinkSetXdpFdWithFlags(l, pass.FD(), unix.XDP_FLAGS_SKB_MODE)
	}
	for name, attach := range map[string]func(int) (func() error, error){
		"generic by link": byLink(link.XDPGenericMode), "native by link": byLink(link.XDPDriverMode), "by netlink": byNetlink,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, lab.End{})
			var detach func() error
			err := w.host.Do(func() error {
				a, err := netlink.LinkByName("vh")
				if err == nil {
					detach, err = attach(a.Attrs().Index)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer detach()
			u, err := NewUmem(testFrames)
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			for _, m := range []Mode{Auto, Generic, Native} {
				err := w.host.Do(func() error { _, e := Open(config(m), u, frame.New(u.Bytes(), chunkShift)); return e })
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("id %d", id)) {
					t.Errorf("%v: %v", m, err)
				}
			}
			if a, err := w.host.Interface("vh"); err != nil || a.Xdp.ProgId != uint32(id) {
				t.Errorf("the program is gone: %+v, %v", a.Xdp, err)
			}
			// The race: it came after we looked.
			err = w.host.Do(func() error {
				n := &nic{Name: "vh", queues: 1}
				l, _ := netlink.LinkByName("vh")
				n.Index = l.Attrs().Index
				n.sockets, n.program = nil, pass
				return n.attach(Auto)
			})
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("id %d", id)) {
				t.Errorf("late: %v", err)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	u, err := NewUmem(1024)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	pool := frame.New(u.Bytes(), chunkShift)
	few, err := NewUmem(64)
	if err != nil {
		t.Fatal(err)
	}
	defer few.Close()
	for _, c := range []struct {
		want string
		c    Config
		u    *Umem
		p    *frame.Pool
	}{
		{"no interface given", Config{}, u, pool},
		{`no such interface "nope"`, Config{Interfaces: []string{"nope"}}, u, pool},
		{"given twice", Config{Interfaces: []string{"vh", "vh"}}, u, pool},
		{"power of two", Config{Interfaces: []string{"vh"}, RingSize: 1000}, u, pool},
		{"not the whole UMEM", Config{Interfaces: []string{"vh"}}, u, frame.New(make([]byte, 1024<<12), 12)},
		{"too few", Config{Interfaces: []string{"vh"}}, few, frame.New(few.Bytes(), 12)},
		{"not an address of an interface", Config{Interfaces: []string{"vh"}, Addresses: []netip.Addr{netip.IPv4Unspecified()}}, u, pool},
	} {
		err := w.host.Do(func() error { _, e := Open(c.c, c.u, c.p); return e })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if a, e := w.host.Interface("vh"); e != nil || a.Xdp.Attached {
			t.Fatalf("after %v: a program stayed", err)
		}
	}
}

// A kernel whose programs know no packets of several pieces (before 5.18).
func TestLargeMTUWithoutPieces(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{MTU: 9000})
	a, err := newAddresses()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	err = w.host.Do(func() error {
		n, err := findNIC("vh")
		if err != nil {
			return err
		}
		if err := n.load(a); err != nil {
			return err
		}
		defer n.detach()
		n.program.Close()
		n.frags = false
		if n.program, err = newProgram(n.sockets, a, false); err != nil {
			return err
		}
		return n.attach(Native)
	})
	if !errors.Is(err, unix.ERANGE) || !strings.Contains(err.Error(), "3506") {
		t.Errorf("got %v", err)
	}
}

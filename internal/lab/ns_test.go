package lab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func newNS(t *testing.T, name string) *NS {
	t.Helper()
	ns, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func TestOwner(t *testing.T) {
	for name, want := range map[string]int{
		"mpxd-12-client": 12, "mpxd-7-a-b": 7, "mpxd-12": 0, "mpxd-x-a": 0, "other-12-a": 0, "mpxd--1-a": 0, "mpxd-0-a": 0,
	} {
		if pid, ok := owner(name); pid != want && ok || ok != (want > 0) {
			t.Errorf("owner(%q) = %d, %v, want %d", name, pid, ok, want)
		}
	}
}

func TestCloseWithOpenSocket(t *testing.T) {
	Root(t)
	ns, err := New("close")
	if err != nil {
		t.Fatal(err)
	}
	if err := Veth(End{NS: ns, Name: "a"}, End{NS: ns, Name: "b"}); err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	if err := ns.Do(func() (err error) { l, err = net.Listen("tcp4", "127.0.0.1:0"); return }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ns.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", ns.Path(), err)
	}
	if err := ns.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestDoLeavesNoThreadBehind(t *testing.T) {
	Root(t)
	ns := newNS(t, "thread")
	host := links(t)
	for range 50 {
		if err := ns.Do(func() error {
			if got := links(t); !slices.Equal(got, []string{"lo"}) {
				t.Errorf("in the namespace: %v", got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got := links(t); !slices.Equal(got, host) {
			t.Fatalf("after Do this goroutine sees %v, before %v", got, host)
		}
	}
	func() {
		defer func() {
			if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "boom") {
				t.Errorf("the panic inside Do arrived as %q", s)
			}
		}()
		_ = ns.Do(func() error { panic("boom") })
	}()
	want := errors.New("mine")
	if err := ns.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("Do returned %v", err)
	}
}

func links(t *testing.T) (names []string) {
	t.Helper()
	ls, err := netlink.LinkList()
	if err != nil {
		t.Error(err)
	}
	for _, l := range ls {
		if l.Type() == "device" || l.Type() == "veth" {
			names = append(names, l.Attrs().Name)
		}
	}
	return names
}

// A child is killed while it holds a namespace: Sweep removes that one, and
// neither ours nor a living child's.
func TestSweep(t *testing.T) {
	if os.Getenv("MPXD_LAB_CHILD") != "" {
		if _, err := New("orphan"); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n")
		os.Stdin.Read(make([]byte, 1)) // until the parent kills us
		return
	}
	Root(t)
	ours := newNS(t, "ours")
	dead, living := child(t), child(t)
	kill(t, dead)
	defer kill(t, living)
	orphan := func(c *exec.Cmd) string { return "mpxd-" + strconv.Itoa(c.Process.Pid) + "-orphan" }

	removed, err := Sweep()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(removed, orphan(dead)) {
		t.Errorf("Sweep removed %v, not %s", removed, orphan(dead))
	}
	for _, path := range []string{ours.Path(), filepath.Join(netnsDir, orphan(living))} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("Sweep took a living namespace: %v", err)
		}
	}
	kill(t, living)
	if removed, err := Sweep(); err != nil || !slices.Contains(removed, orphan(living)) {
		t.Errorf("second Sweep removed %v, %v", removed, err)
	}
}

func child(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestSweep$")
	c.Env = append(os.Environ(), "MPXD_LAB_CHILD=1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	return c
}

func kill(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if c.ProcessState == nil {
		c.Process.Signal(unix.SIGKILL)
		c.Wait()
	}
}

// Two hosts over a router, IPv4 and IPv6, set up by everything Veth and the
// route functions offer; then a TCP connection proves it.
func TestVethRouted(t *testing.T) {
	Root(t)
	a, r, b := newNS(t, "a"), newNS(t, "r"), newNS(t, "b")
	p := netip.MustParsePrefix
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(Veth(End{NS: a, Name: "up", Addrs: []netip.Prefix{p("10.1.0.2/24"), p("fd01::2/64")}, Queues: 2, MTU: 1400, Pfifo: 500, Off: AllOffloads},
		End{NS: r, Name: "toa", Addrs: []netip.Prefix{p("10.1.0.1/24"), p("fd01::1/64")}, Queues: 2}))
	check(Veth(End{NS: b, Name: "up", Addrs: []netip.Prefix{p("10.2.0.2/24"), p("fd02::2/64")}},
		End{NS: r, Name: "tob", Addrs: []netip.Prefix{p("10.2.0.1/24"), p("fd02::1/64")}}))
	check(r.SetSysctl("net.ipv4.ip_forward", "1"))
	check(r.SetSysctl("net.ipv6.conf.all.forwarding", "1"))
	for _, rt := range []struct {
		ns       *NS
		dst, via string
	}{{a, "0.0.0.0/0", "10.1.0.1"}, {a, "::/0", "fd01::1"}, {b, "0.0.0.0/0", "10.2.0.1"}, {b, "::/0", "fd02::1"}} {
		check(rt.ns.AddRoute(Route{Dst: p(rt.dst), Via: netip.MustParseAddr(rt.via), Dev: "up"}))
	}
	check(a.AddNeigh("up", netip.MustParseAddr("10.1.0.1"), MAC("r", "toa")))
	check(a.AddRoute(Route{Dst: p("10.2.0.0/24"), Via: netip.MustParseAddr("10.1.0.1"), Dev: "up", Table: 100}))
	check(a.AddSourceRule(netip.MustParseAddr("10.1.0.2"), 100))

	up, err := a.Interface("up")
	check(err)
	if up.MTU != 1400 || up.NumRxQueues != 2 || up.NumTxQueues != 2 || up.HardwareAddr.String() != MAC("a", "up").String() {
		t.Errorf("interface up: mtu %d, queues %d/%d, mac %v", up.MTU, up.NumRxQueues, up.NumTxQueues, up.HardwareAddr)
	}
	if on, err := a.Offloads("up"); err != nil || len(on) != 0 {
		t.Errorf("offloads of up: %v, %v; want none", on, err)
	}
	check(a.SetOffload("up", true, TX, SG, TSO, GSO))
	if on, err := a.Offloads("up"); err != nil || !slices.Equal(on, []Offload{GSO, SG, TSO, TX}) {
		t.Errorf("offloads of up: %v, %v; want gso sg tso tx", on, err)
	}
	check(a.SetGSO("up", 10, 16000))
	if up, err = a.Interface("up"); err != nil || up.GSOMaxSegs != 10 || up.GSOMaxSize != 16000 {
		t.Errorf("gso limits %d segments, %d bytes: %v", up.GSOMaxSegs, up.GSOMaxSize, err)
	}
	check(a.Do(func() error {
		l, err := netlink.LinkByName("up")
		check(err)
		qs, err := netlink.QdiscList(l)
		check(err)
		if len(qs) != 1 || qs[0].Type() != "pfifo" {
			t.Errorf("qdiscs of up: %v", qs)
		}
		return nil
	}))

	for _, addr := range []string{"10.2.0.2:0", "[fd02::2]:0"} {
		var l net.Listener
		check(b.Do(func() (err error) { l, err = net.Listen("tcp", addr); return }))
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Write([]byte("hello"))
				c.Close()
			}
		}()
		check(a.Do(func() error {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return err
			}
			defer c.Close()
			buf := make([]byte, 8)
			if n, err := c.Read(buf); string(buf[:n]) != "hello" {
				t.Errorf("over %v: read %q, %v", l.Addr(), buf[:n], err)
			}
			return nil
		}))
	}
	if got, err := a.Sysctl("net/ipv4/conf/up/rp_filter"); err != nil || got != "0" {
		t.Errorf("rp_filter of up is %q, %v", got, err)
	}
}

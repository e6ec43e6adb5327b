package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// twoPaths joins a client and a server by two veth pairs, 10.0.1.0/24 and
// 10.0.2.0/24 (and fd00:1::/64, fd00:2::/64); the client is .1, the server .2.
func twoPaths(t *testing.T) (client, server *NS) {
	t.Helper()
	client, server = newNS(t, "client"), newNS(t, "server")
	for i := 1; i <= 2; i++ {
		p := func(host int) []netip.Prefix {
			return []netip.Prefix{
				netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/24", i, host)),
				netip.MustParsePrefix(fmt.Sprintf("fd00:%d::%d/64", i, host)),
			}
		}
		if err := Veth(End{NS: client, Name: fmt.Sprint("c", i), Addrs: p(1)}, End{NS: server, Name: fmt.Sprint("s", i), Addrs: p(2)}); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestEndpoints(t *testing.T) {
	Root(t)
	client, _ := twoPaths(t)
	if err := client.SetLimits(5, 3); err != nil {
		t.Fatal(err)
	}
	if s, a, err := client.Limits(); err != nil || s != 5 || a != 3 {
		t.Errorf("limits %d %d %v, want 5 3", s, a, err)
	}
	want := []Endpoint{
		{Addr: netip.MustParseAddr("10.0.2.1"), ID: 7, Flags: Subflow | Backup, Dev: "c2"},
		{Addr: netip.MustParseAddr("fd00:2::1"), ID: 8, Flags: Signal, Port: 4321},
		{Addr: netip.MustParseAddr("10.0.1.1"), ID: 9, Flags: Subflow | Fullmesh},
	}
	for _, e := range want {
		if err := client.AddEndpoint(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(client.Endpoints())(t); !slices.Equal(got, want) {
		t.Errorf("endpoints\n%v, want\n%v", got, want)
	}
	if err := client.AddEndpoint(want[0]); err == nil {
		t.Error("the same endpoint twice")
	}
	if err := client.DelEndpoint(want[0]); err != nil {
		t.Fatal(err)
	}
	if got := must(client.Endpoints())(t); !slices.Equal(got, want[1:]) {
		t.Errorf("after deletion %v", got)
	}
	if err := client.FlushEndpoints(); err != nil {
		t.Fatal(err)
	}
	if got := must(client.Endpoints())(t); len(got) != 0 {
		t.Errorf("after flush %v", got)
	}
	if err := client.SetMPTCP("checksum_enabled", 1); err != nil {
		t.Error(err)
	}
}

func TestTransfers(t *testing.T) {
	Root(t)
	client, server := twoPaths(t)
	for _, c := range []struct {
		name  string
		addr  string
		mptcp bool
		joins int64
	}{
		{"TCP over IPv4", "10.0.1.2:0", false, 0},
		{"TCP over IPv6", "[fd00:1::2]:0", false, 0},
		{"MPTCP, 1 subflow", "10.0.1.2:0", true, 0},
		{"MPTCP, 2 subflows", "10.0.1.2:0", true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.joins > 0 {
				if err := client.SetLimits(2, 2); err != nil {
					t.Fatal(err)
				}
				if err := client.AddEndpoint(Endpoint{Addr: netip.MustParseAddr("10.0.2.1"), Flags: Subflow}); err != nil {
					t.Fatal(err)
				}
				// The server's first address is not on the second path's network.
				if err := client.AddRoute(Route{Dst: netip.MustParsePrefix("10.0.1.2/32"), Dev: "c2", Table: 2}); err != nil {
					t.Fatal(err)
				}
				if err := client.AddSourceRule(netip.MustParseAddr("10.0.2.1"), 2); err != nil {
					t.Fatal(err)
				}
			}
			o := must(server.Serve(Listen{Addr: netip.MustParseAddrPort(c.addr), MPTCP: c.mptcp, Congestion: "cubic"}))(t)
			defer o.Close()
			before := must(client.Counters())(t)
			calls := 0
			cl := Client{NS: client, MPTCP: c.mptcp, Congestion: "reno", Progress: func(time.Time, int64) { calls++ }, Interval: time.Millisecond}
			const n = 40_000_001
			down, err := cl.Download(t.Context(), o.Addr.String(), Limit{Bytes: n}, 5)
			if err != nil {
				t.Fatal(err)
			}
			up, err := cl.Upload(t.Context(), o.Addr.String(), Limit{Bytes: n}, 6)
			if err != nil {
				t.Fatal(err)
			}
			if down.Bytes != n || up.Bytes != n || down.Sum != patternSum(5, n) || up.Sum != patternSum(6, n) {
				t.Errorf("down %d bytes %x, up %d bytes %x", down.Bytes, down.Sum, up.Bytes, up.Sum)
			}
			if calls == 0 || down.Stall <= 0 || down.Stall > down.End.Sub(down.Begin) {
				t.Errorf("%d calls of Progress, stall %v", calls, down.Stall)
			}
			d := must(client.Counters())(t).Since(before)
			conns := int64(0)
			if c.mptcp {
				conns = 2
			}
			if err := d.Joins(conns, c.joins); err != nil {
				t.Error(err)
			}
			if d["TcpInSegs"] == 0 {
				t.Error("no TCP segment was counted: another namespace's counters?")
			}
			t.Logf("down %.0f, up %.0f Mbit/s", down.Mbps(), up.Mbps())
		})
	}
}

func TestTransferLimitedByTime(t *testing.T) {
	Root(t)
	client, server := twoPaths(t)
	o := must(server.Serve(Listen{Addr: netip.MustParseAddrPort("10.0.1.2:0")}))(t)
	defer o.Close()
	cl := Client{NS: client, Local: netip.MustParseAddr("10.0.1.1"), Device: "c1"}
	for name, f := range map[string]func(context.Context, string, Limit, uint64) (Transfer, error){"down": cl.Download, "up": cl.Upload} {
		tr, err := f(t.Context(), o.Addr.String(), Limit{Time: 100 * time.Millisecond}, 1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if took := tr.End.Sub(tr.Begin); tr.Bytes == 0 || took < 100*time.Millisecond || tr.Sum != patternSum(1, tr.Bytes) {
			t.Errorf("%s: %d bytes in %v", name, tr.Bytes, took)
		}
	}
	if err := client.Do(func() error { // many small ones, from inside
		for range 100 {
			if _, err := (&Client{}).Download(t.Context(), o.Addr.String(), Limit{Bytes: 1024}, 1); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	cl.Device = "c2" // no route there
	cl.Timeout = 200 * time.Millisecond
	if c, err := cl.Dial(t.Context(), o.Addr.String()); err == nil {
		c.Close()
		t.Error("connected through the interface that leads elsewhere")
	}
}

// A server that sends a wrong byte, or too few, is found out.
func TestDownloadNoticesWrongBytes(t *testing.T) {
	Root(t)
	ns := newNS(t, "liar")
	var l net.Listener
	if err := ns.Do(func() (err error) { l, err = net.Listen("tcp4", "127.0.0.1:0"); return }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 100_000
	p := newPattern(3)
	good := p.take(n)
	for _, c := range []struct {
		name string
		send func() []byte
		want error
	}{
		{"right", func() []byte { return good }, nil},
		{"a wrong byte", func() []byte { b := slices.Clone(good); b[777] ^= 4; return b }, ErrDiffers},
		{"too few", func() []byte { return good[:n-1] }, io.ErrUnexpectedEOF},
		{"too many", func() []byte { return append(slices.Clone(good), 0) }, errAny},
	} {
		go func() {
			if conn, err := l.Accept(); err == nil {
				conn.Read(make([]byte, 64))
				conn.Write(c.send())
				conn.Close()
			}
		}()
		cl := Client{NS: ns}
		_, err := cl.Download(t.Context(), l.Addr().String(), Limit{Bytes: n}, 3)
		if c.want == nil && err != nil || c.want == errAny && err == nil || c.want != nil && c.want != errAny && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// The client goes through a SOCKS5 proxy, here one of a few lines.
func TestThroughSOCKS(t *testing.T) {
	Root(t)
	client, server := twoPaths(t)
	o := must(server.Serve(Listen{Addr: netip.MustParseAddrPort("10.0.1.2:0")}))(t)
	defer o.Close()
	var l *net.TCPListener
	if err := server.Do(func() (err error) {
		l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.0.1.2:0")))
		return
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go relay(server, c)
		}
	}()
	cl := Client{NS: client, Proxy: l.Addr().(*net.TCPAddr).AddrPort()}
	const n = 3_000_000
	if tr, err := cl.Download(t.Context(), o.Addr.String(), Limit{Bytes: n}, 1); err != nil || tr.Sum != patternSum(1, n) {
		t.Errorf("down: %v", err)
	}
	if tr, err := cl.Upload(t.Context(), o.Addr.String(), Limit{Bytes: n}, 2); err != nil || tr.Sum != patternSum(2, n) {
		t.Errorf("up: %v", err)
	}
	if _, err := cl.Dial(t.Context(), "10.0.1.2:1"); !errors.Is(err, SOCKSError(5)) {
		t.Errorf("a closed port: %v", err)
	}
}

func relay(ns *NS, c *net.TCPConn) {
	defer c.Close()
	b := make([]byte, 3+10)
	if _, err := io.ReadFull(c, b[:3]); err != nil {
		return
	}
	c.Write([]byte{5, 0})
	if _, err := io.ReadFull(c, b[3:]); err != nil || b[6] != 1 {
		return
	}
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[7:11])), binary.BigEndian.Uint16(b[11:]))
	var d *net.TCPConn
	if ns.Do(func() (err error) { d, err = net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(to)); return }) != nil {
		c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer d.Close()
	c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() {
		io.Copy(d, c)
		d.CloseWrite()
	}()
	io.Copy(c, d)
	c.CloseWrite()
}

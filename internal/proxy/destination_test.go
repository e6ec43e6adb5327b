package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

func prefixes(list string) (out []netip.Prefix) {
	for s := range strings.FieldsSeq(list) {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestAllowed(t *testing.T) {
	p := Proxy{conf: Config{Addresses: prefixes("10.0.1.2/24 192.0.2.1/31 fd00::2/64")}}
	for addr, want := range map[string]bool{
		"10.0.1.1": true, "8.8.8.8": true, "fd00::1": true, "192.0.2.0": true, "10.0.2.255": true,
		"10.0.1.2": false, "fd00::2": false, "::ffff:10.0.1.2": false, // ourselves
		"10.0.1.255": false, "255.255.255.255": false, // broadcast
		"0.0.0.0": false, "0.1.2.3": false, "::": false, "127.0.0.1": false, "::1": false,
		"224.0.0.1": false, "ff02::1": false, "fe80::1%eth0": false,
	} {
		if got := p.allowed(netip.MustParseAddr(addr).Unmap(), 80); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if p.allowed(netip.MustParseAddr("8.8.8.8"), 0) {
		t.Error("port 0 is allowed")
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct{ own, found, want, code string }{
		{"10.0.0.1/24", "1.1.1.1 2606::1", "1.1.1.1", ""},
		{"fd00::1/64", "1.1.1.1 2606::1", "2606::1", ""},
		{"10.0.0.1/24 fd00::1/64", "2606::1 2606::2 1.1.1.1 2606::3 1.1.1.2", "2606::1 1.1.1.1 2606::2 1.1.1.2", ""},
		{"10.0.0.1/24", "1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5", "1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4", ""},
		{"10.0.0.1/24", "", "", "host unreachable"},
		{"10.0.0.1/24", "2606::1", "", "network unreachable"},
		{"10.0.0.1/24", "127.0.0.1", "", "not allowed"},
		{"10.0.0.1/24", "127.0.0.1 1.1.1.1", "1.1.1.1", ""},
		{"10.0.0.1/24", "::ffff:1.1.1.1", "1.1.1.1", ""},
	} {
		p := Proxy{conf: Config{Addresses: prefixes(c.own)}}
		var found []netip.Addr
		for s := range strings.FieldsSeq(c.found) {
			found = append(found, netip.MustParseAddr(s))
		}
		var to [maxAddresses]tcp.Addr
		n, code := p.choose(&to, found, 80)
		var got []string
		for _, a := range to[:n] {
			got = append(got, netip.AddrFrom16(a).Unmap().String())
		}
		if strings.Join(got, " ") != c.want || n == 0 && code.String() != c.code {
			t.Errorf("of %q with %q: %v, %v", c.found, c.own, got, code)
		}
	}
}

func TestSessionHasNoPointers(t *testing.T) {
	pointerFree[session](t)
	pointerFree[handshake](t)
}

package proxy

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func TestGreeting(t *testing.T) {
	for _, c := range []struct {
		in     string
		n      int
		method byte
		v      verdict
	}{
		{"", 0, 0, incomplete},
		{"\x05", 0, 0, incomplete},
		{"\x05\x02\x00", 0, 0, incomplete},
		{"\x04", 0, 0, malformed},
		{"GET / HTTP/1.1\r\n", 0, 0, malformed},
		{"\x05\x01\x00", 3, 0, complete},
		{"\x05\x02\x02\x00rest", 4, 0, complete},
		{"\x05\x02\x01\x02", 4, 0xff, complete},
		{"\x05\x00", 2, 0xff, complete},
		{"\x05\xff" + strings.Repeat("\x02", 254) + "\x00", 257, 0, complete},
	} {
		if n, method, v := greeting([]byte(c.in)); n != c.n || method != c.method || v != c.v {
			t.Errorf("%q: %d bytes, method %#x, verdict %d", c.in, n, method, v)
		}
	}
}

func TestRequest(t *testing.T) {
	v6 := "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	long := strings.Repeat("x", 255)
	for _, c := range []struct {
		in   string
		addr string
		name string
		port uint16
		n    int
		code Code
		v    verdict
	}{
		{in: "", v: incomplete},
		{in: "\x05\x01\x00\x01", v: incomplete},
		{in: "\x05\x01\x00\x01\x0a\x00\x00\x01\x00", v: incomplete},
		{in: "\x04\x01\x00", v: malformed},
		{in: "\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50", addr: "10.0.0.1", port: 80, n: 10, v: complete},
		{in: "\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50GET", addr: "10.0.0.1", port: 80, n: 10, v: complete},
		{in: "\x05\x01\x00\x04" + v6 + "\x01\xbb", addr: "2001:db8::1", port: 443, n: 22, v: complete},
		{in: "\x05\x01\x00\x04" + v6 + "\x01", v: incomplete},
		{in: "\x05\x01\x00\x03\x01a\x00\x50", name: "a", port: 80, n: 8, v: complete},
		{in: "\x05\x01\x00\x03\xff" + long + "\xff\xff", name: long, port: 65535, n: maxMessage, v: complete},
		{in: "\x05\x01\x00\x03\xff" + long + "\xff", v: incomplete},
		{in: "\x05\x01\x00\x03\x00\x00\x50", v: malformed},
		{in: "\x05\x02\x00\x01\x0a", code: CommandNotSupported, v: complete},
		{in: "\x05\x03\x00\x01\x0a", code: CommandNotSupported, v: complete},
		{in: "\x05\x01\x00\x02\x0a", code: AddressTypeNotSupported, v: complete},
	} {
		d, n, code, v := request([]byte(c.in))
		addr := ""
		if d.addr.IsValid() {
			addr = d.addr.String()
		}
		if addr != c.addr || string(d.name) != c.name || d.port != c.port || n != c.n || code != c.code || v != c.v {
			t.Errorf("%q: %+v, %d bytes, code %v, verdict %d", c.in, d, n, code, v)
		}
	}
}

func TestReply(t *testing.T) {
	for _, c := range []struct {
		code  Code
		bound netip.AddrPort
		want  string
	}{
		{ConnectionRefused, netip.AddrPort{}, "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"},
		{Succeeded, netip.MustParseAddrPort("10.0.0.9:4660"), "\x05\x00\x00\x01\x0a\x00\x00\x09\x12\x34"},
		{Succeeded, netip.MustParseAddrPort("[::ffff:10.0.0.9]:4660"), "\x05\x00\x00\x01\x0a\x00\x00\x09\x12\x34"},
		{Succeeded, netip.MustParseAddrPort("[fd00::9]:4660"), "\x05\x00\x00\x04\xfd" + strings.Repeat("\x00", 14) + "\x09\x12\x34"},
	} {
		if got := appendReply(nil, c.code, c.bound); string(got) != c.want {
			t.Errorf("%v %v: %x", c.code, c.bound, got)
		}
	}
}

// FuzzRequest: a request that is complete says the same however much follows,
// its length is inside the message, and each of its prefixes is incomplete.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50"))
	f.Add([]byte("\x05\x01\x00\x03\x04name\x00\x50tail"))
	f.Add([]byte("\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\xbb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, n, code, v := request(b)
		if v != complete {
			if v == incomplete && len(b) >= maxMessage {
				t.Fatalf("%d bytes are not enough", len(b))
			}
			return
		}
		if code != Succeeded {
			return
		}
		if n > len(b) || n > maxMessage {
			t.Fatalf("length %d of %d", n, len(b))
		}
		again, m, _, _ := request(append(bytes.Clone(b[:n]), "tail"...))
		if m != n || again.addr != d.addr || again.port != d.port || !bytes.Equal(again.name, d.name) {
			t.Fatalf("%+v, then %+v", d, again)
		}
		for i := range n {
			if _, _, _, v := request(b[:i]); v != incomplete {
				t.Fatalf("%d of %d bytes: verdict %d", i, n, v)
			}
		}
	})
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte("\x05\x02\x02\x00rest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, method, v := greeting(b)
		switch v {
		case incomplete:
			if len(b) >= 257 {
				t.Fatalf("%d bytes are not enough", len(b))
			}
		case complete:
			if n > len(b) || method == methodNone != bytes.Contains(b[2:n], []byte{methodNone}) {
				t.Fatalf("%x: %d bytes, method %#x", b, n, method)
			}
		}
	})
}

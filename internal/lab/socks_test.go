package lab

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

func TestSOCKSConnect(t *testing.T) {
	ok4 := []byte{5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80}
	for _, c := range []struct {
		name, target string
		reply        []byte
		request      []byte
		fails        error // nil: it must succeed
	}{
		{"IPv4", "10.1.2.3:80", ok4, []byte{5, 1, 0, 5, 1, 0, 1, 10, 1, 2, 3, 0, 80}, nil},
		{"domain", "ab.c:443", []byte{5, 0, 5, 0, 0, 3, 2, 'x', 'y', 0, 80}, []byte{5, 1, 0, 5, 1, 0, 3, 4, 'a', 'b', '.', 'c', 1, 187}, nil},
		{"IPv6", "[::1]:80", append([]byte{5, 0, 5, 0, 0, 4}, make([]byte, 18)...), append(append([]byte{5, 1, 0, 5, 1, 0, 4}, net.IPv6loopback...), 0, 80), nil},
		{"refused", "10.1.2.3:80", []byte{5, 0, 5, 5, 0, 1}, nil, SOCKSError(5)},
		{"no method", "10.1.2.3:80", []byte{5, 255}, nil, errAny},
		{"cut short", "10.1.2.3:80", ok4[:9], nil, io.ErrUnexpectedEOF},
		{"no such address type", "10.1.2.3:80", []byte{5, 0, 5, 0, 0, 9, 0, 0}, nil, errAny},
		{"no port", "10.1.2.3", nil, nil, errAny},
	} {
		conn := &dialogue{in: bytes.NewReader(append(c.reply, "data"...))}
		if c.fails == io.ErrUnexpectedEOF {
			conn.in = bytes.NewReader(c.reply)
		}
		err := socksConnect(conn, c.target)
		if c.fails == nil && err != nil || c.fails != nil && err == nil || c.fails != nil && c.fails != errAny && !errors.Is(err, c.fails) {
			t.Errorf("%s: %v, want %v", c.name, err, c.fails)
		}
		if c.fails == nil {
			if !bytes.Equal(conn.out.Bytes(), c.request) {
				t.Errorf("%s: sent %x, want %x", c.name, conn.out.Bytes(), c.request)
			}
			if rest, _ := io.ReadAll(conn.in); string(rest) != "data" {
				t.Errorf("%s: left %q of the data behind the reply", c.name, rest)
			}
		}
	}
}

var errAny = errors.New("any")

type dialogue struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (d *dialogue) Read(b []byte) (int, error)  { return d.in.Read(b) }
func (d *dialogue) Write(b []byte) (int, error) { return d.out.Write(b) }

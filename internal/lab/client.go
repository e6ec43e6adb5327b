package lab

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Client is a client on the kernel's TCP or MPTCP, for an [Origin].
type Client struct {
	NS         *NS // nil: that of the calling thread, for loops inside [NS.Do] that dial often
	MPTCP      bool
	Local      netip.Addr     // source of the (first) subflow
	Device     string         // interface of the (first) subflow
	Congestion string         // empty: the namespace's default
	Proxy      netip.AddrPort // SOCKS5, zero: direct
	Timeout    time.Duration  // of Dial, 0: 10 s

	// Progress is called with the bytes so far when Interval has passed since the
	// last call; on a download only after bytes came, so its gaps are stalls.
	Progress func(at time.Time, bytes int64)
	Interval time.Duration

	// NoSum leaves SHA-256 away and compares byte by byte only.
	NoSum bool
}

// Transfer is what a download or an upload came to. Every byte was right if
// there was no error.
type Transfer struct {
	Bytes int64
	Sum   [sha256.Size]byte // of what the receiver got, unless Client.NoSum

	Begin, First, End time.Time // request sent; first byte; last byte (upload: answer)

	// Stall is the longest time without a byte between Begin and End, StallAt
	// when it began. On an upload it is the writer who waits.
	Stall   time.Duration
	StallAt time.Time
}

// Mbps is the goodput in Mbit/s from the request to the end.
func (t Transfer) Mbps() float64 {
	return float64(t.Bytes) * 8 / 1e6 / t.End.Sub(t.Begin).Seconds()
}

func (t *Transfer) tick(now time.Time) {
	if gap := now.Sub(t.End); gap > t.Stall {
		t.Stall, t.StallAt = gap, t.End
	}
	t.End = now
}

// Limit ends a transfer: after Bytes, or after Time, whichever comes first;
// zero is no limit.
type Limit struct {
	Bytes int64
	Time  time.Duration
}

// noLimit is more than any test moves.
const noLimit = 1 << 50

func (l Limit) bytes() int64 {
	if l.Bytes == 0 {
		return noLimit
	}
	return l.Bytes
}

// ErrDiffers: the bytes that arrived are not those that were sent.
var ErrDiffers = errors.New("the bytes that arrived are not those that were sent")

// Dial connects to an origin: address and port, or with a Proxy also a domain
// name and port.
func (c *Client) Dial(ctx context.Context, target string) (*net.TCPConn, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	first := target
	if c.Proxy.IsValid() {
		first = c.Proxy.String()
	}
	conn, err := c.connect(ctx, first)
	if err != nil || !c.Proxy.IsValid() {
		return conn, err
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if err := socksConnect(conn, target); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

func (c *Client) connect(ctx context.Context, target string) (*net.TCPConn, error) {
	d := net.Dialer{Control: control(c.Congestion, c.Device)}
	d.SetMultipathTCP(c.MPTCP)
	if c.Local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Local, 0))
	}
	if _, err := netip.ParseAddrPort(target); err != nil {
		return nil, fmt.Errorf("without a proxy the target must be an address and port: %w", err)
	}
	var conn net.Conn
	dial := func() (err error) {
		conn, err = d.DialContext(ctx, "tcp", target)
		return err
	}
	var err error
	if c.NS != nil {
		err = c.NS.Do(dial)
	} else {
		err = dial()
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// Download gets the pattern seed from the origin at target and checks it. If
// it ends by l.Time, what came until then counts. Without a limit of Bytes the
// origin is cut off in mid-stream.
func (c *Client) Download(ctx context.Context, target string, l Limit, seed uint64) (t Transfer, err error) {
	conn, err := c.Dial(ctx, target)
	if err != nil {
		return t, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintf(conn, "GET %d %d\n", l.bytes(), seed); err != nil {
		return t, err
	}
	return c.download(conn, l, seed)
}

func (c *Client) download(conn *net.TCPConn, l Limit, seed uint64) (t Transfer, err error) {
	s := newSink(seed, !c.NoSum)
	defer s.free()
	t.Begin = time.Now()
	t.End = t.Begin
	report := t.Begin
	for s.n < l.bytes() && (l.Time == 0 || t.End.Sub(t.Begin) < l.Time) {
		if l.Time != 0 {
			conn.SetReadDeadline(t.Begin.Add(l.Time))
		}
		n, err := s.read(conn)
		now := time.Now()
		if n > 0 && s.n == int64(n) {
			t.First = now
		}
		if n > 0 || err != nil {
			t.tick(now)
		}
		if c.Progress != nil && n > 0 && now.Sub(report) >= c.Interval {
			c.Progress(now, s.n)
			report = now
		}
		if err != nil {
			if l.Time != 0 && now.Sub(t.Begin) >= l.Time {
				break // its time is over
			}
			t.Bytes = s.n
			return t, fmt.Errorf("after %d bytes: %w", s.n, noEOF(err))
		}
	}
	t.Bytes, t.Sum = s.n, s.sum()
	if err := c.verify(s.n, s.diff, t.Sum, seed); err != nil {
		return t, err
	}
	if s.n < l.bytes() {
		return t, nil
	}
	// The end must come through as well, in both directions.
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := conn.CloseWrite(); err != nil {
		return t, err
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return t, fmt.Errorf("after the last byte: %d more, %v; want the end", n, err)
	}
	return t, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *Client) verify(n, diff int64, sum [sha256.Size]byte, seed uint64) error {
	if diff >= 0 {
		return fmt.Errorf("%w: byte %d of %d is the first", ErrDiffers, diff, n)
	}
	if !c.NoSum && sum != patternSum(seed, n) {
		return fmt.Errorf("%w: SHA-256 of %d bytes", ErrDiffers, n)
	}
	return nil
}

// Upload puts the pattern seed to the origin at target, half-closes, and checks
// the origin's answer. Transfer.First is when the last byte was handed to the
// kernel.
func (c *Client) Upload(ctx context.Context, target string, l Limit, seed uint64) (t Transfer, err error) {
	conn, err := c.Dial(ctx, target)
	if err != nil {
		return t, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintf(conn, "PUT %d\n", seed); err != nil {
		return t, err
	}
	if err := c.upload(conn, l, seed, &t); err != nil {
		return t, fmt.Errorf("after %d bytes: %w", t.Bytes, err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return t, fmt.Errorf("the answer to %d bytes: %w", t.Bytes, noEOF(err))
	}
	t.End = time.Now()
	var n, diff int64
	var sum []byte
	if _, err := fmt.Sscanf(line, "%d %x %d\n", &n, &sum, &diff); err != nil || len(sum) != len(t.Sum) {
		return t, fmt.Errorf("the answer was %q", line)
	}
	t.Sum = [sha256.Size]byte(sum)
	if n != t.Bytes {
		return t, fmt.Errorf("%w: %d bytes of %d", ErrDiffers, n, t.Bytes)
	}
	return t, c.verify(n, diff, t.Sum, seed)
}

func (c *Client) upload(conn *net.TCPConn, l Limit, seed uint64, t *Transfer) error {
	p := newPattern(seed)
	t.Begin = time.Now()
	t.End = t.Begin
	report := t.Begin
	for t.Bytes < l.bytes() && (l.Time == 0 || t.End.Sub(t.Begin) < l.Time) {
		n, err := conn.Write(p.next(int(min(l.bytes()-t.Bytes, 64<<10))))
		t.Bytes += int64(n)
		t.tick(time.Now())
		if err != nil {
			return err
		}
		if c.Progress != nil && t.End.Sub(report) >= c.Interval {
			c.Progress(t.End, t.Bytes)
			report = t.End
		}
	}
	t.First = t.End
	return conn.CloseWrite()
}

package script

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// result is what a system call returned: n, or -1 and errno.
type result struct {
	n     int64
	errno string
	text  string // beyond a number: what getsockopt or poll filled in, if it differs
}

func ok(n int64) (result, bool)          { return result{n: n}, true }
func failed(errno string) (result, bool) { return result{n: -1, errno: errno}, true }

var blocked = result{}

// attempt tries a call that was begun; false: it would block still.
type attempt func() (result, bool)

// once makes an attempt of a result that is known.
func once(r result, _ bool) attempt { return func() (result, bool) { return r, true } }

// begin begins a call. What it cannot understand is an error.
func (r *runner) begin(c *Call) (attempt, error) {
	switch c.Name {
	case "socket":
		return r.sysSocket(c)
	case "poll":
		return r.sysPoll(c)
	}
	f, known := syscalls[c.Name]
	if !known {
		return nil, needs("the system call %s", c.Name)
	}
	if len(c.Args) == 0 || c.Args[0].Kind != vNumber {
		return nil, fmt.Errorf("%s wants a file descriptor", c.Name)
	}
	k := r.socket(c.Args[0].N)
	if k == nil {
		return once(failed("EBADF")), nil
	}
	return f(r, k, c)
}

func (r *runner) socket(fd int64) *socket { return r.socks.at(fd) }

var syscalls map[string]func(*runner, *socket, *Call) (attempt, error)

func init() {
	syscalls = map[string]func(*runner, *socket, *Call) (attempt, error){
		"bind": (*runner).sysBind, "listen": (*runner).sysListen, "accept": (*runner).sysAccept, "accept4": (*runner).sysAccept,
		"connect": (*runner).sysConnect, "read": (*runner).sysRead, "recv": (*runner).sysRead, "recvfrom": (*runner).sysRead,
		"write": (*runner).sysWrite, "send": (*runner).sysWrite, "sendto": (*runner).sysWrite,
		"readv": (*runner).sysRead, "writev": (*runner).sysWrite, "recvmsg": (*runner).sysRead, "sendmsg": (*runner).sysWrite,
		"shutdown": (*runner).sysShutdown, "close": (*runner).sysClose,
		"setsockopt": (*runner).sysSetsockopt, "getsockopt": (*runner).sysGetsockopt, "fcntl": (*runner).sysFcntl,
		"ioctl": (*runner).sysIoctl,
	}
}

func (r *runner) sysSocket(c *Call) (attempt, error) {
	s := &socket{}
	for _, a := range c.Args {
		if a.Kind == vWord {
			s.mptcp = s.mptcp || a.hasWord("IPPROTO_MPTCP")
			s.nonblock = s.nonblock || a.hasWord("SOCK_NONBLOCK")
			if a.hasWord("SOCK_DGRAM") {
				return nil, needs("UDP: only SOCK_STREAM is understood")
			}
		}
	}
	r.conf.MPTCP.Enabled = r.conf.MPTCP.Enabled || s.mptcp
	return once(ok(int64(r.socks.open(s)))), nil
}

// port is the port in a sockaddr, or ours by default.
func sockaddrPort(v Value, def uint16) uint16 {
	for _, name := range []string{"sin_port", "sin6_port"} {
		if p, ok := v.field(name); ok {
			if p.Kind == vFunc && len(p.Items) == 1 {
				p = p.Items[0]
			}
			return uint16(p.N)
		}
	}
	return def
}

func (c *Call) arg(i int) Value {
	if i < len(c.Args) {
		return c.Args[i]
	}
	return Value{}
}

func (r *runner) sysBind(k *socket, c *Call) (attempt, error) {
	k.local = netip.AddrPortFrom(r.net.local, sockaddrPort(c.arg(1), r.net.port))
	return once(ok(0)), nil
}

func (r *runner) sysListen(k *socket, c *Call) (attempt, error) {
	if err := r.start(); err != nil {
		return nil, err
	}
	if k.local.Port() == 0 {
		k.local = netip.AddrPortFrom(r.net.local, r.net.port)
	}
	if err := r.shard.Listen(k.local.Port()); err != nil {
		return once(failed("EADDRINUSE")), nil
	}
	k.listens, k.backlog = true, int(max(c.arg(1).N, 1))
	return once(ok(0)), nil
}

func (r *runner) sysAccept(k *socket, c *Call) (attempt, error) {
	if !k.listens {
		return once(failed("EINVAL")), nil
	}
	return func() (result, bool) {
		if len(k.pending) == 0 {
			return k.wouldBlock(Value{})
		}
		s := &socket{mptcp: k.mptcp, conn: k.pending[0], opened: true, connected: true}
		k.pending = k.pending[1:]
		for _, a := range c.Args[1:] {
			s.nonblock = s.nonblock || a.hasWord("SOCK_NONBLOCK")
		}
		s.local, _ = r.shard.Peer(s.conn)
		_, s.finished, s.reason = r.shard.Status(s.conn)
		return ok(int64(r.socks.open(s)))
	}, nil
}

// wouldBlock is EAGAIN on a socket, or for a call, that does not block.
func (k *socket) wouldBlock(flags Value) (result, bool) {
	if k.nonblock || flags.hasWord("MSG_DONTWAIT") {
		return failed("EAGAIN")
	}
	return blocked, false
}

func (r *runner) sysConnect(k *socket, c *Call) (attempt, error) {
	switch {
	case k.opened && k.finished:
		return once(failed(k.tell())), nil
	case k.opened && k.connected:
		return once(failed("EISCONN")), nil
	case k.opened:
		return once(failed("EALREADY")), nil
	}
	if err := r.start(); err != nil {
		return nil, err
	}
	to := netip.AddrPortFrom(r.net.remote, sockaddrPort(c.arg(1), r.net.port))
	dial := r.shard.Dial
	if k.mptcp {
		dial = r.shard.DialMPTCP
	}
	conn, err := dial(to, 0)
	if err != nil {
		return once(failed("ENETUNREACH")), nil
	}
	k.conn, k.opened = conn, true
	return func() (result, bool) {
		switch {
		case k.finished && k.reason != tcp.NoError:
			return failed(k.tell())
		case k.connected:
			return ok(0)
		case k.nonblock:
			return failed("EINPROGRESS")
		}
		return blocked, false
	}, nil
}

// tell returns the error of the connection; the first time only, as SO_ERROR
// does.
func (k *socket) tell() string {
	if k.told {
		return ""
	}
	k.told = true
	return errnoOf(k.reason)
}

func (r *runner) sysRead(k *socket, c *Call) (attempt, error) {
	want, flags, err := c.transfer("MSG_DONTWAIT", "MSG_NOSIGNAL")
	if err != nil {
		return nil, err
	}
	if !k.opened {
		return once(failed("ENOTCONN")), nil
	}
	var b []byte
	return func() (result, bool) {
		n, eof := r.readable(k)
		if n == 0 && len(b) == 0 {
			switch {
			case k.finished && k.reason != tcp.NoError:
				if e := k.tell(); e != "" {
					return failed(e)
				}
				return ok(0)
			case eof, k.finished, k.deaf, want == 0:
				return ok(0)
			}
			return k.wouldBlock(flags)
		}
		// What is there now is read, though the host may hand it out in
		// several visits.
		more := make([]byte, min(int(want)-len(b), n))
		m := r.take(k, more)
		b = append(b, more[:m]...)
		if m < len(more) {
			return blocked, false
		}
		if i := differs(b, k.read); i >= 0 {
			return result{text: fmt.Sprintf("wrong data: byte %d of the stream is not what was sent", k.read+uint64(i))}, true
		}
		k.read += uint64(len(b))
		return ok(int64(len(b)))
	}, nil
}

// maxTransfer bounds one read or write.
const maxTransfer = 64 << 20

func (r *runner) sysWrite(k *socket, c *Call) (attempt, error) {
	want, flags, err := c.transfer("MSG_DONTWAIT", "MSG_NOSIGNAL", "MSG_MORE", "MSG_EOR")
	if err != nil {
		return nil, err
	}
	if !k.opened {
		return once(failed("EPIPE")), nil
	}
	dontWait := k.nonblock || flags.hasWord("MSG_DONTWAIT")
	var done int64
	return func() (result, bool) {
		if k.finished || k.shut {
			if e := k.tell(); e != "" && k.reason != tcp.NoError {
				return failed(e)
			}
			return failed("EPIPE")
		}
		for done < want {
			b := fill(make([]byte, min(want-done, r.chunk(k))), k.wrote)
			n := r.shard.Write(k.conn, b)
			k.wrote += uint64(n)
			done += int64(n)
			if n < len(b) {
				break
			}
		}
		if done == want || done > 0 && dontWait {
			return ok(done)
		}
		return k.wouldBlock(flags)
	}, nil
}

// transfer is how much a call of the read and write families moves, and its
// flags, of which these are understood.
func (c *Call) transfer(understood ...string) (n int64, flags Value, err error) {
	count := c.arg(2)
	switch c.Name {
	case "readv", "writev":
		count = total(c.arg(1))
	case "recvmsg", "sendmsg":
		iov, _ := c.arg(1).field("msg_iov")
		count, flags = total(iov), c.arg(2)
	case "send", "sendto", "recv", "recvfrom":
		flags = c.arg(3)
	}
	if count.Kind != vNumber || count.N < 0 || count.N > maxTransfer {
		return 0, flags, fmt.Errorf("%s wants a length of at most %d", c.Name, maxTransfer)
	}
	if flags.Kind == vWord {
		for _, w := range strings.Split(flags.Text, "|") {
			if !slices.Contains(understood, w) {
				return 0, flags, needs("%s with %s", c.Name, w)
			}
		}
	}
	return count.N, flags, nil
}

// total is the length of an iovec: [{..., 1000}, {..., 500}].
func total(iov Value) (sum Value) {
	if iov.Kind != vList {
		return Value{}
	}
	sum.Kind = vNumber
	for _, v := range iov.Items {
		if v.Kind != vStruct || len(v.Items) != 2 || v.Items[1].Kind != vNumber || v.Items[1].N > maxTransfer {
			return Value{}
		}
		sum.N += v.Items[1].N
	}
	return sum
}

// chunk is how much one Write takes: whole segments that fit a frame, since
// the stack sends no segment across the end of a large span.
func (r *runner) chunk(k *socket) int64 {
	room := int64(r.pool.FrameSize() - frame.Headroom)
	mss := int64(1)
	r.shard.EachFlow(k.conn, func(s tcp.Status) { mss = max(int64(s.MSS), 1) })
	return max(room/mss, 1) * mss
}

func (r *runner) sysShutdown(k *socket, c *Call) (attempt, error) {
	if !k.opened || k.finished {
		return once(failed("ENOTCONN")), nil
	}
	how := c.arg(1)
	if how.hasWord("SHUT_RD") || how.hasWord("SHUT_RDWR") || how.Kind == vNumber && how.N != 1 {
		k.deaf = true
	}
	if how.hasWord("SHUT_WR") || how.hasWord("SHUT_RDWR") || how.Kind == vNumber && how.N >= 1 {
		k.shut = true
		r.shard.Shut(k.conn)
	}
	return once(ok(0)), nil
}

func (r *runner) sysClose(k *socket, c *Call) (attempt, error) {
	r.socks.close(c.Args[0].N)
	if !k.opened {
		for _, p := range k.pending { // never accepted
			r.shard.Abort(p)
			r.shard.Close(p)
		}
		return once(ok(0)), nil
	}
	r.drop(k)
	if k.linger0 {
		r.shard.Abort(k.conn)
	}
	r.shard.Close(k.conn)
	k.conn = mptcp.Conn(0)
	return once(ok(0)), nil
}

func (r *runner) sysFcntl(k *socket, c *Call) (attempt, error) {
	switch cmd := c.arg(1); {
	case cmd.hasWord("F_GETFL"):
		return once(ok(2 | truth(k.nonblock)<<11)), nil // O_RDWR, O_NONBLOCK
	case cmd.hasWord("F_SETFL"):
		k.nonblock = c.arg(2).hasWord("O_NONBLOCK")
		return once(ok(0)), nil
	}
	return nil, needs("fcntl(%v): only F_GETFL and F_SETFL are understood", c.arg(1))
}

func (r *runner) sysIoctl(k *socket, c *Call) (attempt, error) {
	if !k.opened {
		return once(failed("EINVAL")), nil
	}
	var n int64
	switch req := c.arg(1); {
	case req.hasWord("SIOCINQ"), req.hasWord("FIONREAD"):
		in, _ := r.readable(k)
		n = int64(in)
	case req.hasWord("SIOCOUTQ"):
		st := r.status(k)
		n = int64(st.Unacked) + int64(st.Unsent)
	case req.hasWord("SIOCOUTQNSD"):
		n = int64(r.status(k).Unsent)
	default:
		return nil, needs("ioctl(%v)", req)
	}
	return once(expectList(c.arg(2), n)), nil
}

// expectList succeeds if v is [n] or says nothing.
func expectList(v Value, n int64) (result, bool) {
	if v.Kind == vList && len(v.Items) == 1 {
		v = v.Items[0]
	}
	if v.Kind == vNumber && v.N != n {
		return result{text: fmt.Sprintf("the value is %d", n)}, true
	}
	return ok(0)
}

// Poll events.
var pollBits = []string{"POLLIN", "POLLOUT", "POLLERR", "POLLHUP", "POLLRDHUP"}

func (r *runner) sysPoll(c *Call) (attempt, error) {
	fds := c.arg(0)
	if fds.Kind != vList {
		return nil, fmt.Errorf("poll wants [{fd=N, events=..., revents=...}]")
	}
	timeout := c.arg(2)
	return func() (result, bool) {
		n := int64(0)
		for _, p := range fds.Items {
			fd, _ := p.field("fd")
			events, _ := p.field("events")
			want, given := p.field("revents")
			got := ""
			if k := r.socket(fd.N); k != nil {
				got = r.polled(k, events)
			}
			if got != "" {
				n++
			}
			if given && want.Kind != vAny && !sameWords(want, got) {
				return result{text: fmt.Sprintf("revents of %d is %q", fd.N, got)}, timeout.N == 0 || got != ""
			}
		}
		return result{n: n}, n > 0 || timeout.N == 0
	}, nil
}

func sameWords(v Value, got string) bool {
	for _, w := range pollBits {
		if v.hasWord(w) != (Value{Kind: vWord, Text: got}).hasWord(w) {
			return false
		}
	}
	return true
}

func (r *runner) polled(k *socket, events Value) (got string) {
	set := map[string]bool{"POLLIN": len(k.pending) > 0}
	if k.opened {
		n, eof := r.readable(k)
		set["POLLIN"] = n > 0 || eof || k.finished
		set["POLLOUT"] = k.connected && r.shard.Room(k.conn) > 0 || k.finished
		set["POLLERR"] = k.finished && k.reason != tcp.NoError && !k.told
		set["POLLHUP"] = k.finished
		set["POLLRDHUP"] = eof || k.finished
	}
	for _, w := range pollBits {
		if set[w] && (events.hasWord(w) || w == "POLLERR" || w == "POLLHUP") {
			if got != "" {
				got += "|"
			}
			got += w
		}
	}
	return got
}

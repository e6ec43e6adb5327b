package script

import (
	"net/netip"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// host is the host under test: one shard with one NIC, and its application,
// which is the script's system calls.
type host struct {
	shard *stack.Shard
	pool  *frame.Pool
	port  port
	socks *sockets
}

// The pool is larger than any script needs.
const (
	poolFrames = 4096
	frameShift = 12
)

func newHost(conf stack.Config, mtu int, socks *sockets) (*host, error) {
	h := &host{pool: frame.New(make([]byte, poolFrames<<frameShift), frameShift), socks: socks}
	h.port.pool = h.pool
	link := stack.Link{Name: "script0", MAC: ourMAC, MTU: mtu, Ports: []stack.Port{&h.port}}
	var err error
	h.shard, err = stack.New(conf, h.pool, []stack.Link{link}, h)
	return h, err
}

// socket is what a file descriptor stands for.
type socket struct {
	mptcp    bool
	local    netip.AddrPort // bind
	listens  bool
	backlog  int
	pending  []mptcp.Conn // of a listener: to be accepted
	nonblock bool
	linger0  bool // SO_LINGER with a time of 0

	conn      mptcp.Conn
	opened    bool // conn is or was valid
	connected bool
	finished  bool
	shut      bool
	deaf      bool // shutdown(SHUT_RD): what is not there reads as the end
	reason    tcp.Reason
	told      bool // the error was returned once
	wrote     uint64
	read      uint64
	rest      []byte // taken from conn and not read yet
	restFrame uint32
	holds     bool
}

// sockets are the open ones by file descriptor; nil where none is.
type sockets []*socket

// firstFD is the first descriptor a script gets: 0 to 2 are open before.
const firstFD = 3

// open gives a socket the lowest free descriptor.
func (t *sockets) open(k *socket) int {
	for i, o := range *t {
		if o == nil {
			(*t)[i] = k
			return firstFD + i
		}
	}
	*t = append(*t, k)
	return firstFD + len(*t) - 1
}

func (t *sockets) close(fd int64) { (*t)[fd-firstFD] = nil }

func (t *sockets) at(fd int64) *socket {
	if fd < firstFD || fd-firstFD >= int64(len(*t)) {
		return nil
	}
	return (*t)[fd-firstFD]
}

// Accept queues a connection for the listener of its port.
func (h *host) Accept(s *stack.Shard, c mptcp.Conn) bool {
	local, _ := s.Peer(c)
	for _, l := range *h.socks {
		if l != nil && l.listens && l.local.Port() == local.Port() && len(l.pending) <= l.backlog {
			l.pending = append(l.pending, c)
			return true
		}
	}
	return false
}

// Ready notes what became of a connection.
func (h *host) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	k := h.find(c)
	if k == nil {
		return
	}
	if ev&tcp.Connected != 0 {
		k.connected = true
	}
	if _, done, err := s.Status(c); done || ev&tcp.Finished != 0 {
		k.finished, k.reason = true, err
	}
}

func (h *host) find(c mptcp.Conn) *socket {
	for _, k := range *h.socks {
		if k != nil && k.opened && k.conn == c {
			return k
		}
	}
	return nil
}

// readable is how many bytes a read would yield, and whether the stream ends
// behind them.
func (h *host) readable(k *socket) (n int, eof bool) {
	eof, _, _ = h.shard.Status(k.conn)
	return len(k.rest) + h.shard.Readable(k.conn), eof
}

// take reads up to len(b) bytes. It takes no more frames than it must: a
// byte that was not read keeps the window closed.
func (h *host) take(k *socket, b []byte) (n int) {
	for n < len(b) {
		if len(k.rest) == 0 {
			h.drop(k)
			d, ok := h.shard.Recv(k.conn)
			if !ok {
				break
			}
			k.rest, k.restFrame, k.holds = h.pool.Bytes(d), d.Frame, true
		}
		m := copy(b[n:], k.rest)
		k.rest = k.rest[m:]
		n += m
	}
	if len(k.rest) == 0 {
		h.drop(k)
	}
	return n
}

func (h *host) drop(k *socket) {
	if k.holds {
		h.pool.Release(k.restFrame)
		k.holds, k.rest = false, nil
	}
}

//go:build linux

package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
)

const (
	// defaultRing rides out a pause of the garbage collector: 200 us are 200
	// packets at 1 Mpps, ten times that is ample.
	defaultRing = 2048
	// minRing is more than the longest chain, so a packet always fits.
	minRing = 64
	maxRing = 1 << 16

	// drainTime bounds what Close waits for packets still in a TX ring.
	drainTime = 10 * time.Millisecond
)

// Config says what a group shall have.
type Config struct {
	Interfaces []string     // every queue of each gets a socket
	Addresses  []netip.Addr // whose ARP, NDP, ICMP and TCP we take
	Mode       Mode
	RingSize   int // entries of each ring, a power of two; 0 is 2048
}

// Group is what one shard has of the network. Methods other than Wake,
// AddAddress and RemoveAddress belong to the shard's goroutine.
type Group struct {
	umem      *Umem
	pool      *frame.Pool
	ringSize  uint32
	fillMax   uint32
	nics      []*nic
	sockets   []*Socket
	owner     []uint16
	addresses *addresses
	granted   Granted

	waker   waker
	poll    []unix.PollFd // the eventfd, then the sockets
	limit   unix.Timespec
	precise bool
	pace    pace
}

// Open attaches to the interfaces and opens their sockets. pool is cut from
// the whole of u in frames of 4 KiB; both must outlive the group. A group that
// is refused anything leaves nothing behind.
func Open(c Config, u *Umem, pool *frame.Pool) (*Group, error) {
	g := &Group{umem: u, pool: pool, waker: waker{fd: -1}}
	if err := g.open(c); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Group) open(c Config) (err error) {
	if err = g.check(&c); err != nil {
		return err
	}
	if g.addresses, err = newAddresses(); err != nil {
		return err
	}
	for _, a := range c.Addresses {
		if err = g.addresses.add(a); err != nil {
			return err
		}
	}
	if err = g.attach(c); err != nil {
		return err
	}
	if err = g.share(); err != nil {
		return err
	}
	if err = g.bind(c.Mode); err != nil {
		return err
	}
	if err = g.waker.open(); err != nil {
		return fmt.Errorf("xdp: eventfd: %w", err)
	}
	g.poll = append(g.poll, unix.PollFd{Fd: int32(g.waker.fd), Events: unix.POLLIN})
	for _, s := range g.sockets {
		if err = s.nic.direct(s); err != nil {
			return err
		}
		g.poll = append(g.poll, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
	}
	return nil
}

func (g *Group) check(c *Config) error {
	if len(c.Interfaces) == 0 {
		return errors.New("xdp: no interface given")
	}
	if c.RingSize == 0 {
		c.RingSize = defaultRing
	}
	if c.RingSize < minRing || c.RingSize > maxRing || c.RingSize&(c.RingSize-1) != 0 {
		return fmt.Errorf("xdp: a ring of %d entries: must be a power of two from %d to %d", c.RingSize, minRing, maxRing)
	}
	g.ringSize = uint32(c.RingSize)
	mem := g.umem.mem
	if len(mem) == 0 || g.pool.FrameSize() != chunkSize || g.pool.Frames() != len(mem)>>chunkShift || &g.pool.Frame(0)[0] != &mem[0] {
		return errors.New("xdp: the pool is not the whole UMEM in frames of 4 KiB")
	}
	return nil
}

// attach puts a program on every interface.
func (g *Group) attach(c Config) error {
	for i, name := range c.Interfaces {
		if slices.Contains(c.Interfaces[:i], name) {
			return fmt.Errorf("xdp: interface %q is given twice", name)
		}
		n, err := findNIC(name)
		if err != nil {
			return err
		}
		g.nics = append(g.nics, n)
		if err := n.load(g.addresses); err != nil {
			return err
		}
		if err := n.attach(c.Mode); err != nil {
			return err
		}
	}
	return nil
}

// share divides the frames: no more than half of them stand in fill rings, the
// rest is for what was received and for what is sent.
func (g *Group) share() error {
	queues := 0
	for _, n := range g.nics {
		queues += n.queues
	}
	g.owner = make([]uint16, g.pool.Frames())
	g.fillMax = min(g.ringSize, uint32(g.pool.Frames()/2/queues))
	if g.fillMax < minRing {
		return fmt.Errorf("xdp: %d frames are too few for %d queues: %d for each at least", g.pool.Frames(), queues, 2*minRing)
	}
	return nil
}

// bind opens the sockets in the best way the mode allows. Sockets that share
// a UMEM share the copy mode of the first: one interface without zero copy
// means copies on all.
func (g *Group) bind(m Mode) error {
	var err error
	for _, flags := range g.ways(m) {
		g.granted = Granted{Native: true, ZeroCopy: true}
		if err = g.bindAll(flags | unix.XDP_USE_NEED_WAKEUP); err == nil {
			return nil
		}
		for _, s := range g.sockets {
			err = errors.Join(err, s.close())
		}
		g.sockets = nil
	}
	return err
}

// ways are the bind flags to try, best first.
func (g *Group) ways(m Mode) []uint16 {
	native, frags, small := true, true, true
	for _, n := range g.nics {
		native = native && n.native
		frags = frags && n.frags
		small = small && n.MTU <= maxUnfragmented
	}
	var ways []uint16
	// Zero copy is tried under native programs only: some drivers bind it
	// under generic ones too, and then nothing is won.
	if native && (m == Auto || m == ZeroCopy) {
		if frags {
			ways = append(ways, unix.XDP_ZEROCOPY|unix.XDP_USE_SG)
		}
		if small { // many drivers have zero copy for single pieces only
			ways = append(ways, unix.XDP_ZEROCOPY)
		}
	}
	if m != ZeroCopy {
		if frags {
			ways = append(ways, unix.XDP_COPY|unix.XDP_USE_SG)
		}
		if !frags || small { // XDP_USE_SG is from Linux 6.6
			ways = append(ways, unix.XDP_COPY)
		}
	}
	return ways
}

func (g *Group) bindAll(flags uint16) error {
	for _, n := range g.nics {
		for q := range n.queues {
			s, err := openSocket(n, q, g)
			if err != nil {
				return err
			}
			g.sockets = append(g.sockets, s)
			if err := s.bind(flags, g.sockets[0]); err != nil {
				return err
			}
			g.granted = weakest(g.granted, s.granted)
		}
	}
	return nil
}

// Sockets are the sockets of the group, by interface and queue. The slice is
// the group's.
func (g *Group) Sockets() []*Socket { return g.sockets }

// Mode is what all interfaces were granted: the weakest of them.
func (g *Group) Mode() Granted { return g.granted }

// AddAddress and RemoveAddress change the destinations that are redirected to
// us, on all interfaces. Any goroutine may call them.
func (g *Group) AddAddress(a netip.Addr) error    { return g.addresses.add(a) }
func (g *Group) RemoveAddress(a netip.Addr) error { return g.addresses.remove(a) }

// Close stops the redirection, gives the packets in the TX rings a moment to
// leave, closes the sockets and takes their frames back. Frames that were
// received stay with whoever holds them. The UMEM may be closed or used again
// after it; Sockets may not be used any more.
func (g *Group) Close() error {
	var errs []error
	for _, n := range g.nics {
		errs = append(errs, n.detach())
	}
	g.drain()
	for _, s := range g.sockets {
		errs = append(errs, s.close())
	}
	if g.addresses != nil {
		errs = append(errs, g.addresses.close())
	}
	if g.waker.fd >= 0 {
		errs = append(errs, g.waker.close())
	}
	g.nics, g.sockets, g.addresses = nil, nil, nil
	return errors.Join(errs...)
}

func (g *Group) drain() {
	for end := time.Now().Add(drainTime); ; time.Sleep(drainTime / 10) {
		waiting := false
		for _, s := range g.sockets {
			s.Flush()
			waiting = waiting || s.sending > 0
		}
		if !waiting || time.Now().After(end) {
			return
		}
	}
}

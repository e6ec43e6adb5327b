package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// Resolver turns names into addresses off the shard.
type Resolver interface {
	// Lookup begins to resolve name and returns at once. done is called once,
	// on any goroutine. False: too much is under way, and done is not called.
	Lookup(name string, done func([]netip.Addr, error)) bool
}

// ResolverConfig bounds a resolver. Zero values mean the default in brackets.
type ResolverConfig struct {
	Server  netip.AddrPort // the DNS server; not valid: the host's own [the host's]
	Timeout time.Duration  // for one name [5 s]
	Workers int            // names resolved at once [32]
	Queue   int            // names that wait for a worker [1,024]
}

// HostResolver resolves with the resolver of the host the process runs on, over
// the kernel's sockets. The bounds make a flood of names cost a flood of
// refusals, not of goroutines.
type HostResolver struct {
	resolve func(context.Context, string) ([]netip.Addr, error)
	timeout time.Duration
	queue   chan lookup
	stop    context.CancelFunc
}

type lookup struct {
	name  string
	asked time.Time
	done  func([]netip.Addr, error)
}

// errTooLate is the answer to a name that waited in the queue for so long that
// nobody can wait for its answer any more.
var errTooLate = errors.New("proxy: the resolver is overloaded")

// NewHostResolver starts the workers; Close stops them.
func NewHostResolver(c ResolverConfig) *HostResolver {
	// Only Go's own resolver can be stopped in the middle.
	r := &net.Resolver{PreferGo: true}
	if c.Server.IsValid() {
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.Server.String())
		}
	}
	return newHostResolver(c, func(ctx context.Context, name string) ([]netip.Addr, error) {
		return r.LookupNetIP(ctx, "ip", name)
	})
}

func newHostResolver(c ResolverConfig, resolve func(context.Context, string) ([]netip.Addr, error)) *HostResolver {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	if c.Queue == 0 {
		c.Queue = 1024
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &HostResolver{resolve: resolve, timeout: c.Timeout, queue: make(chan lookup, c.Queue), stop: stop}
	for range c.Workers {
		go r.work(ctx)
	}
	return r
}

func (r *HostResolver) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-r.queue:
			l.done(r.answer(ctx, l))
		}
	}
}

func (r *HostResolver) answer(ctx context.Context, l lookup) ([]netip.Addr, error) {
	if time.Since(l.asked) > r.timeout {
		return nil, errTooLate
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.resolve(ctx, l.name)
}

// Lookup: see [Resolver].
func (r *HostResolver) Lookup(name string, done func([]netip.Addr, error)) bool {
	select {
	case r.queue <- lookup{name, time.Now(), done}:
		return true
	default:
		return false
	}
}

// Close ends the workers and what they are doing. Names that wait are never
// answered.
func (r *HostResolver) Close() { r.stop() }

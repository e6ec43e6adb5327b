//go:build linux

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mpxd/mpxd/internal/lab"
)

// kernelHost is the kernel of a namespace, spoken to by sockets and netlink.
type kernelHost struct {
	ns    *lab.NS
	side  Side
	mptcp bool
	v6    bool // the first subflow
	l     net.Listener
}

func newKernelHost(c *Cell, w *world, s Side, h *Host) *kernelHost {
	return &kernelHost{ns: w.space[s], side: s, mptcp: !h.TCPOnly, v6: c.V6}
}

func (k *kernelHost) listen() error {
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(k.mptcp)
	return k.ns.Do(func() (err error) {
		k.l, err = lc.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
		return err
	})
}

func (k *kernelHost) accept(ctx context.Context) (conn, error) {
	defer context.AfterFunc(ctx, func() { k.l.Close() })()
	c, err := k.l.Accept()
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	return c.(*net.TCPConn), nil
}

func (k *kernelHost) dial(ctx context.Context, to netip.AddrPort) (conn, error) {
	// The source is said, since several addresses are on the link.
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr(k.side, 0, to.Addr().Is6()), 0))}
	d.SetMultipathTCP(k.mptcp)
	var c net.Conn
	err := k.ns.Do(func() (err error) {
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// endpoint in the kernel's terms. The address says which link it is on; the
// kernel binds nothing to it, the source rules do.
func (k *kernelHost) endpoint(e Endpoint) lab.Endpoint {
	return lab.Endpoint{Addr: addr(k.side, e.Addr, e.V6), Port: e.Port, ID: e.id(), Flags: e.Flags}
}

func (k *kernelHost) add(e Endpoint) error    { return k.ns.AddEndpoint(k.endpoint(e)) }
func (k *kernelHost) change(e Endpoint) error { return k.ns.ChangeEndpoint(k.endpoint(e)) }

// remove takes an endpoint away by its id, or the address of the first subflow,
// which has id 0 whether it is an endpoint or not.
func (k *kernelHost) remove(id uint8) error {
	if id == 0 {
		return k.ns.DelEndpoint(lab.Endpoint{Addr: addr(k.side, 0, k.v6)})
	}
	list, err := k.ns.Endpoints()
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.ID == id {
			return k.ns.DelEndpoint(e)
		}
	}
	return fmt.Errorf("the %v has no endpoint %d", k.side, id)
}

func (k *kernelHost) flush() error { return k.ns.FlushEndpoints() }

func (k *kernelHost) flows() ([]lab.Flow, error)      { return k.ns.Flows() }
func (k *kernelHost) counters() (lab.Counters, error) { return k.ns.Counters() }
func (k *kernelHost) describe() string {
	list, err := k.flows()
	return fmt.Sprintf("established: %+v %v", list, err)
}
func (k *kernelHost) destroy(f lab.Flow) error { return k.ns.Destroy(f) }

// settle waits for nothing: what the kernel keeps of an old connection ends with
// its namespace.
func (k *kernelHost) settle(context.Context) error { return nil }

func (k *kernelHost) close() error {
	if k.l == nil {
		return nil
	}
	k.l.Close() // it may be closed already
	return nil
}

//go:build linux

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
	"github.com/mpxd/mpxd/xdp"
)

const (
	frames = 16384   // 64 MiB
	buffer = 4 << 20 // of one connection in one direction
)

// ourHost is a shard over the links of a namespace, in generic XDP.
type ourHost struct {
	*stack.Net
	side  Side
	mptcp bool

	umem  *xdp.Umem
	pool  *frame.Pool
	group *xdp.Group
	shard *stack.Shard
	began time.Time
	halt  atomic.Bool
	ended chan error

	l  net.Listener
	id atomic.Uint64 // of the connection, when the shard knows it
}

// newOurHost starts the shard.
func newOurHost(w *world, s Side, h *Host) (*ourHost, error) {
	o := &ourHost{Net: stack.NewNet(), side: s, mptcp: !h.TCPOnly, began: time.Now(), ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		o.ended <- w.space[s].Do(func() error {
			if err := o.open(s, h); err != nil {
				return errors.Join(err, o.shut())
			}
			close(ready)
			return errors.Join(o.loop(), o.shut())
		})
	}()
	select {
	case <-ready:
		return o, nil
	case err := <-o.ended:
		return nil, err
	}
}

func (o *ourHost) open(s Side, h *Host) (err error) {
	if o.umem, err = xdp.NewUmem(frames); err != nil {
		return err
	}
	o.pool = frame.New(o.umem.Bytes(), 12)
	conf := stack.Config{TCP: tcp.DefaultConfig(), MPTCP: mptcp.Config{
		Enabled: o.mptcp, MaxConns: 16, Checksum: h.Checksum, NoJoinInitial: h.DenyInitial, RcvBuf: buffer, SndBuf: buffer,
	}}
	conf.TCP.RcvBuf, conf.TCP.SndBuf = buffer, buffer
	if h.Version0 {
		conf.MPTCP.Offer = mptcp.OfferV0
	}
	if h.Cookies {
		conf.SynCookies = stack.CookiesAlways
	}
	// A connection of either role is the one there is.
	conf.MPTCP.Active = o.policy(h)
	conf.MPTCP.Passive = conf.MPTCP.Active
	for _, v6 := range []bool{false, true} {
		// From the address on the second link the other host's addresses on the
		// first are reached by the second too.
		conf.Routes = append(conf.Routes, stack.Route{Prefix: prefix(1-s, 0, v6).Masked(), Gateway: addr(1-s, 1, v6)})
	}
	var own []netip.Addr
	for i := range addresses {
		for _, v6 := range []bool{false, true} {
			own = append(own, addr(s, i, v6))
			a := stack.Address{Prefix: prefix(s, i, v6), Link: i % links}
			if i >= links { // no source unless it is asked for: the first subflow is from the first
				a = stack.Address{Prefix: netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen()), Link: stack.AnyLink}
			}
			conf.Addresses = append(conf.Addresses, a)
		}
	}
	if o.group, err = xdp.Open(xdp.Config{Interfaces: linkNames[:], Addresses: own, Mode: xdp.Generic}, o.umem, o.pool); err != nil {
		return err
	}
	if o.shard, err = stack.New(conf, o.pool, o.links(), o); err != nil {
		return err
	}
	o.shard.SetWake(o.group.Wake)
	return o.Net.Start(o.shard)
}

func (o *ourHost) links() (out []stack.Link) {
	for _, s := range o.group.Sockets() {
		i := s.Interface()
		if i.Queue == 0 {
			out = append(out, stack.Link{Name: i.Name, MAC: i.MAC, MTU: i.MTU, Virtual: i.Virtual})
		}
		out[len(out)-1].Ports = append(out[len(out)-1].Ports, s)
	}
	return out
}

// Accept and Ready are the App's: they learn which connection it is.
func (o *ourHost) Accept(s *stack.Shard, c mptcp.Conn) bool {
	o.id.Store(uint64(c))
	return o.Net.Accept(s, c)
}

func (o *ourHost) Ready(s *stack.Shard, c mptcp.Conn, ev tcp.Event) {
	o.id.Store(uint64(c))
	o.Net.Ready(s, c, ev)
}

// farewell bounds the turns that send the last resets.
const farewell = 8

// loop turns until close. The thread is ahead of ordinary ones meanwhile, as a
// shard's is: peers and shard share few processors.
func (o *ourHost) loop() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -20); err != nil {
		return fmt.Errorf("the priority of a shard: %w", err)
	}
	defer unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	for !o.halt.Load() {
		next := o.shard.Turn(o.now())
		wait := int64(-1)
		if next != tcp.Never {
			wait = max(0, int64(next-o.now()))
		}
		o.group.Wait(wait)
	}
	o.Net.Stop(o.shard)
	for range farewell {
		o.shard.Turn(o.now())
		o.group.Wait(0)
	}
	return nil
}

func (o *ourHost) now() tcp.Time { return tcp.Time(time.Since(o.began)) + 1 }

// shut gives everything back. A frame that is missing then is a leak.
func (o *ourHost) shut() (err error) {
	if o.group != nil {
		err = o.group.Close()
		if n := o.pool.Frames() - o.pool.Free(); n > 0 && o.shard != nil {
			err = errors.Join(err, fmt.Errorf("%d of %d frames are not free: %v", n, o.pool.Frames(), o.pool.Leaks(5)))
		}
	}
	if o.umem != nil {
		err = errors.Join(err, o.umem.Close())
	}
	return err
}

func (o *ourHost) close() error {
	o.halt.Store(true)
	o.group.Wake()
	return <-o.ended
}

func (o *ourHost) listen() (err error) {
	o.l, err = o.Listen("tcp", fmt.Sprintf(":%d", port))
	return err
}

func (o *ourHost) accept(ctx context.Context) (conn, error) {
	defer context.AfterFunc(ctx, func() { o.l.Close() })()
	c, err := o.l.Accept()
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	return c.(*stack.NetConn), nil
}

func (o *ourHost) dial(ctx context.Context, to netip.AddrPort) (conn, error) {
	dial := o.DialContext
	if o.mptcp {
		dial = o.DialMPTCP
	}
	c, err := dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*stack.NetConn), nil
}

// ask runs f on the shard.
func (o *ourHost) ask(f func(*stack.Shard, mptcp.Conn) error) error {
	done := make(chan error, 1)
	if !o.shard.Post(func(s *stack.Shard) { done <- f(s, mptcp.Conn(o.id.Load())) }) {
		return errors.New("the mailbox is full")
	}
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return errors.New("the shard does not answer")
	}
}

// policy is what the path manager does by itself.
func (o *ourHost) policy(h *Host) mptcp.Policy {
	p := mptcp.Policy{AddAddrAccepted: h.Accepts, Subflows: h.Ports}
	for _, e := range h.Endpoints {
		p.Endpoints = append(p.Endpoints, mptcp.Endpoint{
			Addr: addr(o.side, e.Addr, e.V6).As16(), Port: e.Port, ID: e.id(), Flags: mptcp.EndpointFlags(e.Flags), // the same bits
		})
	}
	return p
}

// add tells the one connection what a policy would have.
func (o *ourHost) add(e Endpoint) error {
	from := addr(o.side, e.Addr, e.V6)
	return o.ask(func(s *stack.Shard, c mptcp.Conn) (err error) {
		if e.Flags&lab.Signal != 0 {
			_, err = s.Announce(c, netip.AddrPortFrom(from, e.Port), e.id())
		}
		if e.Flags&lab.Subflow != 0 && err == nil {
			_, to := s.Peer(c)
			err = s.OpenSubflow(c, from, to, e.id(), e.Flags&lab.Backup != 0)
		}
		return err
	})
}

// change makes the subflows from an address backups, or takes that back.
func (o *ourHost) change(e Endpoint) error {
	return o.ask(func(s *stack.Shard, c mptcp.Conn) (err error) {
		s.EachSubflow(c, func(f mptcp.Flow, i mptcp.SubflowInfo) {
			if i.LocalID == e.id() {
				err = errors.Join(err, s.SetBackup(f, e.Flags&lab.Backup != 0))
			}
		})
		return err
	})
}

func (o *ourHost) remove(id uint8) error {
	return o.ask(func(s *stack.Shard, c mptcp.Conn) error { return s.Withdraw(c, id) })
}

// flush withdraws each address that subflows have, but the first's.
func (o *ourHost) flush() error {
	return o.ask(func(s *stack.Shard, c mptcp.Conn) (err error) {
		ids := map[uint8]bool{}
		s.EachSubflow(c, func(_ mptcp.Flow, i mptcp.SubflowInfo) { ids[i.LocalID] = i.LocalID != 0 })
		for id, joined := range ids {
			if joined {
				err = errors.Join(err, s.Withdraw(c, id))
			}
		}
		return err
	})
}

// destroy ends a subflow, by a FIN: ours reset none that works.
func (o *ourHost) destroy(victim lab.Flow) error {
	return o.ask(func(s *stack.Shard, c mptcp.Conn) error {
		err := errors.New("no such subflow")
		s.EachSubflow(c, func(f mptcp.Flow, i mptcp.SubflowInfo) {
			if flow(&i).Local == victim.Local {
				err = s.CloseSubflow(f)
			}
		})
		return err
	})
}

// flow is a subflow as the kernel would show it.
func flow(i *mptcp.SubflowInfo) lab.Flow {
	t := &i.Tuple
	return lab.Flow{
		Local:  netip.AddrPortFrom(netip.AddrFrom16(t.Local).Unmap(), t.LocalPort),
		Remote: netip.AddrPortFrom(netip.AddrFrom16(t.Remote).Unmap(), t.RemotePort),
		Acked:  int64(i.TCP.SndUna - i.TCP.ISS - 1), Received: int64(i.TCP.RcvNxt - i.TCP.IRS - 1),
	}
}

func (o *ourHost) flows() (list []lab.Flow, err error) {
	err = o.ask(func(s *stack.Shard, c mptcp.Conn) error {
		s.EachSubflow(c, func(_ mptcp.Flow, i mptcp.SubflowInfo) {
			if i.TCP.State == tcp.Established {
				list = append(list, flow(&i))
			}
		})
		return nil
	})
	return list, err
}

func (o *ourHost) describe() (text string) {
	err := o.ask(func(s *stack.Shard, c mptcp.Conn) error {
		info, _ := s.Info(c)
		text = fmt.Sprintf("%+v, readable %d, room %d", info, s.Readable(c), s.Room(c))
		s.EachSubflow(c, func(_ mptcp.Flow, i mptcp.SubflowInfo) { text += fmt.Sprintf("\n%+v %+v", flow(&i), i) })
		for _, x := range o.group.Stats() {
			text += fmt.Sprintf("\n%+v", x)
		}
		return nil
	})
	if err != nil {
		text += err.Error()
	}
	return text
}

// counters are ours under the kernel's names: they have the same, but for the group.
func (o *ourHost) counters() (lab.Counters, error) {
	var m mptcp.Counters
	var t tcp.Counters
	err := o.ask(func(s *stack.Shard, _ mptcp.Conn) error {
		m, t = *s.MPTCP(), s.Stats().TCP
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := lab.Counters{"TcpRetransSegs": int64(t.RetransSegs)}
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		out["MPTcpExt"+v.Type().Field(i).Name] = int64(v.Field(i).Uint())
	}
	return out, nil
}

// settle waits until the shard has no connection and no flow.
func (o *ourHost) settle(ctx context.Context) error {
	var conns, flows int
	err := until(ctx, func() (bool, error) {
		err := o.ask(func(s *stack.Shard, _ mptcp.Conn) error {
			conns, flows, _, _ = s.Idle()
			return nil
		})
		return conns == 0 && flows == 0, err
	})
	if err != nil {
		return fmt.Errorf("%w: %d connections and %d flows are left", err, conns, flows)
	}
	return nil
}

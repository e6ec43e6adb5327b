package script

import (
	"fmt"
	"slices"

	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// sockopts are the options that set the host's configuration: they must stand
// before the first listen or connect.
var sockopts = map[string]func(*stack.Config, int64){
	"SO_RCVBUF":        setRcvBuf,
	"SO_SNDBUF":        setSndBuf,
	"TCP_KEEPIDLE":     func(c *stack.Config, n int64) { c.TCP.KeepIdle = tcp.Time(n) * tcp.Second },
	"TCP_KEEPINTVL":    func(c *stack.Config, n int64) { c.TCP.KeepInterval = tcp.Time(n) * tcp.Second },
	"TCP_KEEPCNT":      func(c *stack.Config, n int64) { c.TCP.KeepProbes = uint8(n) },
	"TCP_USER_TIMEOUT": func(c *stack.Config, n int64) { c.TCP.UserTimeout = tcp.Time(n) * tcp.Millisecond },
	"TCP_SYNCNT":       func(c *stack.Config, n int64) { c.TCP.SynRetries = uint8(n) },
	"TCP_LINGER2":      func(c *stack.Config, n int64) { c.TCP.FinWait2 = tcp.Time(n) * tcp.Second },
	"SO_KEEPALIVE": func(c *stack.Config, n int64) {
		if n == 0 {
			c.TCP.KeepIdle = 0
		}
	},
}

// inert are options whose one value is what our host always does.
var inert = map[string]int64{
	"SO_REUSEADDR": 1, "SO_REUSEPORT": 1, "TCP_NODELAY": 1, "TCP_CORK": 0, "IPV6_V6ONLY": 1, "SO_OOBINLINE": 1,
	"IP_MTU_DISCOVER": 1, "IPV6_MTU_DISCOVER": 1, "SO_MAX_PACING_RATE": 1<<32 - 1,
}

// early options of a connection that runs: it had its chance, and whether it
// took it is not seen in packets.
var late = map[string]bool{"SO_RCVBUF": true, "SO_SNDBUF": true, "SO_KEEPALIVE": true, "SO_RCVLOWAT": true}

func (r *runner) sysSetsockopt(k *socket, c *Call) (attempt, error) {
	name, v := c.arg(2), c.arg(3)
	if v.Kind == vList && len(v.Items) == 1 {
		v = v.Items[0]
	}
	switch {
	case name.hasWord("SO_LINGER"):
		on, time := lingerOf(v)
		k.linger0 = on && time == 0
		return once(ok(0)), nil
	case name.hasWord("TCP_CONGESTION"):
		ctl, known := controller(v.Text)
		switch {
		case !known:
			return once(failed("ENOENT")), nil
		case ctl == r.conf.TCP.Controller:
			return once(ok(0)), nil
		}
		r.conf.TCP.Controller = ctl
		return once(ok(0)), r.early(name.Text)
	case v.Kind == vWord && constants[v.Text] != 0:
		v = Value{Kind: vNumber, N: constants[v.Text]}
	case v.Kind != vNumber:
		return nil, fmt.Errorf("setsockopt(%v) wants [N]", name)
	}
	if only, there := inert[name.Text]; there {
		if v.N != only {
			return nil, needs("setsockopt(%v, [%d]): our host always acts as with [%d]", name, v.N, only)
		}
		return once(ok(0)), nil
	}
	if name.hasWord("TCP_MAXSEG") {
		return once(ok(0)), r.maxSegment(v.N)
	}
	if late[name.Text] && r.host != nil {
		r.ignore(fmt.Sprintf("setsockopt(%v) of a connection that runs", name))
		return once(ok(0)), nil
	}
	set, known := sockopts[name.Text]
	if !known {
		return nil, needs("setsockopt(%v)", name)
	}
	if name.hasWord("SO_KEEPALIVE") && v.N != 0 {
		return once(ok(0)), nil // it always is, unless the time is 0
	}
	set(&r.conf, v.N)
	return once(ok(0)), r.early(name.Text)
}

// early is an error once the host runs.
func (r *runner) early(what string) error {
	if r.host != nil {
		return needs("%s of a connection that runs: it must be set before the first listen, connect or packet", what)
	}
	return nil
}

// ignore notes, once, what means nothing here.
func (r *runner) ignore(what string) {
	if !slices.Contains(r.script.Ignored, what) {
		r.script.Ignored = append(r.script.Ignored, what)
	}
}

// maxSegment gives the host's link an MTU that leads to this MSS.
func (r *runner) maxSegment(mss int64) error {
	n := int(mss) + 20 + ipv4Len
	if r.net.local.Is6() {
		n += ipv6Len - ipv4Len
	}
	if mss < 88 || n > r.net.mtu {
		return fmt.Errorf("TCP_MAXSEG %d: from 88 to what the MTU allows", mss)
	}
	r.net.mtu = n
	return r.early("TCP_MAXSEG")
}

// lingerOf reads {onoff=1, linger=0} or {1, 0}.
func lingerOf(v Value) (on bool, time int64) {
	if v.Kind != vStruct || len(v.Items) != 2 {
		return false, -1
	}
	return v.Items[0].N != 0, v.Items[1].N
}

func (r *runner) sysGetsockopt(k *socket, c *Call) (attempt, error) {
	if ask := questions[c.arg(2).Text]; ask != nil {
		return func() (result, bool) { return expectList(c.arg(3), ask(r, k)) }, nil
	}
	if !c.arg(2).hasWord("SO_ERROR") {
		return nil, needs("getsockopt(%v)", c.arg(2))
	}
	return func() (result, bool) {
		n := int64(0)
		if k.finished {
			n = errnoNumbers[k.tell()]
		}
		v := c.arg(3)
		if v.Kind == vList && len(v.Items) == 1 && v.Items[0].Kind == vWord {
			v = Value{Kind: vNumber, N: errnoNumbers[v.Items[0].Text]}
		}
		return expectList(v, n)
	}, nil
}

// questions are what getsockopt answers by a number. TCP_INFO only succeeds:
// what is in it is asked by assertions.
var questions = map[string]func(*runner, *socket) int64{
	"SO_RCVBUF":     func(r *runner, _ *socket) int64 { return int64(r.conf.TCP.RcvBuf) },
	"SO_SNDBUF":     func(r *runner, _ *socket) int64 { return int64(r.conf.TCP.SndBuf) },
	"SO_ACCEPTCONN": func(_ *runner, k *socket) int64 { return truth(k.listens) },
	"SO_TYPE":       func(*runner, *socket) int64 { return 1 },
	"SO_REUSEADDR":  func(*runner, *socket) int64 { return 1 },
	"TCP_NODELAY":   func(*runner, *socket) int64 { return 1 },
	"TCP_INFO":      func(*runner, *socket) int64 { return 0 },
	"TCP_MAXSEG":    func(r *runner, k *socket) int64 { return int64(r.status(k).MSS) },
	"TCP_IS_MPTCP":  func(r *runner, k *socket) int64 { return truth(r.isMPTCP(k)) },
}

// status is that of the socket's last flow.
func (r *runner) status(k *socket) (st tcp.Status) {
	if k.opened {
		r.shard.EachFlow(k.conn, func(s tcp.Status) { st = s })
	}
	return st
}

func (r *runner) isMPTCP(k *socket) bool {
	if !k.opened {
		return k.mptcp
	}
	i, _ := r.shard.Info(k.conn)
	return i.MPTCP
}

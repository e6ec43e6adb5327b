package script

import (
	"fmt"

	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// sockopts are the options that set the host's configuration: they must stand
// before the first listen or connect.
var sockopts = map[string]func(*stack.Config, int64){
	"SO_RCVBUF":     setRcvBuf,
	"SO_SNDBUF":     setSndBuf,
	"TCP_KEEPIDLE":  func(c *stack.Config, n int64) { c.TCP.KeepIdle = tcp.Time(n) * tcp.Second },
	"TCP_KEEPINTVL": func(c *stack.Config, n int64) { c.TCP.KeepInterval = tcp.Time(n) * tcp.Second },
	"TCP_KEEPCNT":   func(c *stack.Config, n int64) { c.TCP.KeepProbes = uint8(n) },
	"TCP_SYNCNT":    func(c *stack.Config, n int64) { c.TCP.SynRetries = uint8(n) },
	"TCP_LINGER2":   func(c *stack.Config, n int64) { c.TCP.FinWait2 = tcp.Time(n) * tcp.Second },
	"SO_KEEPALIVE": func(c *stack.Config, n int64) {
		if n == 0 {
			c.TCP.KeepIdle = 0
		}
	},
}

// inert are options whose one value is what our host always does.
var inert = map[string]int64{
	"SO_REUSEADDR": 1, "SO_REUSEPORT": 1, "TCP_NODELAY": 1, "TCP_CORK": 0, "IPV6_V6ONLY": 1,
}

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
		ctl, known := controllers[v.Text]
		if !known {
			return once(failed("ENOENT")), nil
		}
		r.conf.TCP.Controller = ctl
		return once(ok(0)), r.early(name.Text)
	case v.Kind != vNumber:
		return nil, fmt.Errorf("setsockopt(%v) wants [N]", name)
	}
	if only, there := inert[name.Text]; there {
		if v.N != only {
			return nil, fmt.Errorf("setsockopt(%v, [%d]): our host always acts as with [%d]", name, v.N, only)
		}
		return once(ok(0)), nil
	}
	set, known := sockopts[name.Text]
	if !known {
		return nil, fmt.Errorf("setsockopt(%v) is not understood", name)
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
		return fmt.Errorf("%s must be set before the first listen or connect", what)
	}
	return nil
}

// lingerOf reads {onoff=1, linger=0} or {1, 0}.
func lingerOf(v Value) (on bool, time int64) {
	if v.Kind != vStruct || len(v.Items) != 2 {
		return false, -1
	}
	return v.Items[0].N != 0, v.Items[1].N
}

func (r *runner) sysGetsockopt(k *socket, c *Call) (attempt, error) {
	if !c.arg(2).hasWord("SO_ERROR") {
		return nil, fmt.Errorf("getsockopt(%v) is not understood: only SO_ERROR is", c.arg(2))
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

package script

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// network is where a script plays: by default the addresses of
// documentation, one router between the host under test and the rest.
type network struct {
	local, remote, gateway netip.Addr
	bits                   int
	port                   uint16 // to listen on, and to connect to
	mtu                    int
	tolerance              tcp.Time
	tso                    bool // what leaves back to back may be expected as one packet
}

func defaultNetwork(v6 bool) network {
	n := network{port: 8080, mtu: 1500, tolerance: 4 * tcp.Millisecond}
	if v6 {
		n.local, n.remote = netip.MustParseAddr("fd3d:0a0b:17d6::1"), netip.MustParseAddr("2001:db8::1")
		n.gateway, n.bits = netip.MustParseAddr("fd3d:0a0b:17d6:8888::1"), 48
		return n
	}
	n.local, n.remote = netip.MustParseAddr("192.168.0.1"), netip.MustParseAddr("192.0.2.1")
	n.gateway, n.bits = netip.MustParseAddr("192.168.0.254"), 24
	return n
}

// localAddrs is how many of our addresses, saddr0 and up, a script may use.
const localAddrs = 4

// config is the host a script gets if it asks for nothing.
func defaultConfig() stack.Config {
	conf := stack.Config{TCP: tcp.DefaultConfig()}
	conf.Seed[0] = 1
	conf.DialMSSReserve = -1 // the MSS of RFC 6691: a script says which options it means
	return conf
}

// place puts the host into its network.
func (n *network) place(conf *stack.Config) {
	for i := range localAddrs {
		conf.Addresses = append(conf.Addresses, stack.Address{Prefix: netip.PrefixFrom(nth(n.local, i), n.bits)})
	}
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if n.local.Is6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	conf.Routes = []stack.Route{{Prefix: all, Gateway: n.gateway}}
}

// nth is the address i after a.
func nth(a netip.Addr, i int) netip.Addr {
	for range i {
		a = a.Next()
	}
	return a
}

// flag obeys one --name=value line; known is false for one that means nothing
// here.
func (n *network) flag(f Flag) (known bool, err error) {
	addr := func(to *netip.Addr) {
		if *to, err = netip.ParseAddr(f.Value); err == nil && to.Is4() != n.local.Is4() {
			err = fmt.Errorf("the address %v is of another IP version than --ip_version", *to)
		}
	}
	number := func(max int) int {
		var v int
		if v, err = strconv.Atoi(f.Value); err == nil && (v < 0 || v > max) {
			err = fmt.Errorf("%d is out of range", v)
		}
		return v
	}
	switch f.Name {
	case "ip_version": // seen before all others
		if f.Value != "ipv4" && f.Value != "ipv6" {
			err = needs("IP version %s", f.Value)
		}
	case "tso":
		n.tso = f.Value == "" || f.Value == "1"
	case "local_ip":
		addr(&n.local)
	case "remote_ip":
		addr(&n.remote)
	case "gateway_ip":
		addr(&n.gateway)
	case "netmask_ip":
		var m netip.Addr
		if m, err = netip.ParseAddr(f.Value); err == nil {
			n.bits = ones(m)
		}
	case "bind_port", "connect_port":
		n.port = uint16(number(65535))
	case "mtu":
		n.mtu = number(3500)
	case "tolerance_usecs":
		n.tolerance = tcp.Time(number(10e6)) * tcp.Microsecond
	default:
		return false, nil
	}
	return true, err
}

func ones(mask netip.Addr) (n int) {
	for _, b := range mask.AsSlice() {
		for ; b&0x80 != 0; b <<= 1 {
			n++
		}
	}
	return n
}

// sysctls are the settings of Linux that mean something to our host, and some
// of our own.
var sysctls = map[string]func(*stack.Config, []int64){
	"net.ipv4.tcp_sack":             func(c *stack.Config, v []int64) { c.TCP.NoSACK = v[0] == 0 },
	"net.ipv4.tcp_timestamps":       func(c *stack.Config, v []int64) { c.TCP.NoTimestamps = v[0] == 0 },
	"net.ipv4.tcp_rmem":             setRcvMem,
	"net.ipv4.tcp_wmem":             func(c *stack.Config, v []int64) { setSndBuf(c, v[len(v)-1]) },
	"net.ipv4.tcp_syn_retries":      func(c *stack.Config, v []int64) { c.TCP.SynRetries = uint8(v[0]) },
	"net.ipv4.tcp_synack_retries":   func(c *stack.Config, v []int64) { c.TCP.SynAckRetries = uint8(v[0]) },
	"net.ipv4.tcp_retries2":         func(c *stack.Config, v []int64) { c.TCP.DataRetries = uint8(v[0]) },
	"net.ipv4.tcp_keepalive_time":   func(c *stack.Config, v []int64) { c.TCP.KeepIdle = tcp.Time(v[0]) * tcp.Second },
	"net.ipv4.tcp_keepalive_intvl":  func(c *stack.Config, v []int64) { c.TCP.KeepInterval = tcp.Time(v[0]) * tcp.Second },
	"net.ipv4.tcp_keepalive_probes": func(c *stack.Config, v []int64) { c.TCP.KeepProbes = uint8(v[0]) },
	"net.ipv4.tcp_fin_timeout":      func(c *stack.Config, v []int64) { c.TCP.FinWait2 = tcp.Time(v[0]) * tcp.Second },
	"net.ipv4.tcp_rto_min_us":       func(c *stack.Config, v []int64) { c.TCP.MinRTO = tcp.Time(v[0]) * tcp.Microsecond },
	"net.ipv4.tcp_rto_max_ms":       func(c *stack.Config, v []int64) { c.TCP.MaxRTO = tcp.Time(v[0]) * tcp.Millisecond },
	"net.ipv4.tcp_min_snd_mss":      func(c *stack.Config, v []int64) { c.TCP.MinMSS = uint16(v[0]) },
	"net.ipv4.tcp_invalid_ratelimit": func(c *stack.Config, v []int64) {
		c.TCP.ChallengeGap = tcp.Time(v[0]) * tcp.Millisecond
	},
	"net.ipv4.tcp_max_syn_backlog": func(c *stack.Config, v []int64) { c.SynBacklog = int(v[0]) },
	"net.ipv4.tcp_syncookies": func(c *stack.Config, v []int64) {
		c.SynCookies = [...]stack.CookieMode{stack.CookiesNever, stack.CookiesAuto, stack.CookiesAlways}[min(v[0], 2)]
	},
	"net.ipv4.tcp_ecn":                       func(c *stack.Config, v []int64) { c.TCP.ECN = uint8(v[0]) },
	"mpxd.pace":                              func(c *stack.Config, v []int64) { c.TCP.Pace = v[0] != 0 },
	"net.mptcp.enabled":                      func(c *stack.Config, v []int64) { c.MPTCP.Enabled = v[0] != 0 },
	"net.mptcp.checksum_enabled":             func(c *stack.Config, v []int64) { c.MPTCP.Checksum = v[0] != 0 },
	"net.mptcp.allow_join_initial_addr_port": func(c *stack.Config, v []int64) { c.MPTCP.NoJoinInitial = v[0] == 0 },
	"mpxd.mptcp_version": func(c *stack.Config, v []int64) {
		c.MPTCP.Offer = [...]mptcp.Offer{mptcp.OfferV0, mptcp.OfferV1}[min(v[0], 1)]
	},
	"mpxd.mptcp_short":    func(c *stack.Config, v []int64) { c.MPTCP.Short = v[0] != 0 },
	"mpxd.initial_window": func(c *stack.Config, v []int64) { c.TCP.InitialWindow = uint32(v[0]) },
	"mpxd.delack_ms":      func(c *stack.Config, v []int64) { c.TCP.DelAck = tcp.Time(v[0]) * tcp.Millisecond },
	"mpxd.msl_ms":         func(c *stack.Config, v []int64) { c.TCP.MSL = tcp.Time(v[0]) * tcp.Millisecond },
	"mpxd.persist_s":      func(c *stack.Config, v []int64) { c.TCP.PersistFor = tcp.Time(v[0]) * tcp.Second },
}

// inertSysctls are settings of Linux that need no obeying: ours is always the
// value given here, or, where there is none, no script can see the difference
// (what goes by --tso shows bursts as it would).
var inertSysctls = map[string]string{
	"net.ipv4.tcp_dsack":                    "1",
	"net.ipv4.tcp_window_scaling":           "1",
	"net.ipv4.tcp_recovery":                 "1",
	"net.ipv4.tcp_early_retrans":            "",
	"net.ipv4.tcp_fack":                     "",
	"net.ipv4.tcp_slow_start_after_idle":    "",
	"net.ipv4.tcp_rfc1337":                  "1",
	"net.ipv4.tcp_abort_on_overflow":        "",
	"net.ipv4.tcp_autocorking":              "",
	"net.ipv4.tcp_min_tso_segs":             "",
	"net.ipv4.tcp_tso_win_divisor":          "",
	"net.ipv4.tcp_tso_rtt_log":              "",
	"net.ipv4.tcp_limit_output_bytes":       "",
	"net.ipv4.tcp_notsent_lowat":            "",
	"net.ipv4.tcp_no_metrics_save":          "",
	"net.ipv4.tcp_no_ssthresh_metrics_save": "",
	"net.ipv4.tcp_moderate_rcvbuf":          "",
	"net.ipv4.tcp_mem":                      "",
	"net.ipv4.tcp_pacing_ss_ratio":          "",
	"net.ipv4.tcp_pacing_ca_ratio":          "",
	"net.core.rmem_max":                     "",
	"net.core.wmem_max":                     "",
	"net.core.somaxconn":                    "",
	"net.core.default_qdisc":                "",
}

// setRcvBuf fixes the size of receive buffers, as SO_RCVBUF does.
func setRcvBuf(c *stack.Config, n int64) { setRcvMem(c, []int64{n}) }

// setRcvMem takes "min default max"; one number is a fixed size.
func setRcvMem(c *stack.Config, v []int64) {
	limit := uint32(v[len(v)-1])
	c.TCP.RcvBuf, c.MPTCP.RcvBuf, c.TCP.RcvStart = limit, limit, uint32(v[len(v)/2])
}

func setSndBuf(c *stack.Config, n int64) { c.TCP.SndBuf, c.MPTCP.SndBuf = uint32(n), uint32(n) }

// controller is the number of a congestion controller by Linux's name.
func controller(name string) (uint8, bool) {
	if name == "reno" {
		name = "newreno"
	}
	return tcp.ControllerByName(name)
}

// command obeys the shell commands that set what our host has. ignored names
// what means nothing to it.
func command(conf *stack.Config, text string) (ignored []string, err error) {
	for _, line := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == ';' }) {
		words := strings.Fields(strings.ReplaceAll(line, "&&", " "))
		if len(words) == 0 {
			continue
		}
		switch name := path.Base(words[0]); {
		case name == "sysctl" || name == "set_sysctls.py":
			for _, w := range settings(words[1:]) {
				known, err := sysctl(conf, w[0], w[1])
				if err != nil {
					return ignored, err
				}
				if !known {
					ignored = append(ignored, w[0])
				}
			}
		case name == "defaults.sh":
			likeLinux(conf)
		case idle[name] || strings.HasPrefix(strings.Join(words, " "), "ip tcp_metrics"):
			ignored = append(ignored, strings.Join(words, " "))
		default:
			return ignored, needs("the command %q: only sysctl is understood", strings.Join(words, " "))
		}
	}
	return ignored, nil
}

// idle are the commands that change nothing of what a script sees here: no
// offload, queue or statistic lies between the script and the host.
var idle = map[string]bool{"tc": true, "true": true, "ethtool": true, "nstat": true, "sleep": true, "echo": true, "modprobe": true}

// likeLinux sets what the scripts of Linux's suite set in common: buffers that
// lead to a window scale of 8, and fewer SYNs.
func likeLinux(conf *stack.Config) {
	setRcvBuf(conf, 15<<20)
	setSndBuf(conf, 4<<20)
	conf.TCP.SynRetries = 5
}

// settings reads "name=value" and name="a b c" after sysctl.
func settings(words []string) (out [][2]string) {
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		switch {
		case strings.HasPrefix(w, "-"), w == "sysctl", strings.HasPrefix(w, ">"), strings.HasPrefix(w, "2>"):
		case ok:
			out = append(out, [2]string{name, strings.Trim(value, `"'`)})
		case len(out) > 0:
			out[len(out)-1][1] += " " + strings.Trim(w, `"'`)
		}
	}
	return out
}

// sysctl obeys one setting; known is false for one that means nothing here.
func sysctl(conf *stack.Config, name, value string) (known bool, err error) {
	name = strings.ReplaceAll(strings.TrimPrefix(name, "/proc/sys/"), "/", ".")
	if name == "net.ipv4.tcp_congestion_control" {
		c, ok := controller(value)
		if !ok {
			return false, needs("congestion control %q", value)
		}
		conf.TCP.Controller = c
		return true, nil
	}
	if only, ok := inertSysctls[name]; ok {
		if only == "" || only == value {
			return false, nil
		}
		return false, needs("sysctl %s=%s: our host always acts as with %s", name, value, only)
	}
	set, ok := sysctls[name]
	if !ok {
		return false, needs("sysctl %s", name)
	}
	var v []int64
	for _, w := range strings.Fields(value) {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil || n < 0 {
			return false, fmt.Errorf("sysctl %s: %q is no number", name, w)
		}
		v = append(v, n)
	}
	if len(v) == 0 {
		return false, fmt.Errorf("sysctl %s without a value", name)
	}
	set(conf, v)
	return true, nil
}

package script

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// epoch is the host's clock when a script begins: not 0, which is before
// everything.
const epoch = 1000 * tcp.Second

// Bounds of a run.
const (
	// maxTurns is how often the host may turn without time going on: what
	// needs more has hung.
	maxTurns = 10000
	// patience is how long a script waits for a packet whose time is "*". It
	// must outlast keepalives after two hours.
	patience = 3 * 3600 * tcp.Second
)

// Run plays a script against a fresh host. trace, if not nil, is told each
// event as it happens. The error is an *Error: it names the line.
func (s *Script) Run(trace func(string)) error {
	r := &runner{script: s, conf: defaultConfig(), keys: keys{vars: map[string]uint64{}}, trace: trace, now: epoch, base: epoch}
	if err := r.setup(); err != nil {
		return err
	}
	for i := range s.Events {
		if err := r.event(i); err != nil {
			return r.located(s.Events[i].Line, err)
		}
	}
	return r.end()
}

// runner plays one script.
type runner struct {
	script *Script
	conf   stack.Config
	net    network
	*host  // nil until the first listen, connect or packet
	socks  sockets
	keys   keys
	trace  func(string)

	now     tcp.Time
	base    tcp.Time // what relative times count from
	flows   []*flow
	current *flow
	sent    []sent
	calls   []*pending
	last    *socket // the last one named in a call: assertions ask it
}

// sent is a TCP segment of the host that the script has not named yet.
type sent struct {
	at tcp.Time
	d  datagram
}

// pending is a call that blocks.
type pending struct {
	event *Event
	try   attempt
	start tcp.Time
	base  tcp.Time
}

func (r *runner) located(line int, err error) error {
	e, ok := err.(*Error)
	if !ok {
		e = &Error{Text: err.Error()}
	}
	if e.File == "" {
		e.File, e.Line = r.script.Name, line
	}
	return e
}

func (r *runner) setup() error {
	v6 := false
	for _, f := range r.script.Flags {
		v6 = v6 || f.Name == "ip_version" && f.Value == "ipv6"
	}
	r.net = defaultNetwork(v6)
	for _, f := range r.script.Flags {
		known, err := r.net.flag(f)
		if err != nil {
			if e, ok := err.(*Error); ok {
				return r.located(f.Line, e)
			}
			return r.located(f.Line, fmt.Errorf("--%s=%s: %w", f.Name, f.Value, err))
		}
		if !known {
			r.script.Ignored = append(r.script.Ignored, "--"+f.Name)
		}
	}
	return nil
}

// start makes the host, once.
func (r *runner) start() (err error) {
	if r.host == nil {
		r.net.place(&r.conf)
		if r.host, err = newHost(r.conf, r.net.mtu, &r.socks); err == nil {
			_, err = r.settle() // the host learns what time it is
		}
	}
	return err
}

func (r *runner) event(i int) error {
	e := &r.script.Events[i]
	if e.Packet != nil && !e.Packet.Inbound {
		return r.expect(e)
	}
	at := r.now
	if !e.When.Any {
		at = r.time(e.When.From)
		if !e.When.Relative {
			at = epoch + e.When.From
		}
	}
	if at < r.now-r.net.tolerance {
		return fmt.Errorf("the time %s has passed: it is %s", clock(at), clock(r.now))
	}
	// A packet before may have come late, as far as it was allowed to.
	if err := r.advance(max(at, r.now)); err != nil {
		return err
	}
	if err := r.overlooked(i); err != nil {
		return err
	}
	base := r.base
	r.base = at
	switch {
	case e.Packet != nil:
		return r.inject(e.Packet)
	case e.ICMP != nil:
		return r.injectICMP(e.ICMP)
	case e.Call != nil:
		return r.call(e, base)
	case e.Command != nil:
		return r.command(*e.Command)
	}
	return r.assert(e)
}

// time is a relative time on the host's clock.
func (r *runner) time(d tcp.Time) tcp.Time { return r.base + d }

// clock is a time as the script would write it.
func clock(t tcp.Time) string {
	t -= epoch
	return fmt.Sprintf("%d.%06d", t/tcp.Second, t%tcp.Second/tcp.Microsecond)
}

func (r *runner) tell(format string, args ...any) {
	if r.trace != nil {
		r.trace(clock(r.now) + "  " + fmt.Sprintf(format, args...))
	}
}

// settle lets the host turn until it wants nothing more now, and returns when
// it does.
func (r *runner) settle() (tcp.Time, error) {
	if r.host == nil {
		return tcp.Never, nil
	}
	for range maxTurns {
		next := r.shard.Turn(r.now)
		busy, err := r.collect()
		if err != nil {
			return 0, err
		}
		woken, err := r.resume()
		if err != nil {
			return 0, err
		}
		if next > r.now && !busy && !woken && len(r.port.in) == 0 {
			return next, nil
		}
	}
	return 0, fmt.Errorf("the host turned %d times at %s without coming to rest", maxTurns, clock(r.now))
}

// advance moves the clock to a time, from one thing that is due to the next.
func (r *runner) advance(to tcp.Time) error {
	for {
		next, err := r.settle()
		if err != nil || r.now == to {
			return err
		}
		r.now = min(next, to)
	}
}

// collect takes what the host sent. Questions for neighbours are answered at
// once; busy says that something must be looked at.
func (r *runner) collect() (busy bool, err error) {
	for _, b := range r.port.take() {
		etherType, d, err := parseFrame(b)
		if err != nil {
			return false, fmt.Errorf("the host sent %w", err)
		}
		var answer []byte
		switch {
		case etherType == etherARP:
			answer = answerARP(d.body)
		case d.proto == protoICM6:
			answer = answerND(&d)
		case d.proto == protoTCP:
			r.sent = append(r.sent, sent{r.now, d})
		}
		if answer != nil {
			r.port.in = append(r.port.in, answer)
		}
		busy = true
	}
	return busy, nil
}

// flowOf finds the flow of a datagram from the host, or makes it.
func (r *runner) flowOf(d *datagram) (*flow, error) {
	var h tcpHeader
	if _, _, err := h.parse(d.body); err != nil {
		return nil, err
	}
	return r.flow(netip.AddrPortFrom(d.src, h.src), netip.AddrPortFrom(d.dst, h.dst)), nil
}

func (r *runner) flow(local, remote netip.AddrPort) *flow {
	for _, f := range r.flows {
		if f.local == local && f.remote == remote {
			return f
		}
	}
	f := &flow{local: local, remote: remote, keys: &r.keys}
	r.flows = append(r.flows, f)
	return f
}

// firstPeerPort is the port of the script's first flow to the host.
const firstPeerPort = 40001

// choose finds the flow of a packet the script sends. Without addresses it is
// the last one that was named.
func (r *runner) choose(p *Packet) (*flow, error) {
	if p.Src.Addr == "" && p.Dst.Addr == "" {
		if r.current == nil {
			r.current = r.flow(netip.AddrPortFrom(r.net.local, r.net.port), netip.AddrPortFrom(r.net.remote, firstPeerPort))
		}
		return r.current, nil
	}
	remote, err := r.address(p.Src, r.net.remote)
	if err != nil {
		return nil, err
	}
	local, err := r.address(p.Dst, r.net.local)
	if err != nil {
		return nil, err
	}
	for i := len(r.flows) - 1; i >= 0; i-- {
		f := r.flows[i]
		if f.remote.Addr() == remote && f.local.Addr() == local &&
			(p.Src.Port == 0 || p.Src.Port == f.remote.Port()) && (p.Dst.Port == 0 || p.Dst.Port == f.local.Port()) {
			return f, nil
		}
	}
	port, lport := p.Src.Port, p.Dst.Port
	if port == 0 {
		port = firstPeerPort + uint16(len(r.flows))
	}
	if lport == 0 {
		lport = r.net.port
	}
	return r.flow(netip.AddrPortFrom(local, lport), netip.AddrPortFrom(remote, port)), nil
}

// address is what a name like caddr1 or saddr0 stands for.
func (r *runner) address(e End, def netip.Addr) (netip.Addr, error) {
	for prefix, first := range map[string]netip.Addr{"caddr": r.net.remote, "saddr": r.net.local} {
		if n, ok := strings.CutPrefix(e.Addr, prefix); ok && len(n) == 1 && isDigit(n[0]) {
			return nth(first, int(n[0]-'0')), nil
		}
	}
	if e.Addr == "" {
		return def, nil
	}
	a, err := netip.ParseAddr(e.Addr)
	if err != nil {
		return a, fmt.Errorf("address %q is not known: caddr0 to 9 are the script's, saddr0 to %d the host's", e.Addr, localAddrs-1)
	}
	return a, nil
}

func (r *runner) inject(p *Packet) error {
	if err := r.start(); err != nil {
		return err
	}
	f, err := r.choose(p)
	if err != nil {
		return err
	}
	r.current = f
	b, err := f.build(p)
	if err != nil {
		return err
	}
	r.tell("%v", p)
	r.port.in = append(r.port.in, b)
	_, err = r.settle()
	return err
}

func (r *runner) injectICMP(m *ICMP) error {
	f := r.current
	if f == nil || f.lastOut.body == nil {
		return fmt.Errorf("there is no segment of the host that an ICMP error could be about")
	}
	quoted, payload := f.lastOut, 0
	if m.Quoted {
		quoted.body = append([]byte{}, quoted.body...)
		seq := m.Seq + f.iss
		copy(quoted.body[4:], []byte{byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)})
		payload = int(m.Len)
	}
	router := r.net.gateway
	if m.Src.Addr != "" {
		var err error
		if router, err = r.address(m.Src, router); err != nil {
			return err
		}
	}
	b, err := m.build(router, &quoted, payload)
	if err != nil {
		return err
	}
	r.tell("%v", m)
	r.port.in = append(r.port.in, b)
	_, err = r.settle()
	return err
}

func (r *runner) command(text string) error {
	text, err := r.pathCommands(text)
	if err != nil {
		return err
	}
	before := r.conf
	ignored, err := command(&r.conf, text)
	r.script.Ignored = append(r.script.Ignored, ignored...)
	if r.host != nil && err == nil && !reflect.DeepEqual(before, r.conf) {
		return needs("`%s` while the host runs: it must stand before the first listen, connect or packet", text)
	}
	return err
}

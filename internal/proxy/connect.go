package proxy

import (
	"errors"
	"net/netip"

	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// lookUp asks the resolver; the answer comes back through the mailbox and finds
// the session by its handle, if it still is there.
func (p *Proxy) lookUp(s *stack.Shard, i uint32, x *session, name string) {
	p.arm(s, x, s.Now()+p.conf.Connect)
	if p.conf.Resolver == nil {
		p.refuse(s, i, x, HostUnreachable)
		return
	}
	h := p.sessions.Handle(i)
	asked := p.conf.Resolver.Lookup(name, func(found []netip.Addr, err error) {
		if !s.Post(func(s *stack.Shard) { p.answer(s, h, found, err) }) {
			p.lost.Add(1) // the session's deadline answers the client
		}
	})
	if !asked {
		p.count.ResolverBusy++
		p.refuse(s, i, x, GeneralFailure)
	}
}

func (p *Proxy) answer(s *stack.Shard, h uint64, found []netip.Addr, err error) {
	if x := p.sessions.Get(h); x != nil && x.state == resolving {
		p.resolved(s, uint32(h), x, found, err)
	}
}

// resolved chooses among the addresses of the destination and dials the first.
func (p *Proxy) resolved(s *stack.Shard, i uint32, x *session, found []netip.Addr, err error) {
	if err != nil {
		p.refuse(s, i, x, HostUnreachable)
		return
	}
	h := p.handshakes.At(x.handshake)
	h.last, h.code = p.choose(&h.to, found, h.port)
	h.until = s.Now() + p.conf.Connect
	x.state = connecting
	p.dial(s, i, x)
}

// connect gives up the present try for the reason code, and begins the next.
func (p *Proxy) connect(s *stack.Shard, i uint32, x *session, code Code) {
	s.Abort(x.leg[upstream])
	s.Close(x.leg[upstream])
	x.leg[upstream] = 0
	p.handshakes.At(x.handshake).code = code
	p.dial(s, i, x)
}

// dial tries the addresses that are left until a try has begun. Each may take
// its share of the time that is left, so that a dead one does not take it all.
func (p *Proxy) dial(s *stack.Shard, i uint32, x *session) {
	h := p.handshakes.At(x.handshake)
	for h.next < h.last {
		share := (h.until - s.Now()) / tcp.Time(h.last-h.next)
		to := endpoint{h.to[h.next], h.port}
		h.next++
		dial := s.Dial
		if p.conf.UpstreamMPTCP {
			dial = s.DialMPTCP
		}
		c, err := dial(to.addrPort(), cookie(i, upstream))
		if err != nil {
			h.code = dialCode(err)
			continue
		}
		x.leg[upstream], x.peer[upstream] = c, to
		p.arm(s, x, s.Now()+max(share, 0))
		return
	}
	p.refuse(s, i, x, h.code)
}

// await waits for the upstream leg. The client may half-close meanwhile, and
// what it sends stays in its connection's window.
func (p *Proxy) await(s *stack.Shard, i uint32, x *session, a side, ev tcp.Event) {
	if a == client {
		if _, done, err := s.Status(x.leg[client]); done {
			p.abort(s, i, ClientGone, err)
		}
		return
	}
	if ev&tcp.Connected != 0 {
		p.establish(s, i, x, ev)
		return
	}
	if _, done, err := s.Status(x.leg[upstream]); done {
		p.connect(s, i, x, reasonCode(err))
	}
}

// establish tells the client where it is connected from, and relays.
func (p *Proxy) establish(s *stack.Shard, i uint32, x *session, ev tcp.Event) {
	x.state = relaying
	bound, _ := s.Peer(x.leg[upstream])
	x.reply = Succeeded
	p.count.Replies[Succeeded]++
	if !p.write(s, x, appendReply(p.scratch[:0], Succeeded, bound)) {
		p.abort(s, i, NoFrames, tcp.NoError)
		return
	}
	if p.handshakes.At(x.handshake).name == 0 {
		p.handshakes.Free(x.handshake)
		x.handshake = 0
	}
	// What came before now was not looked at: both directions may have data,
	// or be at their end.
	p.arm(s, x, s.Now()+p.conf.Idle)
	p.pump(s, x, client)
	p.relay(s, i, x, upstream, ev|tcp.Readable)
}

// dialCode is what a dial that could not begin means to the client. That we are out
// of ports, frames or connections is none of RFC 1928's reasons, which are the
// destination's: it is X'01', general SOCKS server failure, and no client should
// blame the destination for it. stack.Stats.PortsExhausted tells the operator.
func dialCode(err error) Code {
	if errors.Is(err, stack.ErrNoRoute) {
		return NetworkUnreachable
	}
	return GeneralFailure
}

// reasonCode is what a failed handshake with the destination means to the
// client.
func reasonCode(r tcp.Reason) Code {
	switch r {
	case tcp.Refused, tcp.ResetByPeer:
		return ConnectionRefused
	case tcp.Unreachable:
		return HostUnreachable
	case tcp.TimedOut:
		return TTLExpired
	}
	return GeneralFailure
}

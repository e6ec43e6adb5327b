package proxy

import (
	"net/netip"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// shake reads greeting and request, in whatever pieces they come.
func (p *Proxy) shake(s *stack.Shard, i uint32, x *session) {
	for {
		d, ok := s.Recv(x.leg[client])
		if !ok {
			if eof, done, err := s.Status(x.leg[client]); done || eof {
				p.abort(s, i, ClientGone, err)
			}
			return
		}
		if !p.read(s, i, x, d) {
			return
		}
	}
}

// read takes the messages out of a span, which it owns, and keeps what follows
// the request for the upstream leg. It reports whether to read on.
func (p *Proxy) read(s *stack.Shard, i uint32, x *session, d frame.Span) bool {
	h := p.handshakes.At(x.handshake)
	for d.Len > 0 {
		k := copy(h.buf[h.n:], s.Pool().Bytes(d))
		msg := h.buf[:int(h.n)+k]
		n, code, v := p.message(s, x, msg)
		switch {
		case v == incomplete:
			h.n += uint16(k)
			s.Pool().Release(d.Frame)
			return true
		case v == malformed:
			s.Pool().Release(d.Frame)
			p.count.Malformed++
			p.abort(s, i, Malformed, tcp.NoError)
			return false
		case code != Succeeded || x.state == refusing:
			s.Pool().Release(d.Frame)
			p.refuse(s, i, x, code)
			return false
		}
		k = n - int(h.n)
		d = advance(d, k)
		h.n = 0
		if x.state == asked {
			x.state = resolving
			p.hold(s, x, client, d)
			p.open(s, i, x, msg)
			return false
		}
		x.state = asked
	}
	s.Pool().Release(d.Frame)
	return true
}

// advance drops the first k bytes of a span; what is known of the sum goes with
// them.
func advance(d frame.Span, k int) frame.Span {
	if k > 0 {
		d.Off, d.Len = d.Off+uint16(k), d.Len-uint16(k)
		d.Flags &^= frame.SumKnown
	}
	return d
}

func (p *Proxy) hold(s *stack.Shard, x *session, a side, d frame.Span) {
	if d.Len == 0 {
		s.Pool().Release(d.Frame)
		return
	}
	x.held[a] = d
}

// message looks at what there is of the message that the state waits for, and
// answers a greeting.
func (p *Proxy) message(s *stack.Shard, x *session, msg []byte) (n int, code Code, v verdict) {
	if x.state == asked {
		_, n, code, v = request(msg)
		return n, code, v
	}
	n, method, v := greeting(msg)
	if v != complete {
		return n, 0, v
	}
	p.write(s, x, append(p.scratch[:0], version, method))
	if method == methodUnacceptable {
		// The client must close now (RFC 1928, 3), and reads why first.
		p.count.NoMethod++
		x.state = refusing
	}
	return n, Succeeded, v
}

// write sends a few bytes to the client. They always fit: they are the first.
// If the pool is exhausted the client gets what a dying proxy gives it.
func (p *Proxy) write(s *stack.Shard, x *session, b []byte) bool {
	return s.Write(x.leg[client], b) == len(b)
}

// open finds out where the request leads.
func (p *Proxy) open(s *stack.Shard, i uint32, x *session, msg []byte) {
	d, _, _, _ := request(msg)
	h := p.handshakes.At(x.handshake)
	h.port = d.port
	// An address given as a name is not one to resolve. What looks like an
	// address and is none ("0", "127.1") is left to the resolver, which knows
	// names only.
	if len(d.name) > 0 {
		h.name = uint8(len(d.name))
		if a, err := netip.ParseAddr(string(d.name)); err == nil {
			d.addr = a
		}
	}
	if d.addr.IsValid() {
		x.peer[upstream] = endpointOf(netip.AddrPortFrom(d.addr, d.port))
		p.resolved(s, i, x, []netip.Addr{d.addr}, nil)
		return
	}
	p.lookUp(s, i, x, string(d.name))
}

// refuse tells the client why not, and half-closes: the client reads the reply
// and closes. A reset would overtake the reply.
func (p *Proxy) refuse(s *stack.Shard, i uint32, x *session, code Code) {
	if x.state != refusing {
		x.reply = code
		p.count.Replies[code]++
		p.write(s, x, appendReply(p.scratch[:0], code, netip.AddrPort{}))
	}
	x.state = refusing
	s.Shut(x.leg[client])
	p.arm(s, x, s.Now()+refuseFor)
	p.drain(s, i, x)
}

// drain discards what a refused client still sends, until it closes: unread
// data would turn our close into a reset.
func (p *Proxy) drain(s *stack.Shard, i uint32, x *session) {
	p.unhold(s, x, client)
	for {
		d, ok := s.Recv(x.leg[client])
		if !ok {
			if eof, done, err := s.Status(x.leg[client]); eof || done {
				p.end(s, i, Refused, err)
			}
			return
		}
		s.Pool().Release(d.Frame)
	}
}

func (p *Proxy) unhold(s *stack.Shard, x *session, a side) {
	if x.held[a].Len > 0 {
		s.Pool().Release(x.held[a].Frame)
		x.held[a] = frame.Span{}
	}
}

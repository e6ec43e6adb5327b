package proxy

import (
	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// relay moves what an event of leg a lets move.
func (p *Proxy) relay(s *stack.Shard, i uint32, x *session, a side, ev tcp.Event) {
	if ev&tcp.Finished != 0 {
		if _, done, err := s.Status(x.leg[a]); done && err != tcp.NoError {
			p.abort(s, i, gone[a], err)
			return
		}
	}
	if ev&(tcp.Readable|tcp.PeerClosed|tcp.Finished) != 0 {
		p.pump(s, x, a)
	}
	if ev&tcp.Writable != 0 {
		p.pump(s, x, a.other())
	}
	if ev&tcp.Finished != 0 {
		x.over[a] = true
	}
	if x.over[client] && x.over[upstream] {
		p.end(s, i, Closed, tcp.NoError)
		return
	}
	if ev&(tcp.Readable|tcp.Writable|tcp.PeerClosed) != 0 {
		p.arm(s, x, s.Now()+p.patience(x))
	}
}

// patience is how long nothing may happen.
func (p *Proxy) patience(x *session) tcp.Time {
	if x.shut[client] || x.shut[upstream] {
		return min(p.conf.Linger, p.conf.Idle)
	}
	return p.conf.Idle
}

// pump moves spans from a leg to the other while there is something to read and
// room to send, and passes the end of the stream on. It takes one span more
// than there is room for at most; everything else stays in the window of the
// connection it came from, so a slow reader slows the sender. The shard bounds
// what one visit receives, and calls again for the rest.
func (p *Proxy) pump(s *stack.Shard, x *session, a side) {
	from, to := x.leg[a], x.leg[a.other()]
	for {
		d := x.held[a]
		if d.Len == 0 {
			var ok bool
			if d, ok = s.Recv(from); !ok {
				p.shut(s, x, a)
				return
			}
		}
		if !s.Send(to, d) {
			x.held[a] = d // no room: its Writable brings us back
			return
		}
		x.held[a] = frame.Span{}
		x.moved[a] += uint64(d.Len)
		p.count.Moved[a] += uint64(d.Len)
		s.Pool().Release(d.Frame)
	}
}

// shut passes the end of a's stream on, once all before it was moved. The other
// direction goes on.
func (p *Proxy) shut(s *stack.Shard, x *session, a side) {
	if x.shut[a] {
		return
	}
	if eof, _, _ := s.Status(x.leg[a]); eof {
		x.shut[a] = true
		s.Shut(x.leg[a.other()])
	}
}

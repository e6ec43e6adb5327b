package proxy

import (
	"net/netip"

	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// End says how a session ended.
type End uint8

const (
	Closed           End = iota // in order, both directions
	Refused                     // with the reply of the record, or no method in common
	Malformed                   // the client does not speak SOCKS5
	ClientGone                  // the client's connection ended by itself: see Why
	UpstreamGone                // the destination's did
	HandshakeTimeout            // no request in time
	IdleTimeout                 // nothing moved
	LingerTimeout               // one direction had ended and nothing moved in the other
	NoFrames                    // the pool was exhausted
	ProxyStopped

	ends
)

func (e End) String() string {
	return [...]string{
		"closed", "refused", "malformed", "client gone", "upstream gone",
		"handshake timeout", "idle timeout", "linger timeout", "no frames", "proxy stopped",
	}[e]
}

var gone = [2]End{ClientGone, UpstreamGone}

// Record is what there is to say about a session when it is over.
type Record struct {
	Client   netip.AddrPort
	Name     string         // the name asked for; "": an address
	Upstream netip.AddrPort // the address asked for, or of the name's the one dialled last; not valid: none
	End      End
	Why      tcp.Reason // of the connection that ended by itself
	Reply    Code       // what the request was answered; with End Refused and Succeeded, the greeting was refused
	MPTCP    bool       // of the client's connection
	Subflows int        // the most of them that were seen
	Up, Down uint64     // bytes moved from the client, and to it
	Began    tcp.Time
	Ended    tcp.Time
}

// Counters count what happened since the start.
type Counters struct {
	Sessions     int // now
	Accepted     uint64
	TooMany      uint64 // connections aborted at MaxSessions
	Malformed    uint64
	NoMethod     uint64        // greetings without a method of ours
	Replies      [codes]uint64 // by Code
	Ends         [ends]uint64  // by End
	Timeouts     uint64        // deadlines of any kind that passed
	ResolverBusy uint64        // names refused because too many are being resolved
	AnswersLost  uint64        // the shard's mailbox was full
	Moved        [2]uint64     // bytes: up, down
}

// Count returns the counters; on the shard's thread.
func (p *Proxy) Count() Counters {
	c := p.count
	c.Sessions = p.sessions.Live()
	c.AnswersLost = p.lost.Load()
	return c
}

func (p *Proxy) record(s *stack.Shard, x *session, end End, why tcp.Reason) {
	p.count.Ends[end]++
	if p.conf.Record == nil {
		return
	}
	x.look(s)
	r := Record{
		Client: x.peer[client].addrPort(), Upstream: x.peer[upstream].addrPort(),
		End: end, Why: why, Reply: x.reply,
		MPTCP: x.mptcp, Subflows: int(x.subflows),
		Up: x.moved[client], Down: x.moved[upstream],
		Began: x.began, Ended: s.Now(),
	}
	if x.handshake != 0 {
		r.Name = p.handshakes.At(x.handshake).asked()
	}
	p.conf.Record(r)
}

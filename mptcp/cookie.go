package mptcp

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/tcp"
)

// MPTCP through SYN cookies (RFC 4987, 3.6): nothing is kept of a SYN, so our key must
// be found again from the third ACK, which carries both keys. It is derived
// from a secret, the handshake and a counter; the counter goes on until the key's token
// is free and ours. What the SYN's flags said is mixed in: of the few they can have
// been, those are the SYN's with which the echoed key is ours.
//
//	 0                                                   51          63
//	|        of derive(flags, counter)                    |counter ^ . |
//
// The counter stands in the key, under a mask of the handshake, so that to look whether a key
// is ours costs the same few hashes whatever it is.

// cookieCounter are the bits of the counter: as many keys are tried as draw tries.
const cookieCounter = keyDraws - 1

// Answer writes the SYN-ACK that answers syn by a cookie, with our MP_CAPABLE if the
// SYN has one. False: the SYN must not be answered at all.
func (s *Set) Answer(e *tcp.Env, k *tcp.Cookies, t *tcp.Tuple, p tcp.Params, syn, out *tcp.Segment) bool {
	var o options
	if s.conf.Enabled {
		o.parse(v1, syn.Raw[:syn.RawLen])
	}
	if o.is(subCapable) && mute(&o.cap) {
		s.Count.MPCapableMute++
		return false
	}
	s.cookieBuffer(&p)
	k.Answer(e, t, p, syn, out)
	if o.is(subCapable) {
		s.answerCapable(e, k, t, &o.cap, syn.Seq, out)
	}
	return true
}

// cookieBuffer sets the receive buffer, from which the window scale in the SYN-ACK follows: it must
// be known again though the option that told of MPTCP may be lost on the way.
func (s *Set) cookieBuffer(p *tcp.Params) {
	if s.conf.Enabled && p.RcvBuf == 0 {
		p.RcvBuf = s.conf.RcvBuf
	}
}

func (s *Set) answerCapable(e *tcp.Env, k *tcp.Cookies, t *tcp.Tuple, o *capableOption, peer tcp.Seq, out *tcp.Segment) {
	p, ok := chosen(o)
	if !ok {
		s.Count.MPCapableIgnored++
		return
	}
	s.Count.MPCapableSYNRX++
	key, ok := s.cookieKey(&cookieOf{k, t, peer, out.Seq, p, o.flags & capRemembered})
	if !ok {
		s.Count.MPFallbackTokenInit++
		return
	}
	c := conn{profile: p, csum: s.conf.Checksum || o.flags&capChecksum != 0}
	answer := s.mpCapable(&c, 12)
	answer.sender = key
	answer.put(out)
	s.cookieAt = e.Now
}

// capRemembered are the flags of a SYN that a cookie remembers.
const capRemembered = capChecksum | capNoJoin

// cookieOf is a handshake by cookie: what our key is derived from.
type cookieOf struct {
	k         *tcp.Cookies
	t         *tcp.Tuple
	peer, isn tcp.Seq
	p         profile
	flags     uint8 // of the SYN
}

func (h *cookieOf) derive(counter uint64) uint64 {
	d := h.k.Derive(h.t, h.peer, h.isn, [4]uint8{uint8(h.p), h.flags, uint8(counter >> 8), uint8(counter)})
	return binary.BigEndian.Uint64(d[:])
}

// key is the one of a counter; first is that of counter 0.
func (h *cookieOf) key(first, counter uint64) uint64 {
	if counter == 0 {
		return first
	}
	return h.derive(counter)&^cookieCounter | (first^counter)&cookieCounter
}

// cookieKey is the first key whose token is free and ours.
func (s *Set) cookieKey(h *cookieOf) (key uint64, ok bool) {
	first := h.derive(0)
	for n := range uint64(keyDraws) {
		key = h.key(first, n)
		if token, _ := h.p.digest(key); s.available(token) {
			return key, true
		}
	}
	return 0, false
}

// redeemed looks whether a key that the third ACK echoes is ours, and tells the flags of
// the SYN.
func (h *cookieOf) redeemed(key uint64) bool {
	for _, h.flags = range [...]uint8{0, capChecksum, capNoJoin, capRemembered} {
		first := h.derive(0)
		if h.key(first, (first^key)&cookieCounter) == key {
			return true
		}
	}
	return false
}

// Redeem is Accept with an ACK that answers a cookie: syn is what Cookies.Check has
// written. If the ACK has MP_CAPABLE with a key of ours whose token is free, the connection
// speaks MPTCP when it takes the ACK; if not, it is plain TCP, and the peer
// finds that out as in any fallback (RFC 8684, 3.7).
func (s *Set) Redeem(e *tcp.Env, k *tcp.Cookies, t *tcp.Tuple, p tcp.Params, syn, ack *tcp.Segment) (Flow, bool) {
	c, sf, ok := s.open(t)
	if !ok {
		return 0, false
	}
	s.redeemCapable(e, c, sf, &cookieOf{k: k, t: t, peer: syn.Seq, isn: ack.Ack - 1}, ack)
	s.cookieBuffer(&p)
	s.buffers(e, c, &p)
	sf.tcp.Accept(e, t, p, syn)
	s.wrap(c, sf)
	return s.flowHandle(sf), true
}

func (s *Set) redeemCapable(e *tcp.Env, c *conn, sf *subflow, h *cookieOf, ack *tcp.Segment) {
	if !s.conf.Enabled {
		return
	}
	var o options
	if o.parse(v1, ack.Raw[:ack.RawLen]); !o.is(subCapable) || o.cap.size < 20 || o.cap.version > uint8(v1) {
		return
	}
	h.p = profile(o.cap.version)
	if !h.redeemed(o.cap.receiver) {
		s.Count.MPCapableCookieKey++
		return
	}
	token, idsn := h.p.digest(o.cap.receiver)
	if !s.available(token) {
		s.Count.MPFallbackTokenInit++ // it was taken meanwhile
		return
	}
	s.adopt(e, c, sf, h.p, capableRcvd, o.cap.receiver, token, idsn)
	s.agreed(c, &capableOption{flags: h.flags})
	c.csum = c.csum || s.conf.Checksum
	if h.p == v0 {
		c.remoteKey = o.cap.sender // as the SYN had it
	}
}

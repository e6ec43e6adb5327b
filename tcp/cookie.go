package tcp

import (
	"crypto/sha256"
	"encoding/binary"
)

// Cookies answer SYNs without keeping anything (RFC 4987, 3.6): what must be
// known of a SYN is in our ISN and, if the peer has timestamps, in the low bits
// of the one it will echo.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	|                        MAC                            | MSS |K|   ISN
//	|                 clock                     |ECN|SACK|  shift  |   TSval, 26 + 1 + 1 + 4
//
// The MAC is over the tuple, the peer's ISN and all that the cookie says, so
// that nobody completes a handshake whose SYN-ACK he has not seen: a forger's
// chance is 2^-28 per segment. K names one of two keys. A key is drawn every
// cookiePeriod and forgotten after two: a cookie is good for 64 to 128 s.
//
// A wrapper whose own keys must survive a cookie derives them.
type Cookies struct {
	keys    [2][32]byte
	present uint8 // the key of this period
	until   Time  // its end
	live    Time  // end of the last cookie that was sent
	conn    Conn  // scratch
}

const cookiePeriod = 64 * Second

// cookieMSS is what a cookie can say of the peer's MSS: it gets the greatest
// that is not above. The first means Config.MinMSS; then the defaults of RFC
// 9293, 3.7.1 and what IPv4 and IPv6 leave of common links: tunnels, mobile
// networks, PPPoE, Ethernet, jumbo frames.
var cookieMSS = [8]uint16{0, 536, 1220, 1360, 1400, 1440, 1460, 8940}

// What the low bits of the timestamp say.
const (
	cookieShift = 15 // window scale; 15: none
	cookieSACK  = 1 << 4
	cookieECN   = 1 << 5
	cookieBits  = 1<<6 - 1
)

// Answer writes the SYN-ACK for syn. It is the one that Accept would have led
// to, but for what a peer without timestamps cannot echo: it gets neither SACK
// nor window scale nor ECN.
func (k *Cookies) Answer(e *Env, t *Tuple, p Params, syn, out *Segment) {
	k.rotate(e)
	c := &k.conn
	p.Wrapped = true // nothing is charged for it
	c.passiveOpen(e, t, p, syn)
	if !c.has(useTS) {
		c.flags &^= useSACK | useScale
		c.sndScale, c.rcvScale = 0, 0
	}
	c.outSYN(e, out)
	if !c.has(useTS) {
		out.Flags &^= ECE | CWR
	}
	told := cookieTold(c, out)
	if c.has(useTS) {
		out.Opts.TSVal = timestampTelling(out.Opts.TSVal, told)
	}
	mss := uint8(0)
	for int(mss)+1 < len(cookieMSS) && cookieMSS[mss+1] <= c.peerMSS {
		mss++
	}
	out.Seq = k.isn(t, syn.Seq, mss, k.present, told)
	k.live = e.Now + 2*cookiePeriod
	e.Count.SyncookiesSent++
	e.Count.OutSegs++
}

// Check reports whether ack completes a handshake that a cookie of ours began.
// It then writes the SYN, as far as the cookie remembers it: an Accept with
// Params.Answered and the ISN ack.Ack - 1, and Input of ack, open the flow.
func (k *Cookies) Check(e *Env, t *Tuple, ack, syn *Segment) bool {
	if e.Now >= k.live || ack.Flags&(SYN|RST|ACK) != ACK {
		return false // no cookie of ours can be on its way
	}
	k.rotate(e)
	isn := uint32(ack.Ack - 1)
	mss, key, told := uint8(isn>>1&7), uint8(isn&1), uint8(0)
	if ack.Opts.Has&HasTS != 0 && !e.Conf.NoTimestamps {
		told = cookieBits + 1 | uint8(ack.Opts.TSEcr)&cookieBits
	}
	if k.isn(t, ack.Seq-1, mss, key, told) != Seq(isn) {
		e.Count.SyncookiesFailed++
		return false
	}
	e.Count.SyncookiesRecv++
	*syn = Segment{Seq: ack.Seq - 1, Flags: SYN}
	o := &syn.Opts
	o.Has, o.MSS = HasMSS, cookieMSS[mss]
	if told == 0 {
		return true
	}
	o.Has |= HasTS
	o.TSVal = ack.Opts.TSVal
	if shift := told & cookieShift; shift != cookieShift {
		o.Has |= HasWScale
		o.WScale = shift
	}
	if told&cookieSACK != 0 {
		o.Has |= HasSACKOK
	}
	if told&cookieECN != 0 {
		syn.Flags |= ECE | CWR // RFC 3168, 6.1.1
	}
	return true
}

// Derive is a secret of the handshake that began with the peer's ISN and a cookie, for the purpose that what
// says. It is the same as long as the cookie is good.
func (k *Cookies) Derive(t *Tuple, peer, isn Seq, what [4]uint8) [32]byte {
	// The first byte tells it from a cookie's, where it is the MSS.
	return sum(&k.keys[isn&1], t, peer, 0xff, what[0], what[1], what[2], what[3])
}

// rotate draws the key that is due.
func (k *Cookies) rotate(e *Env) {
	if e.Now < k.until {
		return
	}
	if k.until == 0 || e.Now >= k.until+cookiePeriod {
		e.Rand.Read(k.keys[k.present][:]) // it is too old to be the one before
	}
	k.present ^= 1
	e.Rand.Read(k.keys[k.present][:])
	k.until = e.Now + cookiePeriod
}

// cookieTold is what goes into the timestamp, with a bit above that says that
// there is one; 0 without.
func cookieTold(c *Conn, out *Segment) uint8 {
	if !c.has(useTS) {
		return 0
	}
	told := uint8(cookieBits+1) | cookieShift
	if c.has(useScale) {
		told ^= cookieShift ^ c.sndScale
	}
	if c.has(useSACK) {
		told |= cookieSACK
	}
	if out.Flags&ECE != 0 {
		told |= cookieECN
	}
	return told
}

// timestampTelling is the latest timestamp, not after now, with these low bits: the
// flow's own timestamps must not lie before it.
func timestampTelling(now uint32, told uint8) uint32 {
	v := now&^cookieBits | uint32(told&cookieBits)
	if int32(v-now) > 0 {
		v -= cookieBits + 1
	}
	return v
}

// measureCookie takes the round trip from the echo of a cookie's timestamp: up to
// cookieBits ms too long, for its low bits tell something else. That does for a timeout, where too long
// is the safe side (RFC 6298, 2), and not for the least round trip.
func (c *Conn) measureCookie(e *Env, seg *Segment) {
	if !c.has(useTS) || seg.Opts.Has&HasTS == 0 {
		return
	}
	if rtt := c.tsRTT(e, seg.Opts.TSEcr); rtt > 0 && rtt < e.Conf.InitialRTO {
		c.smooth(rtt)
		c.rto = c.timeout(e.Conf)
	}
}

// isn is the cookie for these facts by key key.
func (k *Cookies) isn(t *Tuple, peer Seq, mss, key, told uint8) Seq {
	mac := sum(&k.keys[key], t, peer, mss, told)
	return Seq(binary.BigEndian.Uint32(mac[:])&^15 | uint32(mss)<<1 | uint32(key))
}

// sum is a keyed hash of a handshake.
func sum(key *[32]byte, t *Tuple, peer Seq, what ...uint8) [32]byte {
	var b [32 + 16 + 16 + 2 + 2 + 4 + 8]byte
	copy(b[:], key[:])
	copy(b[32:], t.Local[:])
	copy(b[48:], t.Remote[:])
	binary.BigEndian.PutUint16(b[64:], t.LocalPort)
	binary.BigEndian.PutUint16(b[66:], t.RemotePort)
	binary.BigEndian.PutUint32(b[68:], uint32(peer))
	copy(b[72:], what)
	return sha256.Sum256(b[:])
}

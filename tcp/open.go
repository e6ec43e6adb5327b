package tcp

// defaultMSS is what a peer that announces none can take (RFC 9293, 3.7.1).
const (
	defaultMSS4 = 536
	defaultMSS6 = 1220
)

// Open begins an active open: Output then yields the SYN.
func (c *Conn) Open(e *Env, t *Tuple, p Params) {
	c.begin(e, t, p)
	c.state = SynSent
	e.Count.ActiveOpens++
	if !e.Conf.NoTimestamps {
		c.flags |= useTS
	}
	if !e.Conf.NoSACK {
		c.flags |= useSACK
	}
	c.flags |= useScale
	c.askECN(e.Conf)
}

// Accept begins a passive open with a SYN that was found to be for us: Output
// then yields the SYN-ACK. Payload of the SYN is not taken: the peer sends it
// again. If Params.Answered, the SYN-ACK has gone out already, as a cookie.
func (c *Conn) Accept(e *Env, t *Tuple, p Params, syn *Segment) {
	e.Count.PassiveOpens++
	c.passiveOpen(e, t, p, syn)
	if p.Answered {
		c.owe &^= oweSYN
		c.announce(e, true) // what the cookie promised
		c.sndNxt = c.iss + 1
	}
}

func (c *Conn) passiveOpen(e *Env, t *Tuple, p Params, syn *Segment) {
	c.begin(e, t, p)
	c.state = SynRcvd
	c.flags |= passive
	c.takeSYN(e, syn)
}

// begin sets what both opens share.
func (c *Conn) begin(e *Env, t *Tuple, p Params) {
	*c = Conn{}
	if c.iss = p.ISN; !p.HasISN {
		c.iss = ISN(e, t)
	}
	c.tsOffset = TSOffset(e, t)
	c.sndUna, c.sndNxt = c.iss, c.iss
	c.sndEnd = c.iss + 1 // the first queued byte follows the SYN
	c.recover, c.cwrEnd = c.iss, c.iss
	c.rto = e.Conf.InitialRTO
	c.ourMSS = p.MSS
	c.pathMSS = max(p.PathMSS, e.Conf.MinMSS)
	c.peerMSS = defaultMSS6
	if t.Remote.Is4() {
		c.peerMSS = defaultMSS4
	}
	c.rcvMSS = min(defaultMSS4, max(p.MSS, 1))
	c.sndBuf = orDefault(p.SndBuf, e.Conf.SndBuf)
	rcvBuf := orDefault(p.RcvBuf, e.Conf.RcvBuf)
	if p.Wrapped {
		c.rcv.Borrow(e.Windows.first(e.Conf.RcvStart), rcvBuf)
	} else {
		c.rcv.Begin(&e.Windows, e.Conf.RcvStart, rcvBuf)
	}
	c.userTimeout = uint32(orDefault(p.UserTimeout, e.Conf.UserTimeout) / Millisecond)
	c.ctl = p.Controller
	if c.ctl == 0 {
		c.ctl = e.Conf.Controller
	}
	for rcvBuf>>c.rcvScale > 1<<16-1 && c.rcvScale < 14 {
		c.rcvScale++
	}
	if p.NoKeepAlive {
		c.flags |= noKeep
	}
	c.quick = quickAcks
	c.reoMult = 1
	c.owe = oweSYN
	c.lastIn = e.Now
}

func orDefault[T uint32 | Time](n, otherwise T) T {
	if n == 0 {
		return otherwise
	}
	return n
}

// takeSYN learns from the peer's SYN what it can do. In an active open the
// options we offered are kept only if the peer offers them too.
func (c *Conn) takeSYN(e *Env, syn *Segment) {
	offered := useSACK | useTS | useScale
	if !c.has(passive) {
		offered = c.flags & offered
	}
	c.flags &^= useSACK | useTS | useScale
	o := &syn.Opts
	if o.Has&HasSACKOK != 0 && !e.Conf.NoSACK {
		c.flags |= offered & useSACK
	}
	if o.Has&HasTS != 0 && !e.Conf.NoTimestamps {
		c.flags |= offered & useTS
		c.tsRecent, c.tsRecentAt = o.TSVal, e.Now
	}
	if o.Has&HasWScale != 0 {
		c.flags |= offered & useScale
	}
	c.sndScale = o.WScale
	if !c.has(useScale) {
		c.sndScale, c.rcvScale = 0, 0
	}
	if o.Has&HasMSS != 0 {
		c.peerMSS = o.MSS
	}
	c.peerMSS = max(c.peerMSS, e.Conf.MinMSS)
	c.takeECN(e, syn)
	c.irs = syn.Seq
	c.rcvNxt = syn.Seq + 1
	c.lastAck, c.rcvAdv = c.rcvNxt, c.rcvNxt
	// The window of a SYN is not scaled (RFC 7323, 2.2).
	c.setWindow(syn, 0)
}

// inputSynSent is RFC 9293, 3.10.7.3.
func (c *Conn) inputSynSent(e *Env, seg *Segment) Verdict {
	if seg.Flags&ACK != 0 && (!seg.Ack.After(c.iss) || seg.Ack.After(c.sndNxt)) {
		e.Count.AckOfUnsent++
		if seg.Flags&RST == 0 {
			c.reject(seg.Ack)
		}
		return Unacceptable
	}
	if seg.Flags&RST != 0 {
		if seg.Flags&ACK == 0 {
			e.Count.ResetIgnored++ // anybody could have sent it
			return Unacceptable
		}
		if c.refusedECN(e) {
			return Acceptable
		}
		e.Count.AttemptFails++
		c.finish(e, Refused)
		return Acceptable
	}
	if seg.Flags&SYN == 0 {
		e.Count.NoSYNFlag++
		return Unacceptable
	}
	c.takeSYN(e, seg)
	c.lastIn = e.Now
	if seg.Flags&ACK == 0 { // simultaneous open
		c.state = SynRcvd
		c.owe |= oweSYN
		return Acceptable
	}
	// Its payload, if any, is not taken: the peer sends it again.
	c.owe |= oweACK
	c.establish(e, seg)
	return Acceptable
}

// establish ends the handshake: seg acknowledges our SYN.
func (c *Conn) establish(e *Env, seg *Segment) {
	c.state = Established
	c.sndUna = c.iss + 1
	c.sndNxt = c.sndUna
	c.fack, c.recover, c.undone, c.lostEnd, c.roundEnd, c.limitedEnd = c.sndUna, c.iss, c.sndUna, c.sndUna, c.sndUna, c.sndUna
	c.owe &^= oweSYN
	c.stopRetry()
	switch {
	case c.lastOut == 0:
		c.measureCookie(e, seg)
	case !c.has(synAgain):
		c.sampleRTT(e, e.Now-c.lastOut)
	case c.has(useTS) && seg.Opts.Has&HasTS != 0 && seg.Opts.TSEcr != 0 && c.tsRTT(e, seg.Opts.TSEcr) < e.Conf.InitialRTO:
		c.sampleRTT(e, c.tsRTT(e, seg.Opts.TSEcr))
	default:
		// An echo of the first SYN may be late because its answer was lost: as a
		// sample it would spoil the RTO for long.
		c.rto = max(c.rto, 3*Second) // RFC 6298, 5.7
	}
	c.timeouts = 0
	c.peerMSS = min(c.peerMSS, c.pathMSS)
	c.beginRcvRTT(e)
	c.cc.MSS = c.mss()
	c.cc.Cwnd = initialWindow(e.Conf, c.cc.MSS)
	if c.has(synAgain) {
		c.cc.Cwnd = c.cc.MSS // RFC 5681, 3.1
	}
	c.cc.Ssthresh = InitialSsthresh
	c.control().Init(&c.cc, e.Now, c.srtt)
	c.setPace(e.Conf)
	c.armIdle(e)
	c.events |= Connected | Writable
	if c.has(shut) {
		c.state = FinWait1
	}
}

func initialWindow(conf *Config, mss uint32) uint32 {
	return max(conf.InitialWindow, 1) * mss
}

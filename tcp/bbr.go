package tcp

// bbr models the path instead of answering losses: by the most it delivered
// (bandwidth) and the least round trip (draft-cardwell-iccrg-bbr-congestion-control-00,
// the first version, which is Linux's). It paces at the bandwidth, probes for
// more now and then, and bounds what is in flight by twice their product.
//
// Of the later drafts (draft-ietf-ccwg-bbr) it has what is cheap: PROBE_RTT
// keeps half of the product in flight instead of four segments, and comes
// twice as often; marks of ECN put a bound on what is in flight. A bound by
// loss is not taken over: a radio loses more than the drafts' 2 %, and a proxy for
// phones exists to carry data over radios. There is no model of policers.
type bbr struct{}

// Gains are in 1/256.
const (
	gainOne   = 256
	gainHigh  = 739 // 2/ln(2), the least that lets the rate double in each round
	gainDrain = 88  // its inverse: STARTUP's queue is gone in one round
	gainCwnd  = 512 // room for delayed and stretched ACKs
	gainUp    = 320
	gainDown  = 192

	bbrPhases    = 8          // of PROBE_BW's cycle, a least round trip each
	bbrRounds    = 10         // that a bandwidth counts: more than a cycle
	bbrFull      = 3          // rounds without a quarter's growth: the path is full
	bbrMinWindow = 4          // segments: so few that ACKs still come without the peer's timer
	bbrMinRTT    = 5000       // ms that the least round trip counts
	bbrProbeRTT  = 200        // ms of a small window, at least
	bbrExtra     = 5          // rounds in half of the window of ACK aggregation
	bbrMaxExtra  = 100 * 1000 // us of bandwidth: the longest aggregation made up for
	bbrMargin    = 99         // per cent of the bandwidth are paced, so that queues drain
	bbrBackoff   = 218        // 1/256: what stays of the flight after a mark
)

type bbrMode uint8

const (
	startup bbrMode = iota
	drain
	probeBW
	probeRTT
)

type bbrFlags uint16

const (
	bbrFilled     bbrFlags = 1 << iota // STARTUP has filled the path
	bbrRoundStart                      // this ACK began a round
	bbrIdle                            // the flow begins again after a silence
	bbrEntered                         // recovery began
	bbrConserve                        // its first round: one byte out for each in
	bbrRecovery                        // of losses or a timeout
	bbrRoundDone                       // a round passed in PROBE_RTT
	bbrLimited                         // the last sample was limited by the application
	bbrHeld                            // in this round the peer's window held us up
)

// model is the path as it was seen last.
type model struct {
	bw       peak   // bytes per second
	minRTT   uint32 // us; 0: no sample
	minRTTAt uint32 // ms
	until    uint32 // ms; end of PROBE_RTT, 0 until little is in flight
	round    uint32 // rate.delivered at which the round ends
	phaseAt  uint32 // us; when the phase began
	full     uint32 // bandwidth when it last grew by a quarter
	prior    uint32 // window to restore
	bound    uint32 // of what is in flight; 0: none
	aggAt    uint32 // us; when the sampling of ACK aggregation began
	agg      uint32 // bytes acknowledged since
	extra    [2]uint32
	rounds   uint8
	extraAge uint8 // rounds of extra[0]
	stuck    uint8 // rounds in which bandwidth did not grow
	phase    uint8
	mode     bbrMode
	flags    bbrFlags
}

func (bbr) Name() string { return "bbr" }
func (bbr) Leads() bool  { return true }

func (bbr) Init(cc *CC, now, rtt Time) {
	m := &cc.model
	*m = model{minRTT: micros(rtt), minRTTAt: millis(now), aggAt: micros(now)}
	m.firstPace(cc, rtt)
}

// firstPace is the rate before anything is known but a round trip, if that.
func (m *model) firstPace(cc *CC, rtt Time) {
	if rtt == 0 {
		rtt = Millisecond
	}
	cc.Pace = perSecond(uint64(cc.Cwnd)*gainHigh/gainOne, rtt)
}

func (bbr) OnAck(cc *CC, s AckSample) {
	m := &cc.model
	if m.minRTT == 0 && s.SRTT > 0 {
		m.firstPace(cc, s.SRTT)
	}
	m.measure(cc, s)
	m.aggregate(cc, s)
	m.cycle(cc, s)
	m.fill(cc, s)
	m.roundTrip(cc, s)
	m.pace(cc, m.gain())
	m.window(cc, s)
}

// measure takes the bandwidth sample and counts rounds.
func (m *model) measure(cc *CC, s AckSample) {
	m.set(bbrRoundStart, false)
	r := s.Rate
	if r.Interval == 0 {
		return
	}
	if int32(r.Prior-m.round) >= 0 {
		m.endRound(s)
	}
	m.set(bbrLimited, r.Limited)
	bw := perSecond(uint64(r.Bytes), r.Interval)
	if !r.Limited || bw >= m.bw.max() {
		m.bw.add(bw, m.rounds, bbrRounds)
	}
}

func (m *model) endRound(s AckSample) {
	m.flags = m.flags&^bbrConserve | bbrRoundStart
	m.rounds++
	m.round = s.Rate.Total
}

// limit bounds what is in flight: a queue is about to overflow. The
// bound is raised with each cycle.
func (m *model) limit(cc *CC, inFlight uint32) {
	inFlight = min(inFlight, cc.Cwnd)
	m.bound = max(part(inFlight, bbrBackoff), m.product(cc, gainOne)/2, bbrMinWindow*cc.MSS)
}

// aggregate measures by how much ACKs come in larger bunches than the bandwidth
// explains: Wi-Fi, LTE and receivers that coalesce hold them back, and the
// window must outlast the silence.
func (m *model) aggregate(cc *CC, s AckSample) {
	if m.flags&bbrRoundStart != 0 {
		if m.extraAge++; m.extraAge >= bbrExtra {
			m.extraAge = 0
			m.extra[0], m.extra[1] = 0, m.extra[0]
		}
	}
	if s.Rate.Interval == 0 || s.Acked == 0 {
		return
	}
	now := micros(s.Now)
	expected := uint64(m.bw.max()) * uint64(now-m.aggAt) / 1e6
	if uint64(m.agg) <= expected || m.agg >= maxCwnd {
		m.agg, m.aggAt, expected = 0, now, 0
	}
	m.agg += s.Acked
	m.extra[0] = max(m.extra[0], min(m.agg-uint32(expected), cc.Cwnd))
}

// cycle goes through the phases of PROBE_BW: up to see whether there is more,
// down to drain what that queued, and then cruise.
func (m *model) cycle(cc *CC, s AckSample) {
	if m.mode != probeBW {
		return
	}
	done := micros(s.Now)-m.phaseAt > m.minRTT
	switch gain := m.gain(); {
	case gain > gainOne: // until that much is in flight, unless losses or the bound forbid it
		bounded := m.bound != 0 && s.InFlight+cc.MSS > m.bound // by whole segments
		done = done && (s.Lost > 0 || s.InFlight >= m.inFlight(cc, gain) || bounded)
	case gain < gainOne:
		done = done || s.Pipe <= m.inFlight(cc, gainOne)
	}
	if done {
		m.enterPhase(cc, s.Now, (m.phase+1)%bbrPhases)
	}
}

func (m *model) enterPhase(cc *CC, now Time, phase uint8) {
	m.phase, m.phaseAt = phase, micros(now)
	if phase == 0 && m.bound != 0 {
		if m.bound += m.bound / 4; m.bound > m.inFlight(cc, gainCwnd) {
			m.bound = 0
		}
	}
}

// enterProbeBW begins the cycle anywhere but in the phase that drains, so that
// flows that share a queue do not probe together.
func (m *model) enterProbeBW(cc *CC, now Time) {
	m.mode = probeBW
	phase := uint8(micros(now) % (bbrPhases - 1))
	if phase != 0 {
		phase++
	}
	m.enterPhase(cc, now, phase)
}

// fill ends STARTUP when bandwidth stands still for three rounds, and DRAIN
// when the queue is gone. A round in which the peer's window held us up, as it does
// behind a hole, says nothing unless a queue shows that the path is full.
func (m *model) fill(cc *CC, s AckSample) {
	m.set(bbrHeld, (m.flags&bbrHeld != 0 || s.Held) && !m.queued(s))
	if m.flags&(bbrFilled|bbrRoundStart|bbrLimited) == bbrRoundStart {
		m.judge()
	}
	if m.mode == startup && m.flags&bbrFilled != 0 {
		m.mode = drain
	}
	if m.mode == drain && s.Pipe <= m.inFlight(cc, gainOne) {
		m.enterProbeBW(cc, s.Now)
	}
}

// queued reports whether round trips show that there is a queue.
func (m *model) queued(s AckSample) bool { return micros(s.SRTT) >= m.minRTT+m.minRTT/8 }

// judge says at the end of a round of STARTUP whether the path is full.
func (m *model) judge() {
	switch bw := m.bw.max(); {
	case bw >= m.full+m.full/4:
		m.full, m.stuck = bw, 0
	case m.flags&bbrHeld != 0:
	default:
		if m.stuck++; m.stuck >= bbrFull {
			m.set(bbrFilled, true)
		}
	}
	m.set(bbrHeld, false)
}

// roundTrip keeps the least round trip. If it was not seen for long it is
// looked for with so little in flight that queues are empty.
func (m *model) roundTrip(cc *CC, s AckSample) {
	now := millis(s.Now)
	expired := now-m.minRTTAt > bbrMinRTT
	if rtt := max(micros(s.RTT), 1); s.RTT > 0 {
		// A lone segment's ACK may have been delayed.
		delayed := s.Acked < cc.MSS
		if m.minRTT == 0 || rtt <= m.minRTT || expired && !delayed {
			m.minRTT, m.minRTTAt = rtt, now
		}
	}
	if expired && m.flags&bbrIdle == 0 && m.mode != probeRTT {
		m.save(cc)
		m.mode, m.until = probeRTT, 0
	}
	if m.mode == probeRTT {
		m.probe(cc, s, now)
	}
	if s.Rate.Bytes > 0 {
		m.set(bbrIdle, false)
	}
}

func (m *model) probe(cc *CC, s AckSample, now uint32) {
	cc.rate.limit(s.Pipe) // what is delivered meanwhile says nothing of the path
	if m.until == 0 {
		if s.Pipe <= m.small(cc) {
			m.until = nonzero(now + bbrProbeRTT)
			m.set(bbrRoundDone, false)
			m.round = s.Rate.Total
		}
		return
	}
	if m.flags&bbrRoundStart != 0 {
		m.set(bbrRoundDone, true)
	}
	if m.flags&bbrRoundDone != 0 {
		m.endProbe(cc, s.Now)
	}
}

func (m *model) endProbe(cc *CC, now Time) {
	if m.until == 0 || int32(millis(now)-m.until) < 0 {
		return
	}
	m.minRTTAt = millis(now)
	cc.Cwnd = max(cc.Cwnd, m.prior)
	if m.flags&bbrFilled == 0 {
		m.mode = startup
		return
	}
	m.enterProbeBW(cc, now)
}

// pace sets the rate. Until the path is full it only grows.
func (m *model) pace(cc *CC, gain uint32) {
	bw := m.bw.max()
	if bw == 0 {
		return
	}
	rate := uint32(min(uint64(bw)*uint64(gain)/gainOne*bbrMargin/100, 1<<32-1))
	if m.flags&bbrFilled != 0 || rate > cc.Pace {
		cc.Pace = max(rate, 1)
	}
}

// window sets what may be in flight.
func (m *model) window(cc *CC, s AckSample) {
	if s.Lost > 0 {
		cc.Cwnd -= min(cc.Cwnd, s.Lost)
	}
	switch {
	case m.flags&bbrEntered != 0 && (m.flags&bbrFilled != 0 || m.queued(s)):
		// In STARTUP not before there is a queue that may have overflowed: a radio loses in
		// each round, and conservation after each would keep the path from being filled.
		m.flags = m.flags&^bbrEntered | bbrConserve
		m.round = s.Rate.Total
		cc.Cwnd = s.Pipe + s.Acked
	case m.flags&bbrRecovery != 0 && s.Open:
		m.flags &^= bbrRecovery | bbrConserve | bbrEntered
		cc.Cwnd = max(cc.Cwnd, m.prior)
	}
	if m.flags&bbrConserve != 0 {
		cc.Cwnd = max(cc.Cwnd, s.Pipe+s.Acked)
	} else if s.Acked > 0 {
		m.approach(cc, s)
	}
	cc.Cwnd = min(max(cc.Cwnd, bbrMinWindow*cc.MSS), maxCwnd)
	if m.bound != 0 {
		cc.Cwnd = min(cc.Cwnd, m.bound)
	}
	if m.mode == probeRTT {
		cc.Cwnd = min(cc.Cwnd, m.small(cc))
	}
}

// approach moves the window towards its target by what was acknowledged.
func (m *model) approach(cc *CC, s AckSample) {
	gain := uint32(gainCwnd)
	if m.mode == startup || m.mode == drain {
		gain = gainHigh
	}
	target := m.inFlight(cc, gain)
	if m.flags&bbrFilled != 0 {
		longest := uint64(m.bw.max()) * bbrMaxExtra / 1e6
		target += uint32(min(uint64(max(m.extra[0], m.extra[1])), longest))
		cc.Cwnd = min(cc.Cwnd+s.Acked, target)
	} else if cc.Cwnd < target || s.Rate.Total < 2*cc.Cwnd {
		cc.Cwnd += s.Acked
	}
}

// product is what is in flight when the path is full and its queues are
// empty, times gain.
func (m *model) product(cc *CC, gain uint32) uint32 {
	if m.minRTT == 0 || m.bw.max() == 0 {
		return cc.Cwnd
	}
	bdp := uint64(m.bw.max()) * uint64(m.minRTT) / 1e6
	return uint32(min(bdp*uint64(gain)/gainOne, maxCwnd/2))
}

// inFlight adds to the product the bursts that wait in the sender, in the
// network's offloads and in the receiver.
func (m *model) inFlight(cc *CC, gain uint32) uint32 {
	n := m.product(cc, gain) + 3*cc.burst()
	if m.mode == probeBW && m.phase == 0 {
		n += 2 * cc.MSS // or a small window could not probe
	}
	return n
}

// small is PROBE_RTT's window.
func (m *model) small(cc *CC) uint32 {
	return max(m.product(cc, gainOne)/2, bbrMinWindow*cc.MSS)
}

// gain is the pacing gain.
func (m *model) gain() uint32 {
	switch {
	case m.mode == startup:
		return gainHigh
	case m.mode == drain:
		return gainDrain
	case m.mode == probeBW && m.phase == 0:
		return gainUp
	case m.mode == probeBW && m.phase == 1:
		return gainDown
	}
	return gainOne
}

// save keeps the window for when it is restored.
func (m *model) save(cc *CC) {
	if m.flags&bbrRecovery == 0 && m.mode != probeRTT {
		m.prior = 0
	}
	m.prior = max(m.prior, cc.Cwnd)
}

func (bbr) OnLoss(cc *CC, s LossSample) {
	m := &cc.model
	if s.ECN {
		m.limit(cc, s.InFlight)
		cc.Cwnd = min(cc.Cwnd, m.bound)
		return
	}
	m.save(cc)
	m.flags |= bbrRecovery | bbrEntered
}

func (bbr) OnRTO(cc *CC, _ LossSample) {
	m := &cc.model
	m.save(cc)
	m.flags = m.flags&^(bbrEntered|bbrConserve) | bbrRecovery
	m.full, m.stuck = 0, 0
	m.round = cc.rate.delivered // what is sent from now on is a new round
	cc.Cwnd = cc.MSS
}

// OnIdle sends on at the bandwidth that was known: pacing protects the path,
// so that the window may stay as it was.
func (bbr) OnIdle(cc *CC, s IdleSample) {
	m := &cc.model
	if cc.rate.starved == 0 {
		return
	}
	m.set(bbrIdle, true)
	m.aggAt, m.agg = micros(s.Now), 0
	switch m.mode {
	case probeBW:
		m.pace(cc, gainOne)
	case probeRTT:
		m.endProbe(cc, s.Now)
	}
}

// OnUndo looks again whether the path is full: what stopped the growth was no loss.
func (bbr) OnUndo(cc *CC) {
	m := &cc.model
	m.full, m.stuck = 0, 0
	cc.Cwnd = max(cc.Cwnd, m.prior)
}

func (m *model) set(f bbrFlags, on bool) {
	m.flags &^= f
	if on {
		m.flags |= f
	}
}

func part(n, of256 uint32) uint32 { return uint32(uint64(n) * uint64(of256) / 256) }

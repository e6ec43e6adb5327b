package tcp

// Stall is how long a peer has not made progress. Progress is measured in
// bytes: a peer that takes a byte a minute holds frames as one that takes none.
type Stall struct {
	since uint32 // when the stretch began, in ms; 0: nothing waits
	goal  uint32 // what must be acknowledged to begin another
}

// stallShare is the part of what waits that has to be acknowledged before the
// clock begins anew: an eighth, so that what a peer leaves lying is gone, or
// the peer, after a few times the patience for it.
const stallShare = 8

// Waits notes that bytes up to end wait, those from una on without
// acknowledgement.
func (s *Stall) Waits(now Time, una, end uint32) {
	if s.since == 0 {
		s.begin(now, una, end)
	}
}

func (s *Stall) begin(now Time, una, end uint32) {
	s.since, s.goal = max(millis(now), 1), una+max((end-una)/stallShare, 1)
}

// Acked notes that una moved.
func (s *Stall) Acked(now Time, una, end uint32) {
	switch {
	case una == end:
		s.since = 0
	case s.since == 0 || int32(una-s.goal) >= 0:
		s.begin(now, una, end)
	}
}

// Waited is for how long there was no progress, 0 if nothing waits.
func (s *Stall) Waited(now Time) Time {
	if s.since == 0 {
		return 0
	}
	return Time(millis(now)-s.since) * Millisecond
}

// patience is how long the peer may be without progress while data waits for
// it, Never if only retransmissions are counted: what the user wants (RFC 5482),
// and no more than Config.FinWait2 when nobody is left to care.
func (c *Conn) patience(conf *Config) Time {
	p := Time(c.userTimeout) * Millisecond
	if p == 0 {
		p = Never
	}
	if c.has(orphan) {
		p = min(p, conf.FinWait2)
	}
	return p
}

func (c *Conn) outOfPatience(e *Env) bool { return c.stall.Waited(e.Now) >= c.patience(e.Conf) }

// soon is the time at, or when patience ends if that is earlier.
func (c *Conn) soon(e *Env, at Time) Time {
	p := c.patience(e.Conf)
	if p == Never || c.stall.since == 0 {
		return at
	}
	return min(at, e.Now+max(p-c.stall.Waited(e.Now), 0))
}

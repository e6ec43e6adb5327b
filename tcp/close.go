package tcp

// Abort drops all that is queued; Output yields a RST if the state owes one,
// then the flow is Finished (RFC 9293, 3.10.5).
func (c *Conn) Abort(e *Env) { c.abort(e, Aborted) }

func (c *Conn) abort(e *Env, r Reason) {
	switch c.state {
	case Closed:
		return
	case SynRcvd, Established, FinWait1, FinWait2, CloseWait:
		if c.state == SynRcvd && c.sndNxt == c.iss {
			break // the peer has not heard of us
		}
		c.rstSeq = c.sndNxt
		c.drop(e, true)
		c.state, c.err = Closed, r
		c.owe = oweRST // Output then says Finished
		return
	}
	c.finish(e, r)
}

// giveUp ends a flow whose peer does not answer.
func (c *Conn) giveUp(e *Env) {
	r := TimedOut
	if c.state < Established {
		e.Count.AttemptFails++
		if c.has(softError) {
			r = Unreachable
		}
	}
	c.abort(e, r)
}

// finish ends the flow now. What was received in order before an orderly end
// can still be read.
func (c *Conn) finish(e *Env, r Reason) {
	c.drop(e, r != NoError)
	c.state, c.err = Closed, r
	c.owe = 0
	c.events |= Finished
}

// drop releases the queues and stops the timers.
func (c *Conn) drop(e *Env, unread bool) {
	c.sndq.free(e)
	c.ofoq.free(e)
	if unread {
		c.rcvq.free(e)
		c.rcvBytes = 0
	}
	c.fresh, c.hint, c.early, c.nBlocks = 0, 0, 0, 0
	c.flight, c.gone, c.untold = chain{}, chain{}, 0
	c.pipe, c.goneBytes, c.goneHint, c.sackedNodes, c.sackedJoined = 0, 0, 0, 0, 0
	c.retryAt, c.reorderAt, c.ackAt, c.idleAt, c.waitAt = 0, 0, 0, 0, 0
	c.retryKind = retryNone
	c.flags &^= paceWait
}

// timeWait enters TIME-WAIT. The flow is Finished for its application; the
// stack remembers what TimeWait tells.
func (c *Conn) timeWait(e *Env) {
	owe := c.owe & oweACK
	c.drop(e, false)
	c.owe = owe
	c.state = TimeWaitState
	c.waitAt = e.Now + 2*e.Conf.MSL
	c.events |= Finished
}

// TimeWait is what must be remembered of a flow in TIME-WAIT.
func (c *Conn) TimeWait(e *Env) TimeWait {
	return TimeWait{
		SndNxt: c.sndNxt, RcvNxt: c.rcvNxt, Wnd: c.announce(e, false),
		HasTS: c.has(useTS), TSRecent: c.tsRecent, until: TSClock(c.waitAt) + 1,
	}
}

// Orphan says that nobody will call Recv any more: unread data is released,
// payload that still comes is answered with a RST (RFC 9293, 3.6.1; RFC 2525,
// 2.17), and FIN-WAIT-2 lasts no longer than Config.FinWait2.
func (c *Conn) Orphan(e *Env) {
	c.flags |= orphan
	c.rcvq.free(e)
	c.rcvBytes = 0
	c.armWait(e)
}

// Free releases every node and frame. The Conn is then the zero value.
func (c *Conn) Free(e *Env) {
	c.drop(e, true)
	c.rcv.End(&e.Windows)
	*c = Conn{}
}

package stack

import (
	"net/netip"
	"testing"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// hoard is frames that somebody else holds.
type hoard struct {
	s    *Shard
	held []uint32
}

// leave lets n frames free.
func (h *hoard) leave(n int) {
	for h.s.pool.Free() > n {
		f, _ := h.s.pool.Get()
		h.held = append(h.held, f)
	}
	for h.s.pool.Free() < n && len(h.held) > 0 {
		h.s.pool.Release(h.held[len(h.held)-1])
		h.held = h.held[:len(h.held)-1]
	}
}

// unread is a couple with a connection on which much came to b that nobody reads.
func unread(t *testing.T) (*couple, mptcp.Conn) {
	c := newCouple(t, nil)
	at, bt := c.dial(t)
	if n := c.a.Write(at, make([]byte, 60<<10)); n != 60<<10 {
		t.Fatalf("%d bytes written", n)
	}
	c.until(t, "all has come", func() bool { return c.b.Readable(bt) == 60<<10 })
	return c, bt
}

// TestStepsComeInOrder: each step begins at its mark, and none before.
func TestStepsComeInOrder(t *testing.T) {
	c, bt := unread(t)
	h := &hoard{s: c.b}
	low, shed := c.b.pressure.low, &c.b.stats.Shed
	at := func(free int) {
		h.leave(free)
		for range 10 {
			c.now += sweepGap
			c.b.Turn(c.now)
		}
	}
	join := func() bool {
		before := len(c.appB.accepted)
		if _, err := c.a.Dial(netip.MustParseAddrPort("10.0.0.2:80"), 0); err != nil {
			t.Fatal(err)
		}
		for range 200 { // no time passes
			c.a.Turn(c.now)
			c.b.Turn(c.now)
			c.now += gap
		}
		return len(c.appB.accepted) > before
	}
	expect := func(what string, want ...Step) {
		t.Helper()
		var begun [numSteps]bool
		for _, s := range want {
			begun[s] = true
		}
		for s, n := range shed {
			if n > 0 != begun[s] {
				t.Errorf("%s: %v counts %d", what, Step(s), n)
			}
		}
	}
	at(4*low + 1)
	expect("plenty")
	at(4*low - 1)
	expect("under a quarter", StepPack)
	if n := c.b.Readable(bt); n != 60<<10 {
		t.Errorf("%d bytes readable", n)
	}
	at(2*low - 1)
	expect("under an eighth", StepPack) // nothing came out of order
	if c.b.env.Windows.Short {
		t.Error("windows are held too soon")
	}
	at(3*low/2 - 1)
	expect("under 3/2", StepPack, StepWindows)
	if !c.b.env.Windows.Short || !join() {
		t.Error("windows are not held, or connections refused too soon")
	}
	at(low - 1)
	if join() {
		t.Error("a connection is let in without frames")
	}
	expect("under a sixteenth", StepPack, StepWindows, StepRefuse)
	for limit := c.now + slowest; c.now < limit && shed[StepAbort] == 0; {
		c.step()
	}
	for range 100 {
		c.step()
	}
	expect("for long", StepPack, StepWindows, StepRefuse, StepAbort)
	if shed[StepAbort] != 1 || c.appB.events[bt]&tcp.Finished == 0 {
		t.Errorf("%d aborted, the application heard %b", shed[StepAbort], c.appB.events[bt])
	}
	if _, done, why := c.b.Status(bt); !done || why != tcp.Shed {
		t.Errorf("done %v, %v", done, why)
	}
	h.leave(1 << 20)
	c.b.Turn(c.now)
	if c.b.env.Windows.Short || c.b.pressure.abort || !join() {
		t.Error("it does not end")
	}
}

// TestStepNames: every step has one.
func TestStepNames(t *testing.T) {
	for s := range Step(numSteps) {
		if s.String() == "" {
			t.Errorf("step %d has no name", s)
		}
	}
}

// TestWriterHearsOfFrames: who found none when writing is told when there are.
func TestWriterHearsOfFrames(t *testing.T) {
	c := newCouple(t, nil)
	_, bt := c.dial(t)
	h := &hoard{s: c.b}
	h.leave(c.b.pressure.low/2 - 1)
	for range 3 { // it is remembered once
		if n := c.b.Write(bt, make([]byte, 1000)); n != 0 {
			t.Fatalf("%d bytes written without frames", n)
		}
	}
	for range 50 {
		c.step()
	}
	if len(c.b.pressure.writers) != 1 {
		t.Fatalf("%d writers wait", len(c.b.pressure.writers))
	}
	c.appB.events[bt] = 0
	h.leave(c.b.pressure.low/2 + 1) // enough for one whose peer takes what it is sent
	for range 3 {
		c.step()
	}
	if c.appB.events[bt]&tcp.Writable == 0 || len(c.b.pressure.writers) != 0 {
		t.Errorf("heard %b, %d writers wait", c.appB.events[bt], len(c.b.pressure.writers))
	}
	if n := c.b.Write(bt, make([]byte, 1000)); n != 1000 {
		t.Errorf("%d bytes written", n)
	}
}

// TestNodesCountAsFrames: nodes that are used up are a shortage like any.
func TestNodesCountAsFrames(t *testing.T) {
	c, _ := unread(t)
	if c.b.short() {
		t.Fatal("short at once")
	}
	var ids []uint32
	for c.b.free() >= c.b.pressure.low {
		id, _, _ := c.b.nodes.Alloc()
		ids = append(ids, id)
	}
	if c.b.pool.Free() < 3000 || !c.b.full() {
		t.Errorf("%d frames free, full: %v", c.b.pool.Free(), c.b.full())
	}
	for _, id := range ids {
		c.b.nodes.Free(id)
	}
	if c.b.short() {
		t.Error("short for ever")
	}
}

// TestSweepIsBounded: a turn looks at so many nodes, however many there are, and a
// sweep gets through all of them.
func TestSweepIsBounded(t *testing.T) {
	c := newCouple(t, nil)
	var all []mptcp.Conn
	for range 30 {
		at, bt := c.dial(t)
		c.a.Write(at, make([]byte, 60<<10))
		all = append(all, bt)
	}
	c.until(t, "all has come", func() bool { return c.b.Readable(all[len(all)-1]) == 60<<10 })
	h := &hoard{s: c.b}
	h.leave(300)
	freed := c.b.pool.Free()
	turns := 0
	for ; turns == 0 || c.b.pressure.conn != 0; turns++ {
		if turns > 1000 {
			t.Fatal("the sweep does not end")
		}
		before := c.b.pool.Free()
		c.b.Turn(c.now)
		if n := c.b.pool.Free() - before; n > walkPerTurn/8 {
			t.Fatalf("%d frames packed in a turn", n)
		}
	}
	if n := c.b.pool.Free() - freed; n < 30*15 || turns < 5 {
		t.Errorf("%d frames packed in %d turns", n, turns)
	}
}

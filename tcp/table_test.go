package tcp

import (
	"strings"
	"testing"
)

// states are the columns of the table: the eleven of RFC 9293, 3.3.2, and
// TIME-WAIT once more as what remains of it, a TimeWait.
var states = strings.Fields("CLOSED LISTEN SYN-SENT SYN-RCVD ESTAB FIN-W-1 FIN-W-2 CLOSE-W CLOSING LAST-ACK TIME-W kept")

// short is a state's column; CLOSED is what a flow that ended is in.
func (s State) short() string {
	return [...]string{"CLOSED", "SYN-SENT", "SYN-RCVD", "ESTAB", "FIN-W-1", "FIN-W-2", "CLOSE-W", "CLOSING", "LAST-ACK", "TIME-W"}[s]
}

// kinds of segments, by the rows of the table. Sequence numbers count from
// RCV.NXT, acknowledgements from SND.NXT; the window is 65535 at first.
var kinds = map[string]struct {
	flags    Flags
	seq, ack Seq
	n        int
	ts       opt
}{
	"ACK":                    {flags: ACK},
	"ACK again":              {flags: ACK, ack: una},
	"ACK within MAX.SND.WND": {flags: ACK, ack: neg(2000)},
	"ACK too old":            {flags: ACK, ack: neg(1 << 30)},
	"ACK of unsent":          {flags: ACK, ack: 1000},
	"ACK at the edge":        {flags: ACK, seq: edge},
	"ACK beyond":             {flags: ACK, seq: 1 << 30},
	"data":                   {flags: ACK, n: 100},
	"data, PSH and URG":      {flags: ACK | PSH | URG, n: 100},
	"data, too old ACK":      {flags: ACK, ack: neg(1 << 30), n: 100},
	"data, ACK of unsent":    {flags: ACK, ack: 1000, n: 100},
	"data before":            {flags: ACK, seq: neg(100), n: 100},
	"data overlapping":       {flags: ACK, seq: neg(50), n: 100},
	"data after a gap":       {flags: ACK, seq: 100, n: 100},
	"data over the edge":     {flags: ACK, seq: edge - 50, n: 100},
	"data beyond":            {flags: ACK, seq: 1 << 30, n: 100},
	"data, no ACK flag":      {n: 100},
	"no flag at all":         {},
	"URG alone":              {flags: ACK | URG},
	"keepalive":              {flags: ACK, seq: neg(1)},
	"keepalive with a byte":  {flags: ACK, seq: neg(1), n: 1},
	"FIN":                    {flags: FIN | ACK},
	"FIN with data":          {flags: FIN | ACK, n: 100},
	"FIN after a gap":        {flags: FIN | ACK, seq: 100},
	"FIN before":             {flags: FIN | ACK, seq: neg(1)},
	"FIN beyond":             {flags: FIN | ACK, seq: 1 << 30},
	"FIN, no ACK flag":       {flags: FIN},
	"SYN":                    {flags: SYN},
	"SYN with data":          {flags: SYN, n: 100},
	"SYN again":              {flags: SYN, seq: first},
	"SYN beyond":             {flags: SYN, seq: 1 << 30},
	"SYN and FIN":            {flags: SYN | FIN},
	"SYN-ACK":                {flags: SYN | ACK},
	"SYN-ACK again":          {flags: SYN | ACK, seq: first},
	"SYN-ACK, bad ACK":       {flags: SYN | ACK, ack: 1000},
	"RST":                    {flags: RST},
	"RST-ACK":                {flags: RST | ACK},
	"RST-ACK, bad ACK":       {flags: RST | ACK, ack: 1000},
	"RST with data":          {flags: RST, n: 100},
	"RST in the window":      {flags: RST, seq: 1},
	"RST before":             {flags: RST, seq: neg(1)},
	"RST beyond":             {flags: RST, seq: 1 << 30},
	"RST and SYN":            {flags: RST | SYN},
	"all flags":              {flags: 0xff},
	"data, old timestamp":    {flags: ACK, n: 100, ts: oldTS},
	"ACK, old timestamp":     {flags: ACK, ts: oldTS},
	"FIN, old timestamp":     {flags: FIN | ACK, ts: oldTS},
	"RST, old timestamp":     {flags: RST, ts: oldTS},
	"data, timestamp gone":   {flags: ACK, n: 100, ts: noTS},
}

// Numbers that depend on the state.
const (
	first Seq = 0x7fff0000 + iota // the peer's ISN
	una                           // SND.UNA
)

// edge and what lies near below it are relative to RCV.NXT + RCV.WND.
const edge Seq = 0x7ffe0000

func neg(n Seq) Seq { return -n }

// opt is what a segment of a flow with timestamps has.
type opt uint8

const (
	plainTS opt = iota // the flow has none
	oldTS
	noTS
)

// table is, per kind and state, the answer: S a SYN, S. a SYN-ACK, A an ACK, R
// a RST, - none; then the state it leads to, if another. A ! means that the
// segment was not acceptable: nothing else may come of it, or of its options.
// A passive SYN-RCVD that returns to LISTEN is CLOSED here: the port listens on.
//
// Worth a look: only an exact RST resets (RFC 5961, 3.2), and none in TIME-WAIT
// (RFC 1337); a SYN never does (RFC 5961, 4.2); a missing ACK flag is dropped
// without a word; what remains of a flow in TIME-WAIT answers no pure ACK.
const table = `
                       CLOSED LISTEN      SYN-SENT    SYN-RCVD  ESTAB     FIN-W-1   FIN-W-2  CLOSE-W  CLOSING  LAST-ACK TIME-W kept
ACK                    R      R           -!          ->ESTAB   -         ->FIN-W-2 -        -        ->TIME-W ->CLOSED -      -
ACK again              R      R           R!          R!        -         -         -        -        -        -        -      -
ACK within MAX.SND.WND R      R           R!          R!        -         -         -        -        -        -        -      -
ACK too old            R      R           R!          R!        A!        A!        A!       A!       A!       A!       A!     -
ACK of unsent          R      R           R!          R!        A!        A!        A!       A!       A!       A!       A!     -
ACK at the edge        R      R           -!          ->ESTAB   -         ->FIN-W-2 -        -        ->TIME-W ->CLOSED -      -
ACK beyond             R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     -
keepalive              R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     -
keepalive with a byte  R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
ACK, old timestamp     R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
URG alone              R      R           -!          ->ESTAB   -         ->FIN-W-2 -        -        ->TIME-W ->CLOSED -      -
no flag at all         R      -           -!          -!        -!        -!        -!       -!       -!       -!       -!     -
data                   R      R           -!          ->ESTAB   -         ->FIN-W-2 -        A        A>TIME-W ->CLOSED A      A
data, PSH and URG      R      R           -!          ->ESTAB   -         ->FIN-W-2 -        A        A>TIME-W ->CLOSED A      A
data before            R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
data overlapping       R      R           -!          A>ESTAB   A         A>FIN-W-2 A        A        A>TIME-W ->CLOSED A      A
data after a gap       R      R           -!          A>ESTAB   A         A>FIN-W-2 A        A        A>TIME-W ->CLOSED A      A
data over the edge     R      R           -!          A>ESTAB   A         A>FIN-W-2 A        A        A>TIME-W ->CLOSED A      A
data beyond            R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
data, too old ACK      R      R           R!          R!        A!        A!        A!       A!       A!       A!       A!     A
data, ACK of unsent    R      R           R!          R!        A!        A!        A!       A!       A!       A!       A!     A
data, no ACK flag      R      -           -!          -!        -!        -!        -!       -!       -!       -!       -!     -
data, old timestamp    R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
data, timestamp gone   R      R           -!          ->ESTAB   -         ->FIN-W-2 -        A        A>TIME-W ->CLOSED A      A
FIN                    R      R           -!          A>CLOSE-W A>CLOSE-W A>TIME-W  A>TIME-W A        A>TIME-W ->CLOSED A      A
FIN with data          R      R           -!          A>CLOSE-W A>CLOSE-W A>TIME-W  A>TIME-W A        A>TIME-W ->CLOSED A      A
FIN before             R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
FIN after a gap        R      R           -!          A>ESTAB   A         A>FIN-W-2 A        A        A>TIME-W ->CLOSED A      A
FIN beyond             R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
FIN, no ACK flag       R      -           -!          -!        -!        -!        -!       -!       -!       -!       -!     -
FIN, old timestamp     R      R           -!          A!        A!        A!        A!       A!       A!       A!       A!     A
SYN                    R      S.>SYN-RCVD S.>SYN-RCVD ->CLOSED! A!        A!        A!       A!       A!       A!       A!     A
SYN again              R      S.>SYN-RCVD S.>SYN-RCVD S.        A!        A!        A!       A!       A!       A!       A!     A
SYN beyond             R      S.>SYN-RCVD S.>SYN-RCVD A!        A!        A!        A!       A!       A!       A!       A!     S.>SYN-RCVD
SYN with data          R      S.>SYN-RCVD S.>SYN-RCVD ->CLOSED! A!        A!        A!       A!       A!       A!       A!     A
SYN and FIN            R      -           S.>SYN-RCVD ->CLOSED! A!        A!        A!       A!       A!       A!       A!     A
SYN-ACK                R      R           A>ESTAB     ->CLOSED! A!        A!        A!       A!       A!       A!       A!     A
SYN-ACK again          R      R           A>ESTAB     A!        A!        A!        A!       A!       A!       A!       A!     A
SYN-ACK, bad ACK       R      R           R!          ->CLOSED! A!        A!        A!       A!       A!       A!       A!     A
RST                    -      -           -!          ->CLOSED  ->CLOSED  ->CLOSED  ->CLOSED ->CLOSED ->CLOSED ->CLOSED -!     -
RST before             -      -           -!          -!        -!        -!        -!       -!       -!       -!       -!     -
RST in the window      -      -           -!          A!        A!        A!        A!       A!       A!       A!       -!     -
RST beyond             -      -           -!          -!        -!        -!        -!       -!       -!       -!       -!     -
RST with data          -      -           -!          ->CLOSED  ->CLOSED  ->CLOSED  ->CLOSED ->CLOSED ->CLOSED ->CLOSED -!     -
RST, old timestamp     -      -           -!          ->CLOSED  ->CLOSED  ->CLOSED  ->CLOSED ->CLOSED ->CLOSED ->CLOSED -!     -
RST and SYN            -      -           -!          ->CLOSED  ->CLOSED  ->CLOSED  ->CLOSED ->CLOSED ->CLOSED ->CLOSED -!     -
RST-ACK                -      -           ->CLOSED    ->CLOSED  ->CLOSED  ->CLOSED  ->CLOSED ->CLOSED ->CLOSED ->CLOSED -!     -
RST-ACK, bad ACK       -      -           -!          ->CLOSED  ->CLOSED  ->CLOSED  ->CLOSED ->CLOSED ->CLOSED ->CLOSED -!     -
all flags              -      -           ->CLOSED    ->CLOSED  ->CLOSED  ->CLOSED  ->CLOSED ->CLOSED ->CLOSED ->CLOSED -!     -
`

func TestEveryStateAndKindOfSegment(t *testing.T) {
	rows := 0
	for line := range strings.Lines(strings.Trim(table, "\n")) {
		kind, cells := line[:min(23, len(line))], strings.Fields(line[min(23, len(line)):])
		if kind = strings.TrimSpace(kind); kind == "" {
			continue // the head
		}
		if _, ok := kinds[kind]; !ok || len(cells) != len(states) {
			t.Fatalf("%q: %d cells for %d states, or no such kind", kind, len(cells), len(states))
		}
		rows++
		for i, want := range cells {
			if got := answer(t, states[i], kind); got != want {
				t.Errorf("%s in %s: %s, want %s", kind, states[i], got, want)
			}
		}
	}
	if rows != len(kinds) {
		t.Errorf("%d rows for %d kinds", rows, len(kinds))
	}
}

// answer plays one cell.
func answer(t *testing.T, state, kind string) string {
	k := kinds[kind]
	switch state {
	case "CLOSED", "LISTEN":
		seg, out := Segment{Seq: 1000, Ack: 5000, Flags: k.flags, Len: uint32(k.n)}, Segment{}
		if state == "LISTEN" {
			return stateless(Listening(&seg, &out), &out)
		}
		if Reset(&seg, &out) {
			return stateless(Reply, &out)
		}
		return "-"
	}
	o := newOne(t)
	if k.ts != plainTS {
		o.ts = 1000
	}
	column := state
	if state == "kept" {
		column = TimeWaitState.short()
	}
	for s, to := range reach {
		if s.short() == column {
			to(o)
		}
	}
	c := &o.conn
	if c.state.short() != column {
		t.Fatalf("%s instead of %s", c.state.short(), column)
	}
	c.challengeAt, c.quick = 0, 0
	seg := o.relative(k.flags, k.seq, k.ack, k.n)
	switch k.ts {
	case oldTS:
		if seg.Opts = (Options{Has: HasTS, TSVal: o.ts - 500, TSEcr: c.tsVal(&o.env)}); c.state == SynSent {
			seg.Opts.TSVal = 0
		}
	case noTS:
	}
	if state == "kept" {
		w, out := c.TimeWait(&o.env), Segment{}
		a := w.Input(&o.env, testTuple(1), true, &seg, &out)
		return stateless(a, &out)
	}
	v := o.input(&seg)
	return o.outcome(column, v)
}

// relative makes a segment from numbers that count from RCV.NXT and SND.NXT.
func (o *one) relative(f Flags, seq, ack Seq, n int) Segment {
	c := &o.conn
	s := Segment{Flags: f, Wnd: o.wnd, Len: uint32(n), Urg: 50 * uint16(f&URG>>5)}
	base := c.rcvNxt
	if c.state == SynSent {
		base = peerISS
	}
	switch {
	case seq == first:
		s.Seq = c.irs
		if c.state == SynSent {
			s.Seq = peerISS
		}
	case seq-edge+1000 < 2000:
		s.Seq = base + Seq(c.acceptable()) + seq - edge
	default:
		s.Seq = base + seq
	}
	if f&ACK != 0 {
		if s.Ack = c.sndNxt + ack; ack == una {
			s.Ack = c.sndUna
		}
	}
	return s
}

func stateless(a Answer, out *Segment) string {
	switch {
	case a == Open:
		return "S.>SYN-RCVD"
	case a == Ignore:
		return "-"
	case out.Flags&RST != 0:
		return "R"
	}
	return "A"
}

// outcome is what a flow answers, and where it went.
func (o *one) outcome(from string, v Verdict) string {
	s := ""
	for _, seg := range o.out() {
		switch {
		case seg.Flags&RST != 0:
			s += "R"
		case seg.Flags&(SYN|ACK) == SYN|ACK:
			s += "S."
		case seg.Flags&SYN != 0:
			s += "S"
		default:
			s += "A"
		}
	}
	if s == "" {
		s = "-"
	}
	if to := o.conn.state.short(); to != from {
		s += ">" + to
	}
	if v == Unacceptable {
		s += "!"
	}
	o.done()
	return s
}

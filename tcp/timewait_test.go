package tcp

import (
	"testing"
	"unsafe"
)

func TestTimeWait(t *testing.T) {
	if n := unsafe.Sizeof(TimeWait{}); n > 20 {
		t.Fatalf("%d bytes: with its tuple and two links more than 64", n)
	}
	conf := DefaultConfig()
	e := &Env{Now: 100 * Second, Conf: &conf}
	ts := func(v uint32) Options { return Options{Has: HasTS, TSVal: v} }
	for _, c := range []struct {
		name  string
		seg   Segment
		with  Answer // the old flow had timestamps
		plain Answer // it had none
	}{
		{"retransmitted FIN", Segment{Seq: 999, Ack: 500, Flags: FIN | ACK, Opts: ts(70)}, Reply, Reply},
		{"another FIN", Segment{Seq: 900, Ack: 500, Flags: FIN | ACK, Opts: ts(70)}, Reply, Reply},
		{"pure ACK", Segment{Seq: 1000, Ack: 500, Flags: ACK, Opts: ts(70)}, Ignore, Ignore},
		{"old duplicate data", Segment{Seq: 900, Ack: 500, Len: 10, Flags: ACK, Opts: ts(60)}, Reply, Reply},
		{"old duplicate ACK", Segment{Seq: 900, Ack: 500, Flags: ACK, Opts: ts(60)}, Reply, Ignore},
		{"data without ACK", Segment{Seq: 1000, Len: 10}, Ignore, Ignore},
		{"RST", Segment{Seq: 1000, Flags: RST}, Ignore, Ignore},
		// RFC 6191, 2.
		{"SYN with newer timestamp", Segment{Seq: 5, Flags: SYN, Opts: ts(71)}, Open, Open},
		{"SYN with same timestamp, higher number", Segment{Seq: 1001, Flags: SYN, Opts: ts(70)}, Open, Open},
		{"SYN with same timestamp, old number", Segment{Seq: 900, Flags: SYN, Opts: ts(70)}, Reply, Open},
		{"SYN with older timestamp", Segment{Seq: 5000, Flags: SYN, Opts: ts(69)}, Reply, Open},
		{"SYN without timestamp, higher number", Segment{Seq: 1001, Flags: SYN}, Open, Open},
		{"SYN without timestamp, old number", Segment{Seq: 900, Flags: SYN}, Reply, Reply},
		{"SYN-ACK", Segment{Seq: 5000, Flags: SYN | ACK, Opts: ts(80)}, Reply, Reply},
		{"SYN-FIN", Segment{Seq: 5000, Flags: SYN | FIN, Opts: ts(80)}, Reply, Reply},
	} {
		for _, hasTS := range []bool{true, false} {
			w := TimeWait{SndNxt: 500, RcvNxt: 1000, TSRecent: 70, Wnd: 33, HasTS: hasTS}
			e.Now = 100 * Second
			w.Restart(e)
			e.Now += 10 * Second
			before, want := w.Left(e.Now), c.plain
			if hasTS {
				want = c.with
			}
			var out Segment
			got := w.Input(e, testTuple(1), true, &c.seg, &out)
			if got != want {
				t.Errorf("%s, %v: answer %d, want %d", c.name, hasTS, got, want)
			}
			if got == Reply {
				if out.Seq != 500 || out.Ack != 1000 || out.Flags != ACK || out.Wnd != 33 {
					t.Errorf("%s, %v: reply %+v", c.name, hasTS, out)
				}
				if o := out.Opts; hasTS != (o.Has == HasTS) || hasTS && (o.TSEcr != 70 || o.TSVal != 110000+TSOffset(e, testTuple(1))) {
					t.Errorf("%s, %v: options %+v", c.name, hasTS, o)
				}
			}
			if again := w.Left(e.Now) != before; again != (c.name == "retransmitted FIN") {
				t.Errorf("%s, %v: wait restarted: %v", c.name, hasTS, again)
			}
			if got == Open {
				if w.Input(e, testTuple(1), false, &c.seg, &out) != Reply {
					t.Errorf("%s, %v: nobody listens, and it is not answered", c.name, hasTS)
				}
				if isn := w.ReuseISN(e, testTuple(1)); isn.Before(w.NextISN()) {
					t.Errorf("the new flow begins at %d, the old one ended at %d", isn, w.SndNxt)
				}
			}
		}
	}
}

func TestTimeWaitEndsAfterTwoMSL(t *testing.T) {
	conf := DefaultConfig()
	for _, now := range []Time{Second, 7*Second + 123456, 1<<32*Millisecond - 5*Second} {
		e := &Env{Now: now, Conf: &conf}
		w := TimeWait{HasTS: true}
		w.Restart(e)
		if left := w.Left(now); left < 2*conf.MSL || left > 2*conf.MSL+Millisecond {
			t.Errorf("at %d: lasts %d", now, left)
		}
		if w.Dialable(e) {
			t.Error("dialled with at once")
		}
		e.Now += reuseAge + Millisecond
		if !w.Dialable(e) {
			t.Error("not to be dialled with after a second")
		}
		w.HasTS = false
		if w.Dialable(e) {
			t.Error("dialled with, without timestamps")
		}
		if e.Now = now + 2*conf.MSL - 1; w.Left(e.Now) <= 0 {
			t.Error("over too early")
		}
		if e.Now += 2 * Millisecond; w.Left(e.Now) > 0 {
			t.Error("not over")
		}
	}
}

// RFC 5961, 7: one reply in each gap, and per flow. A SYN that may have the tuple
// is not kept waiting, and the peer's FIN restarts the wait also when its reply is withheld.
func TestTimeWaitRepliesAreLimited(t *testing.T) {
	conf := DefaultConfig()
	e := &Env{Now: 100 * Second, Conf: &conf}
	w := TimeWait{SndNxt: 500, RcvNxt: 1000}
	other := w
	w.Restart(e)
	data := Segment{Seq: 900, Ack: 500, Len: 10, Flags: ACK}
	fin := Segment{Seq: 999, Ack: 500, Flags: FIN | ACK}
	var out Segment
	for second := range 600 { // twice around the 255 gaps
		replies := 0
		for range 1000 {
			switch w.Input(e, testTuple(1), false, &data, &out) {
			case Reply:
				replies++
			case Withhold:
			default:
				t.Fatal("neither a reply nor none")
			}
			e.Now += Millisecond
		}
		if most := int(Second / conf.ChallengeGap); replies != most {
			t.Fatalf("second %d: %d replies to 1000 segments, want %d", second, replies, most)
		}
	}
	w.Input(e, testTuple(1), false, &data, &out)
	before := w.Left(e.Now)
	e.Now += Millisecond
	if a := w.Input(e, testTuple(1), false, &fin, &out); a != Withhold || w.Left(e.Now) <= before {
		t.Errorf("FIN: answer %d, %d ms are left, and %d before", a, w.Left(e.Now)/Millisecond, before/Millisecond)
	}
	if a := other.Input(e, testTuple(0), false, &fin, &out); a != Reply {
		t.Errorf("another flow's FIN: answer %d", a)
	}
	if a := w.Input(e, testTuple(1), true, &Segment{Seq: 5000, Flags: SYN}, &out); a != Open {
		t.Errorf("SYN: answer %d", a)
	}
}

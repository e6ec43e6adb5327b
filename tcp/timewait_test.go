package tcp

import (
	"testing"
	"unsafe"
)

func TestTimeWait(t *testing.T) {
	if n := unsafe.Sizeof(TimeWait{}); n > 64 {
		t.Fatalf("%d bytes", n)
	}
	conf := DefaultConfig()
	e := &Env{Now: 100 * Second, Conf: &conf}
	ts := func(v uint32) Options { return Options{Has: HasTS, TSVal: v} }
	for _, c := range []struct {
		name string
		seg  Segment
		want TimeWaitAnswer
	}{
		{"retransmitted FIN", Segment{Seq: 999, Ack: 500, Flags: FIN | ACK, Opts: ts(70)}, Reply},
		{"pure ACK", Segment{Seq: 1000, Ack: 500, Flags: ACK, Opts: ts(70)}, Ignore},
		{"old duplicate data", Segment{Seq: 900, Ack: 500, Len: 10, Flags: ACK, Opts: ts(60)}, Reply},
		{"RST", Segment{Seq: 1000, Flags: RST}, Ignore},
		{"SYN with newer timestamp", Segment{Seq: 5, Flags: SYN, Opts: ts(71)}, Reuse},
		{"SYN with same timestamp, higher number", Segment{Seq: 1001, Flags: SYN, Opts: ts(70)}, Reuse},
		{"SYN with older timestamp", Segment{Seq: 5000, Flags: SYN, Opts: ts(69)}, Reply},
		{"SYN without timestamp, higher number", Segment{Seq: 1001, Flags: SYN}, Reuse},
		{"SYN without timestamp, old number", Segment{Seq: 900, Flags: SYN}, Reply},
		{"SYN-ACK", Segment{Seq: 5000, Flags: SYN | ACK, Opts: ts(80)}, Reply},
	} {
		w := TimeWait{Until: 101 * Second, SndNxt: 500, RcvNxt: 1000, TSRecent: 70, TSOffset: 7, Wnd: 33, HasTS: true}
		var out Segment
		if got := w.Input(e, &c.seg, &out); got != c.want {
			t.Errorf("%s: answer %d, want %d", c.name, got, c.want)
		} else if got == Reply && (out.Seq != 500 || out.Ack != 1000 || out.Flags != ACK || out.Opts.TSEcr != 70 || out.Opts.TSVal != 100007) {
			t.Errorf("%s: reply %+v", c.name, out)
		}
		if restart := w.Until != 101*Second; restart != (c.name == "retransmitted FIN") {
			t.Errorf("%s: wait restarted: %v", c.name, restart)
		}
	}
}

package tcp

import (
	"math/rand/v2"
	"testing"
)

// FuzzStranger lets any header meet what keeps no flow: CLOSED, LISTEN,
// TIME-WAIT and SYN cookies.
func FuzzStranger(f *testing.F) {
	for _, flags := range []Flags{SYN, SYN | ACK, ACK, RST, FIN | ACK, 0} {
		var b [MaxHeader]byte
		seg := Segment{Seq: 1000, Ack: 500, Flags: flags, Opts: Options{Has: HasMSS | HasTS | HasWScale | HasSACKOK, MSS: 1460, TSVal: 71}}
		seg.Put(b[:], 1, 2)
		f.Add(b[:seg.HeaderLen()], uint32(0), true)
		f.Add(b[:seg.HeaderLen()], uint32(100), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint32, hasTS bool) {
		var seg, out Segment
		if _, ok := seg.Parse(b); !ok {
			return
		}
		seg.Len = n
		conf, count := DefaultConfig(), Counters{}
		e := &Env{Now: 1000 * Second, Conf: &conf, Count: &count, Rand: rand.NewChaCha8([32]byte{1})}
		if seg.Flags&RST != 0 && Reset(&seg, &out) {
			t.Fatal("a RST is answered by a RST")
		}
		w := TimeWait{SndNxt: 500, RcvNxt: 1000, TSRecent: 70, HasTS: hasTS}
		w.Restart(e)
		switch a := w.Input(e, testTuple(1), true, &seg, &out); {
		case seg.Flags&RST != 0 && a != Ignore:
			t.Fatal("a RST does something in TIME-WAIT")
		case a == Reply && (out.Flags != ACK || out.Seq != 500 || out.Ack != 1000):
			t.Fatalf("TIME-WAIT answers %+v", out)
		case a == Open && seg.Flags&SYN == 0:
			t.Fatal("what is no SYN opens a flow")
		}
		var k Cookies
		var syn Segment
		if k.Check(e, testTuple(1), &seg, &syn) {
			t.Fatal("a cookie that nobody baked")
		}
		if a := Listening(&seg, &out); a != Open {
			if a == Reply && out.Flags != RST {
				t.Fatalf("LISTEN answers %+v", out)
			}
			return
		}
		k.Answer(e, testTuple(1), testParams, &seg, &out)
		if out.HeaderLen() > MaxHeader || out.Flags&(SYN|ACK) != SYN|ACK || out.Ack != seg.Seq+1 {
			t.Fatalf("SYN-ACK %+v", out)
		}
		ack := Segment{Seq: seg.Seq + 1, Ack: out.Seq + 1, Flags: ACK, Opts: Options{Has: out.Opts.Has & HasTS, TSEcr: out.Opts.TSVal}}
		if !k.Check(e, testTuple(1), &ack, &syn) || syn.Opts.Has&HasWScale != out.Opts.Has&HasWScale || syn.Opts.WScale > 14 {
			t.Fatalf("%+v became %+v", seg, syn)
		}
	})
}

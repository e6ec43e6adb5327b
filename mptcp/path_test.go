package mptcp

import (
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// addOption puts an option into the first pure ACK that path i's client sends
// after at.
func addOption(w *world, i int, at tcp.Time, put func(seg *tcp.Segment)) {
	when, done := w.now+at, false
	w.paths[i].strip = func(seg *tcp.Segment, to bool) {
		if to && !done && w.now >= when && seg.Len == 0 && seg.Flags == tcp.ACK {
			done = true
			seg.RawLen, seg.Opts.NSACK = 0, 0
			put(seg)
		}
	}
}

// serverConn is the server's side of the only connection.
func (w *world) serverConn() *conn { return w.srv.set.conns.At(1) }

func TestAddAddr(t *testing.T) {
	for _, c := range []struct {
		name string
		flip uint64
	}{{"signed", 0}, {"forged", 1}} {
		t.Run(c.name, func(t *testing.T) {
			w, a, b := twoPaths(t, 50, nil)
			echoes := 0
			want := addrOption{id: 9, addr: tcp.Addr{0x20, 1, 0xd, 0xb8, 15: 9}, hasPort: true, port: 5001, signed: true}
			addOption(w, 0, 500*tcp.Millisecond, func(seg *tcp.Segment) {
				k := w.serverConn()
				want.mac = v1.addrMAC(k.remoteKey, k.localKey, &want) ^ c.flip
				seg.Opts.Has = 0 // 30 bytes do not fit beside padded timestamps
				want.put(seg, v1)
			})
			w.txs = func(from *host, seg *tcp.Segment, _ *tcp.Tuple) {
				var o options
				if o.parse(v1, seg.Raw[:seg.RawLen]); from == w.srv && o.is(subAddAddr) {
					echoes++
					if !o.add.echo || o.add.id != 9 || o.add.addr != want.addr || o.add.port != 5001 || o.is(subDSS) || seg.Len != 0 {
						t.Errorf("echo %+v", o.add)
					}
				}
			}
			w.finish(a, b)
			n := w.srv.set.Count
			if good := c.flip == 0; good != (n.AddAddr == 1 && echoes == 1) || good == (n.AddAddrHMac == 1) {
				t.Errorf("%d echoes, %+v", echoes, n)
			}
		})
	}
}

// TestRemoveAddr: a withdrawal makes a subflow suspect; one that still answers
// stays, one that is silent goes, and the last one never does.
func TestRemoveAddr(t *testing.T) {
	for _, c := range []struct {
		name          string
		silent        bool
		last          bool
		kept, removed uint64
	}{{"it answers", false, false, 1, 0}, {"it is silent", true, false, 0, 1}, {"it is the last", false, true, 0, 0}} {
		t.Run(c.name, func(t *testing.T) {
			w, a, b := twoPaths(t, 51, nil)
			b.send = 12 << 20
			id := uint8(1)
			if c.last {
				id = 0
				w.after(400*tcp.Millisecond, func() { w.paths[1].up = false })
			}
			addOption(w, 0, 2*tcp.Second, func(seg *tcp.Segment) {
				r := removeOption{n: 1}
				r.ids[0] = id
				r.put(seg)
			})
			if c.silent {
				w.after(1700*tcp.Millisecond, func() { w.paths[1].up = false })
			}
			w.finish(a, b)
			n := w.srv.set.Count
			if n.RmAddr != 1 || n.RmAddrKept != c.kept || n.RmSubflow != c.removed || c.last && n.RmAddrDrop != 1 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// TestPrio: MP_PRIO asks us not to use a subflow, and to use it again.
func TestPrio(t *testing.T) {
	w, a, b := twoPaths(t, 52, nil)
	b.send = 12 << 20
	addOption(w, 0, 500*tcp.Millisecond, func(seg *tcp.Segment) { prioOption{backup: true}.put(seg) })
	before := int64(0)
	w.after(1500*tcp.Millisecond, func() { before = w.paths[0].carried[1] })
	w.after(2500*tcp.Millisecond, func() {
		if n := w.paths[0].carried[1] - before; n > 10_000 {
			t.Errorf("a subflow that is to be a backup carried %d bytes in a second", n)
		}
	})
	w.finish(a, b)
	if w.srv.set.Count.MPPrioRx != 1 {
		t.Errorf("%+v", w.srv.set.Count)
	}
}

// TestForgedFastclose: without our key it does nothing.
func TestForgedFastclose(t *testing.T) {
	w, a, b := twoPaths(t, 53, nil)
	addOption(w, 0, 500*tcp.Millisecond, func(seg *tcp.Segment) { putFastclose(seg, w.serverConn().localKey+1) })
	w.finish(a, b)
	if n := w.srv.set.Count; n.MPFastcloseKey != 1 || n.MPFastcloseRx != 0 {
		t.Errorf("%+v", n)
	}
}

// TestCorruption: something on a path changes payload and mends the TCP
// checksum. With DSS checksums the subflow is reset with MP_FAIL and the data
// comes over the other one.
func TestCorruption(t *testing.T) {
	w, a, b := twoPaths(t, 54, func(w *world) { w.cli.set.conf.Checksum = true })
	w.after(800*tcp.Millisecond, func() { w.paths[1].corrupt = true })
	w.finish(a, b)
	if c, s := w.cli.set.Count, w.srv.set.Count; c.DataCsumErr != 1 || c.MPFailTx != 1 || s.MPFailRx != 1 || s.MPTCPRetrans == 0 {
		t.Errorf("client %+v\nserver %+v", c, s)
	}
}

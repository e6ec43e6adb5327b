package mptcp

import (
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/tcp"
)

// cookieBench is a set that answers by cookies.
type cookieBench struct {
	*testing.T
	set   *Set
	env   tcp.Env
	conf  tcp.Config
	nodes tcp.Nodes
	count tcp.Counters
	k     tcp.Cookies
	tuple tcp.Tuple
}

func newCookieBench(t *testing.T, conf Config) *cookieBench {
	b := &cookieBench{T: t, conf: tcp.DefaultConfig()}
	conf.Enabled = true
	b.set = NewSet(conf)
	b.env = tcp.Env{Now: tcp.Second, Pool: frame.New(make([]byte, 64<<12), 12), Nodes: &b.nodes, Rand: rand.NewChaCha8([32]byte{1}),
		Conf: &b.conf, Count: &b.count, Windows: tcp.Budget{Pool: 64 << 20}}
	b.tuple = tcp.Tuple{Local: tcp.AddrFrom4([4]byte{10, 0, 0, 1}), Remote: tcp.AddrFrom4([4]byte{10, 0, 0, 2}), LocalPort: 80, RemotePort: 1000}
	return b
}

// syn sends one and returns our answer and the key in it.
func (b *cookieBench) syn(flags uint8) (answer tcp.Segment, key uint64) {
	b.Helper()
	syn := tcp.Segment{Seq: 1000, Flags: tcp.SYN}
	k := capableOption{version: 1, flags: capHMAC | flags, size: 4}
	k.put(&syn)
	if !b.set.Answer(&b.env, &b.k, &b.tuple, tcp.Params{MSS: 1460, PathMSS: 1460}, &syn, &answer) {
		b.Fatal("no answer")
	}
	var o options
	if o.parse(v1, answer.Raw[:answer.RawLen]); !o.is(subCapable) {
		return answer, 0
	}
	return answer, o.cap.sender
}

// ack answers with an echo of key and returns the connection.
func (b *cookieBench) ack(answer *tcp.Segment, key uint64, flags uint8) *conn {
	b.Helper()
	ack := tcp.Segment{Seq: 1001, Ack: answer.Seq + 1, Flags: tcp.ACK, Wnd: 1000}
	k := capableOption{version: 1, flags: capHMAC | flags, size: 20, sender: 77, receiver: key}
	k.put(&ack)
	var syn tcp.Segment
	if !b.k.Check(&b.env, &b.tuple, &ack, &syn) {
		b.Fatal("the cookie itself is not good")
	}
	p := tcp.Params{MSS: 1460, PathMSS: 1460, HasISN: true, ISN: answer.Seq, Answered: true}
	f, ok := b.set.Redeem(&b.env, &b.k, &b.tuple, p, &syn, &ack)
	if !ok {
		b.Fatal("not redeemed")
	}
	b.set.Input(&b.env, f, &ack)
	return b.set.owner(b.set.flow(f))
}

func TestCookieKeepsFlags(t *testing.T) {
	for _, flags := range []uint8{0, capChecksum, capNoJoin, capChecksum | capNoJoin} {
		b := newCookieBench(t, Config{})
		answer, key := b.syn(flags)
		if conns, _ := b.set.Len(); conns != 0 || b.set.tokens.n != 0 {
			t.Fatal("a SYN left something behind")
		}
		c := b.ack(&answer, key, 0) // whatever the ACK says
		if !c.keyed || c.plain || c.localKey != key || c.remoteKey != 77 || c.csum != (flags&capChecksum != 0) || c.noJoin != (flags&capNoJoin != 0) {
			t.Errorf("flags %x: %+v", flags, *c)
		}
	}
}

// Each shard of 16 finds a key of its own, and finds it again.
func TestCookieOfShard(t *testing.T) {
	for shard := range uint32(16) {
		b := newCookieBench(t, Config{OwnsToken: func(token uint32) bool { return token%16 == shard }})
		for port := range uint16(50) {
			b.tuple.RemotePort = 1000 + port
			answer, key := b.syn(0)
			c := b.ack(&answer, key, 0)
			if !c.keyed || c.token%16 != shard {
				t.Fatalf("shard %d: token %x, %+v", shard, c.token, *c)
			}
		}
	}
}

// A token that is taken when the SYN comes is passed over; one that is taken meanwhile means plain TCP.
func TestCookieTokenTaken(t *testing.T) {
	b := newCookieBench(t, Config{})
	_, first := b.syn(0)
	token, _ := v1.digest(first)
	b.set.tokens.put(token, 1)
	answer, second := b.syn(0)
	if second == first {
		t.Fatal("the token of another connection")
	}
	if c := b.ack(&answer, second, 0); !c.keyed || c.localKey != second {
		t.Errorf("%+v", *c)
	}

	b = newCookieBench(t, Config{})
	answer, first = b.syn(0)
	b.set.tokens.put(token, 1)
	if c := b.ack(&answer, first, 0); c.keyed || !c.plain || b.set.Count.MPFallbackTokenInit != 1 {
		t.Errorf("%+v", *c)
	}

	none := newCookieBench(t, Config{OwnsToken: func(uint32) bool { return false }})
	if _, key := none.syn(0); key != 0 || none.set.Count.MPFallbackTokenInit != 1 {
		t.Error("a key whose token is not ours")
	}
}

// Only the key that was sent is ours: not one of another counter's, of another handshake's, or one bit aside.
func TestCookieKeyForged(t *testing.T) {
	b := newCookieBench(t, Config{})
	answer, key := b.syn(0)
	for i := range 64 {
		if c := b.ack(&answer, key^1<<i, 0); c.keyed || !c.plain {
			t.Errorf("bit %d: %+v", i, *c)
		}
	}
	b.tuple.RemotePort++
	other, _ := b.syn(0)
	if c := b.ack(&other, key, 0); c.keyed {
		t.Error("another handshake's key")
	}
	if n := b.set.Count.MPCapableCookieKey; n != 65 {
		t.Errorf("%d keys were found wrong", n)
	}
}

package mptcp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

// Vectors made with another implementation:
//
//	printf '\1\2\3\4\5\6\7\10' | sha256sum
//	printf '\241\242\243\244\261\262\263\264' | openssl dgst -sha256 -mac hmac -macopt hexkey:01020304050607081112131415161718
//
// and the same with sha1sum and -sha1.
func TestKeys(t *testing.T) {
	const a, b = 0x0102030405060708, 0x1112131415161718
	for _, c := range []struct {
		p     profile
		token uint32
		idsn  uint64
	}{
		{v1, 0x66840dda, 0xf5a101d3d29d6f72},
		{v0, 0xdd5783bc, 0x3a95ed6e4ebb4ad5},
	} {
		if token, idsn := c.p.digest(a); token != c.token || idsn != c.idsn {
			t.Errorf("version %d: token %08x, IDSN %016x", c.p, token, idsn)
		}
	}
	for _, c := range []struct {
		mac  [32]byte
		want string
	}{
		{v1.joinMAC(a, b, 0xa1a2a3a4, 0xb1b2b3b4), "53037f2899475529844115fd07e665d23d3554fb8dde7551287562b1aa8e53de"},
		{v1.joinMAC(b, a, 0xb1b2b3b4, 0xa1a2a3a4), "864b40428762fd06fa24bb3c5ea12c1bbf6546e7aace88911139aa8f77f90286"},
		{v0.joinMAC(a, b, 0xa1a2a3a4, 0xb1b2b3b4), "5f9d9b1144766ae5a6402e4bc813bf52fad0199b000000000000000000000000"},
		{v0.joinMAC(b, a, 0xb1b2b3b4, 0xa1a2a3a4), "f983baffc3c12488ee5547ded1bab6f7f552859a000000000000000000000000"},
	} {
		if hex.EncodeToString(c.mac[:]) != c.want {
			t.Errorf("%x, want %s", c.mac, c.want)
		}
	}
	// id, address, port: 0 though the option has none; the last 8 bytes.
	if m := v1.addrMAC(a, b, &addrOption{id: 5, addr: tcp.AddrFrom4([4]byte{10, 1, 2, 3})}); m != 0x54d2a253e744b6c9 {
		t.Errorf("%016x", m)
	}
	if m := v1.addrMAC(a, b, &addrOption{id: 6, addr: tcp.Addr{0x20, 1, 0xd, 0xb8, 15: 1}, hasPort: true, port: 8080}); m != 0x918bd9ae95aaf90d {
		t.Errorf("%016x", m)
	}
}

// The vectors with which Linux tests its own HMAC of version 1
// (net/mptcp/crypto_test.c): keys and nonces are given as text.
func TestKeysAsLinux(t *testing.T) {
	for _, c := range [][3]string{
		{"0b0b0b0b0b0b0b0b", "48692054", "8385e24fb4235ac37556b6b886db106284a1da671699f46db1f235ec622dcafa"},
		{"aaaaaaaaaaaaaaaa", "dddddddd", "2c5e219164ff1dca1c4a92318d847bb6b9d44492984e1eb71aff9022f71046e9"},
		{"0102030405060708", "cdcdcdcd", "e73b9ba9969969cefb04aa0d6df18ec2fcc075b6f23b4d8c4da736a5dbbc6e7d"},
	} {
		u32, u64 := binary.BigEndian.Uint32, binary.BigEndian.Uint64
		key, msg := []byte(c[0]), []byte(c[1])
		m := v1.joinMAC(u64(key), u64(key[8:]), u32(msg), u32(msg[4:]))
		if hex.EncodeToString(m[:]) != c[2] {
			t.Errorf("%s: %x", c[0], m)
		}
	}
}

// TestKeysAsStandard compares with Go's own hashes, for messages of every
// length.
func TestKeysAsStandard(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		p    profile
		hash func() hash.Hash
	}{{v0, sha1.New}, {v1, sha256.New}} {
		for n := range maxMessage + 1 {
			a, b := r.Uint64(), r.Uint64()
			msg := make([]byte, n)
			for i := range msg {
				msg[i] = byte(r.Uint32())
			}
			key := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, a), b)
			h := hmac.New(c.hash, key)
			h.Write(msg)
			want := h.Sum(nil)
			if got := c.p.mac(a, b, msg); !hmac.Equal(got[:len(want)], want) {
				t.Errorf("version %d, %d bytes: %x, want %x", c.p, n, got, want)
			}
			d := c.hash()
			d.Write(key[:8])
			sum := d.Sum(nil)
			token, idsn := c.p.digest(a)
			if token != binary.BigEndian.Uint32(sum) || idsn != binary.BigEndian.Uint64(sum[len(sum)-8:]) {
				t.Errorf("version %d: token %08x, IDSN %016x of %x", c.p, token, idsn, sum)
			}
		}
	}
}

// TestHashingAllocates nothing.
func TestHashingAllocates(t *testing.T) {
	var sink byte
	for _, p := range []profile{v0, v1} {
		key := uint64(1)
		if n := testing.AllocsPerRun(100, func() {
			token, idsn := p.digest(key)
			m := p.joinMAC(key, idsn, token, 7)
			sink += m[3] + byte(p.addrMAC(key, idsn, &addrOption{id: 1, addr: addr(1)}))
			key++
		}); n != 0 {
			t.Errorf("version %d: %v allocations", p, n)
		}
	}
	_ = sink
}

// TestOneTokenTable: a key whose token is in use is drawn again, whichever
// version the other connection speaks: MP_JOIN does not say (RFC 8684, 3.1).
func TestOneTokenTable(t *testing.T) {
	for _, p := range []profile{v0, v1} {
		w := newWorld(t, 3, wifi())
		s, env := w.srv.set, w.srv.env
		draw := func() (uint64, uint32) {
			env.Rand = rand.NewChaCha8([32]byte{9})
			key, token, _, ok := s.draw(&env, p)
			if !ok {
				t.Fatal("no key")
			}
			return key, token
		}
		key, token := draw()
		s.tokens.put(token, 1) // of a connection of the other version
		again, other := draw()
		if again == key || other == token {
			t.Errorf("version %d: key %x, token %x again", p, again, other)
		}
	}
}

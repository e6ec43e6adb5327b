//go:build linux

package xdp

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/lab"
)

// dialAndWrite has the kernel of ns send n bytes to port 7000; byte i is i%251.
func dialAndWrite(ns *lab.NS, to string, n int) error {
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = net.Dial("tcp4", fmt.Sprint(to, ":7000"))
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	_, err = c.Write(b)
	return err
}

// sinkTCP is as little of a TCP receiver as makes a kernel send: it accepts,
// keeps no data, and acknowledges what came in order.
type sinkTCP struct {
	s        *side
	t        *testing.T
	received map[uint32]bool
	inOrder  int
	intact   bool

	open     bool
	irs, nxt uint32
	header   []byte // of the last packet, to answer to
	last     *Socket
	early    map[uint32][]byte
}

// input takes a packet and returns its payload's length.
func (k *sinkTCP) input(q *Socket, b []byte) int {
	if binary.BigEndian.Uint16(b[12:]) == unix.ETH_P_ARP {
		if b[21] == 1 {
			k.s.send(q, answer(b, q.Interface().MAC))
		}
		return 0
	}
	if b[23] != unix.IPPROTO_TCP {
		return 0
	}
	seq := binary.BigEndian.Uint32(b[38:])
	k.header, k.last = b[:54], q
	if b[47]&2 != 0 { // SYN
		k.open, k.intact, k.irs, k.nxt, k.early = true, true, seq, seq+1, map[uint32][]byte{}
		k.reply(0x12)
		return 0
	}
	length := int(binary.BigEndian.Uint16(b[16:]))
	if length == 0 { // a super-packet longer than the field can say
		length = len(b) - 14
	}
	payload := b[34+int(b[46]>>4)*4 : 14+length]
	if len(payload) > 0 {
		k.early[seq] = payload
		for p, ok := k.early[k.nxt]; ok; p, ok = k.early[k.nxt] {
			delete(k.early, k.nxt)
			for i, v := range p {
				if v != byte((k.inOrder+i)%251) {
					k.intact = false
				}
			}
			k.inOrder += len(p)
			k.nxt += uint32(len(p))
		}
		k.reply(0x10)
	}
	return len(payload)
}

func (k *sinkTCP) reset() { k.reply(0x14) }

// reply answers the last packet with flags, and with an MSS on a SYN.
func (k *sinkTCP) reply(flags byte) {
	in := k.header
	b := make([]byte, 54, 58)
	copy(b[0:6], in[6:12])
	copy(b[6:12], in[0:6])
	copy(b[12:14], in[12:14])
	b[14], b[22], b[23] = 0x45, 64, unix.IPPROTO_TCP
	copy(b[26:30], in[30:34])
	copy(b[30:34], in[26:30])
	copy(b[34:36], in[36:38])
	copy(b[36:38], in[34:36])
	seq := uint32(1001)
	if flags&2 != 0 {
		seq = 1000
		b = append(b, 2, 4, 1460>>8, 1460&255)
	}
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	binary.BigEndian.PutUint32(b[38:], seq)
	binary.BigEndian.PutUint32(b[42:], k.nxt)
	b[46] = byte(len(b)-34) / 4 << 4
	b[47] = flags
	binary.BigEndian.PutUint16(b[48:], 65535)
	binary.BigEndian.PutUint16(b[24:], ^fold(b[14:34], 0))
	pseudo := uint32(unix.IPPROTO_TCP) + uint32(len(b)-34) + uint32(fold(b[26:34], 0))
	binary.BigEndian.PutUint16(b[50:], ^fold(b[34:], pseudo))
	k.s.send(k.last, b)
}

func fold(b []byte, sum uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

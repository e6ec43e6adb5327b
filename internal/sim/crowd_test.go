package sim

import (
	"encoding/binary"

	"github.com/mpxd/mpxd/internal/checksum"
	"github.com/mpxd/mpxd/tcp"
)

// crowd is a station with many flows to one port, each no more than a few
// numbers: it says what an honest stack never would. Its frames come over the
// server's link like everybody's.
type crowd struct {
	p     *pair
	flows []member
	// answer, if set, is asked for a reply to each segment that has payload or a
	// FIN; nil: it is ignored.
	answer func(m *member, seg *tcp.Segment)
	resets int
}

type member struct {
	c             *crowd
	port          uint16
	iss, snd, rcv tcp.Seq // rcv: the next we expect
	open, gone    bool
	wnd           uint16
	promised      tcp.Seq // the server's window ends there
}

var crowdMAC = [6]byte{2, 0, 0, 0, 0, 0x66}

const crowdPort = 20000

// crowdOf joins the network.
func crowdOf(p *pair) *crowd {
	c := &crowd{p: p}
	p.lan.Mangle = func(from *Port, b []byte) bool {
		if from != p.server.Ports[0] {
			return true
		}
		switch {
		case isARP(b) && b[21] == 1 && [4]byte(b[38:]) == [4]byte{10, 0, 0, 66}:
			c.arp(b)
			return false
		case [6]byte(b[:6]) == crowdMAC:
			c.take(b)
			return false
		}
		return true
	}
	return c
}

// arp answers a request.
func (c *crowd) arp(b []byte) {
	r := append([]byte(nil), b...)
	copy(r, b[6:12])
	copy(r[6:], crowdMAC[:])
	r[21] = 2
	copy(r[32:], b[22:32])
	copy(r[22:], crowdMAC[:])
	copy(r[28:], []byte{10, 0, 0, 66})
	c.p.launch(c.p.server.Ports[0], false, r)
}

// join opens n more flows, one each gap.
func (c *crowd) join(n int, gap tcp.Time, wnd uint16) []*member {
	first := len(c.flows)
	c.flows = append(c.flows, make([]member, n)...)
	var out []*member
	for i := range c.flows[first:] {
		m := &c.flows[first+i]
		*m = member{c: c, port: uint16(crowdPort + first + i), iss: tcp.Seq(i) * 77777, wnd: wnd}
		m.snd = m.iss + 1
		m.say(tcp.SYN, m.iss, nil)
		c.p.Run(c.p.Now() + gap)
		out = append(out, m)
	}
	return out
}

func (c *crowd) opened() (n int) {
	for i := range c.flows {
		if c.flows[i].open && !c.flows[i].gone {
			n++
		}
	}
	return n
}

// say sends a segment.
func (m *member) say(f tcp.Flags, seq tcp.Seq, payload []byte) {
	seg := tcp.Segment{Seq: seq, Ack: m.rcv, Wnd: m.wnd, Flags: f, Len: uint32(len(payload))}
	if f&tcp.SYN != 0 {
		seg.Opts = tcp.Options{Has: tcp.HasMSS | tcp.HasSACKOK, MSS: 1460}
	}
	n := seg.HeaderLen()
	b := make([]byte, 34+n+len(payload))
	copy(b, []byte{2, 0, 0, 0, 2, 0})
	copy(b[6:], crowdMAC[:])
	b[12] = 8
	copy(b[14:], []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 66, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	binary.BigEndian.PutUint16(b[24:], ^checksum.Sum(b[14:34]))
	seg.Put(b[34:34+n], m.port, 80)
	copy(b[34+n:], payload)
	sum := checksum.Add(checksum.Pseudo(b[26:30], b[30:34], 6, len(b)-34), checksum.Sum(b[34:]))
	binary.BigEndian.PutUint16(b[50:], ^sum)
	m.c.p.launch(m.c.p.server.Ports[0], false, b)
}

// take is a segment of the server's.
func (c *crowd) take(b []byte) {
	var seg tcp.Segment
	n, ok := seg.Parse(b[34:])
	if !ok {
		panic("the server speaks no TCP")
	}
	_, port := tcp.Ports(b[34:])
	m := &c.flows[int(port)-crowdPort]
	total := int(binary.BigEndian.Uint16(b[16:]))
	seg.Len = uint32(total - 20 - n)
	switch {
	case seg.Flags&tcp.RST != 0:
		m.gone = true
		c.resets++
	case seg.Flags&tcp.SYN != 0:
		m.rcv = seg.Seq + 1
		m.open = true
		m.promised = seg.Ack + tcp.Seq(seg.Wnd)
		m.say(tcp.ACK, m.snd, nil)
	default:
		if seg.Flags&tcp.ACK != 0 && !m.gone {
			if edge := seg.Ack + tcp.Seq(seg.Wnd); edge.After(m.promised) {
				m.promised = edge
			} else if edge != m.promised {
				panic("the server took back what it had promised")
			}
		}
		if (seg.Len > 0 || seg.Flags&tcp.FIN != 0) && c.answer != nil {
			c.answer(m, &seg)
		}
	}
}

//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/stack"
)

const (
	// captureRing holds what comes while the disk is busy: 64 MiB are half a
	// second at 1 Gbit/s.
	captureRing = 64 << 20
	// capturePause is how often the writer looks: waking it for every packet
	// would cost the shard more than the copy does.
	capturePause = 5 * time.Millisecond

	captureHeader = 8 + 1 + 1 // time, link, direction
)

// Directions of a captured packet.
const (
	inbound = iota
	outbound
)

var directions = [2]pcapgo.NgEpbFlags{
	{Direction: pcapgo.NgEpbFlagDirectionInbound},
	{Direction: pcapgo.NgEpbFlagDirectionOutbound},
}

// capture writes packets to a pcapng file on a goroutine of its own. The shard
// puts copies into a ring and never waits: what the disk cannot take is
// counted, in the file and in the log.
type capture struct {
	ring  *ring
	lost  []uint64 // per link, packets that found no room; the shard's until close
	log   *slog.Logger
	file  *os.File
	buf   *bufio.Writer
	w     *pcapgo.NgWriter
	names []string
	taken []uint64 // per link, packets put into the ring
	err   error    // of the file; nothing is written after it
	stop  chan struct{}
	done  chan struct{}
}

func newCapture(name string, interfaces []string, log *slog.Logger) (*capture, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	c := &capture{
		ring: newRing(captureRing), lost: make([]uint64, len(interfaces)), taken: make([]uint64, len(interfaces)),
		log: log, file: f, buf: bufio.NewWriterSize(f, 1<<20), names: interfaces,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := c.head(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	go c.write()
	return c, nil
}

// head writes the section header and the interfaces.
func (c *capture) head() (err error) {
	section := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: version(), OS: "linux"}}
	for i, name := range c.names {
		in := pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet, TimestampResolution: 9}
		if i == 0 {
			c.w, err = pcapgo.NewNgWriterInterface(c.buf, in, section)
		} else {
			_, err = c.w.AddInterface(in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tap is the shard's tap: it copies a packet, the pieces of a chain put together.
func (c *capture) tap(pool *frame.Pool) stack.Tap {
	return func(out bool, link int, spans []frame.Span) {
		n := captureHeader
		for _, s := range spans {
			n += int(s.Len)
		}
		b := c.ring.reserve(n)
		if b == nil {
			c.lost[link]++
			return
		}
		binary.LittleEndian.PutUint64(b, uint64(time.Now().UnixNano()))
		b[8], b[9] = byte(link), inbound
		if out {
			b[9] = outbound
		}
		b = b[captureHeader:]
		for _, s := range spans {
			b = b[copy(b, pool.Bytes(s)):]
		}
		c.ring.commit()
		c.taken[link]++
	}
}

// write is the writer's goroutine.
func (c *capture) write() {
	defer close(c.done)
	tick := time.NewTicker(capturePause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.ring.take(c.packet)
		case <-c.stop:
			c.ring.take(c.packet)
			return
		}
	}
}

func (c *capture) packet(b []byte) {
	if c.err != nil {
		return
	}
	data := b[captureHeader:]
	c.err = c.w.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp:      time.Unix(0, int64(binary.LittleEndian.Uint64(b))),
		CaptureLength:  len(data),
		Length:         len(data),
		InterfaceIndex: int(b[8]),
	}, data, pcapgo.NgPacketOptions{Flags: &directions[b[9]]})
	if c.err != nil {
		c.log.Error("capture ends", "file", c.file.Name(), "error", c.err)
	}
}

// close writes what waits and how much is missing. The shard puts no more.
func (c *capture) close() error {
	close(c.stop)
	<-c.done
	for i, lost := range c.lost {
		if c.err == nil {
			c.err = c.w.WriteInterfaceStats(i, pcapgo.NgInterfaceStatistics{
				LastUpdate: time.Now(), PacketsReceived: c.taken[i] + lost, PacketsDropped: lost,
			})
		}
		c.log.Info("captured", "file", c.file.Name(), "interface", c.names[i], "packets", c.taken[i], "lost", lost)
	}
	if c.err == nil {
		c.err = c.w.Flush()
	}
	if c.err == nil {
		c.err = c.buf.Flush()
	}
	if err := errors.Join(c.err, c.file.Close()); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

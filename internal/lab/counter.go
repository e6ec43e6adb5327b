package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Counters are the kernel's SNMP counters of a namespace by name: the group and
// the counter together, such as MPTcpExtMPJoinSynTx or TcpRetransSegs.
type Counters map[string]int64

// Counters reads /proc/net/netstat and /proc/net/snmp of the namespace.
func (ns *NS) Counters() (Counters, error) {
	c := Counters{}
	err := ns.Do(func() error {
		for _, name := range []string{"netstat", "snmp"} {
			// /proc/net is the process's namespace, not the thread's.
			f, err := os.Open("/proc/thread-self/net/" + name)
			if err != nil {
				return err
			}
			err = c.parse(f)
			f.Close()
			if err != nil {
				return fmt.Errorf("/proc/net/%s: %w", name, err)
			}
		}
		return nil
	})
	return c, err
}

// parse reads pairs of lines, "Group: names..." and "Group: values...".
func (c Counters) parse(r io.Reader) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20) // TcpExt has some 130 names
	for s.Scan() {
		names := strings.Fields(s.Text())
		if !s.Scan() {
			break
		}
		values := strings.Fields(s.Text())
		if len(names) == 0 || len(names) != len(values) || names[0] != values[0] {
			return errors.New("names and values do not match")
		}
		group := strings.TrimSuffix(names[0], ":")
		for i := 1; i < len(names); i++ {
			v, err := strconv.ParseInt(values[i], 10, 64)
			if err != nil {
				return err
			}
			c[group+names[i]] = v
		}
	}
	return s.Err()
}

// Since returns what was counted after before, without what did not change.
func (c Counters) Since(before Counters) Counters {
	d := Counters{}
	for name, v := range c {
		if v != before[name] {
			d[name] = v - before[name]
		}
	}
	return d
}

// trouble are the MPTCP counters that stay 0 between two peers that understand
// each other: a fallback, a failed join, a mapping or checksum that was wrong,
// an address that was dropped.
var trouble = []string{
	"MPCapableFallbackACK", "MPCapableFallbackSYNACK", "MPFallbackTokenInit",
	"MPJoinNoTokenFound", "MPJoinSynAckHMacFailure", "MPJoinAckHMacFailure", "MPJoinRejected",
	"DSSNotMatching", "DSSCorruptionFallback", "DSSCorruptionReset", "DSSNoMatchTCP", "DataCsumErr",
	"InfiniteMapTx", "InfiniteMapRx", "MPCapableDataFallback", "MD5SigFallback", "DssFallback", "SimultConnectFallback", "FallbackFailed",
	"MPFailTx", "MPFailRx", "NoDSSInWindow", "Blackhole", "AddAddrDrop", "RmAddrDrop",
}

// TroubleNames are the counters that stay 0 between two peers that understand
// each other, as [Counters.Trouble] has them but without the group MPTcpExt.
func TroubleNames() []string { return slices.Clone(trouble) }

// Trouble returns those MPTCP counters that must be 0 and are not.
func (c Counters) Trouble() Counters {
	t := Counters{}
	for _, name := range trouble {
		if v := c["MPTcpExt"+name]; v != 0 {
			t["MPTcpExt"+name] = v
		}
	}
	return t
}

// Joins checks, on the side that connects, that conns connections became MPTCP
// and opened joins more subflows in all, and that nothing is in [Counters.Trouble].
func (c Counters) Joins(conns, joins int64) error {
	var errs []error
	for _, w := range []struct {
		name string
		want int64
	}{
		{"MPTcpExtMPCapableSYNTX", conns}, {"MPTcpExtMPCapableSYNACKRX", conns},
		{"MPTcpExtMPJoinSynTx", joins}, {"MPTcpExtMPJoinSynAckRx", joins},
	} {
		if got := c[w.name]; got != w.want {
			errs = append(errs, fmt.Errorf("%s is %d, want %d", w.name, got, w.want))
		}
	}
	for name, v := range c.Trouble() {
		errs = append(errs, fmt.Errorf("%s is %d, want 0", name, v))
	}
	return errors.Join(errs...)
}

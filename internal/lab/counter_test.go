package lab

import (
	"strings"
	"testing"
	"time"
)

func TestCountersParse(t *testing.T) {
	c := Counters{}
	if err := c.parse(strings.NewReader("MPTcpExt: MPCapableSYNTX MPJoinSynTx\nMPTcpExt: 3 4\nTcp: MaxConn InSegs\nTcp: -1 77\n")); err != nil {
		t.Fatal(err)
	}
	if c["MPTcpExtMPCapableSYNTX"] != 3 || c["MPTcpExtMPJoinSynTx"] != 4 || c["TcpMaxConn"] != -1 || c["TcpInSegs"] != 77 {
		t.Errorf("parsed %v", c)
	}
	d := c.Since(Counters{"TcpInSegs": 70, "TcpMaxConn": -1, "MPTcpExtMPCapableSYNTX": 3})
	if len(d) != 2 || d["TcpInSegs"] != 7 || d["MPTcpExtMPJoinSynTx"] != 4 {
		t.Errorf("difference %v", d)
	}
	for _, bad := range []string{"A: x y\nA: 1\n", "A: x\nB: 1\n", "A: x\nA: one\n", "\n\n"} {
		if err := (Counters{}).parse(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestJoins(t *testing.T) {
	good := Counters{"MPTcpExtMPCapableSYNTX": 2, "MPTcpExtMPCapableSYNACKRX": 2, "MPTcpExtMPJoinSynTx": 1, "MPTcpExtMPJoinSynAckRx": 1, "TcpInSegs": 9}
	if err := good.Joins(2, 1); err != nil {
		t.Error(err)
	}
	if good.Joins(1, 1) == nil || good.Joins(2, 2) == nil {
		t.Error("wrong counts pass")
	}
	good["MPTcpExtDataCsumErr"] = 1
	if good.Joins(2, 1) == nil || len(good.Trouble()) != 1 {
		t.Error("a wrong checksum passes")
	}
}

func TestProcessorTime(t *testing.T) {
	if d, err := parseBusy("cpu  10 1 20 999 5 3 4 50 7 0"); err != nil || d != 380*time.Millisecond {
		t.Errorf("%v, %v, want 380ms", d, err)
	}
	if _, err := parseBusy("cpu0 1 2"); err == nil {
		t.Error("a short line passes")
	}
	before, err := Used()
	if err != nil {
		t.Fatal(err)
	}
	machine, err := Busy()
	if err != nil {
		t.Fatal(err)
	}
	x := 0
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); x++ {
	}
	after, _ := Used()
	machineAfter, _ := Busy()
	// Another process may have had the processor, so only a lower bound holds.
	if used := after - before; used < 10*time.Millisecond || used > 5*time.Second {
		t.Errorf("200 ms of looping cost %v", used)
	}
	if machineAfter-machine < 10*time.Millisecond {
		t.Errorf("the machine was busy for %v meanwhile", machineAfter-machine)
	}
}

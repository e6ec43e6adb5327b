//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
)

// events reads a trace.
func events(t *testing.T, name string) (all []map[string]any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		var m map[string]any
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			t.Fatalf("%v: %s", err, in.Text())
		}
		all = append(all, m)
	}
	return all
}

// checkTrace: the trace tells of the connection's life, and of where each byte went.
func checkTrace(t *testing.T, name string, sent int64) {
	t.Helper()
	seen := map[string]int{}
	var bytes int64
	for _, m := range events(t, name) {
		kind := m["event"].(string)
		seen[kind]++
		if kind == "burst" {
			bytes += int64(m["bytes"].(float64))
			if m["why"] != "only" {
				t.Errorf("chosen as %v where there is one path", m["why"])
			}
		}
	}
	for _, kind := range []string{"created", "established", "burst", "sample", "limited", "explained", "closed"} {
		if seen[kind] == 0 {
			t.Errorf("no %s in the trace: %v", kind, seen)
		}
	}
	if bytes != sent {
		t.Errorf("bursts of %d bytes, want %d", bytes, sent)
	}
}

// TestTrace: every kind becomes a line, and the summary adds up modulo 2^32.
func TestTrace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "trace")
	tr, err := newTrace(name)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for k := mptcp.Kind(0); k.String() != "unknown"; k++ {
		tr.watch(nil, &mptcp.Record{At: 5 * tcp.Millisecond, Conn: 7, Flow: 9, Kind: k, Code: 1, Addr: tcp.AddrFrom4([4]byte{10, 0, 0, 1}), Port: 80})
		n++
	}
	for _, sent := range []uint64{1 << 31, 1<<32 - 10, 90} {
		tr.watch(nil, &mptcp.Record{Flow: 9, Kind: mptcp.KindSample, Values: [2]uint64{0, sent}})
		n++
	}
	if err := tr.close(); err != nil {
		t.Fatal(err)
	}
	all := events(t, name)
	if len(all) != n || n < 17 {
		t.Errorf("%d lines of %d records", len(all), n)
	}
	for i, m := range all[:n-3] {
		if m["event"] != mptcp.Kind(i).String() || m["t_us"] != 5000.0 || m["conn"] != 7.0 || m["subflow"] != 9.0 || m["addr"] != "10.0.0.1:80" {
			t.Errorf("line %d: %v", i, m)
		}
	}
	if p := tr.paths[9]; p.sent != 1<<32+90 {
		t.Errorf("%d bytes sent", p.sent)
	}
}

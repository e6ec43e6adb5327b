//go:build linux

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/stack"
	"github.com/mpxd/mpxd/tcp"
)

// traceQueue rides out a slow disk: a second of a gigabit in bursts of a segment.
const traceQueue = 1 << 16

// trace hears of everything (mptcp.Record) that happens to connections. It writes a line of
// JSON for each, in a goroutine of its own, and adds up what the summary says. What the
// disk does not take in time is counted and said.
type trace struct {
	file  *os.File // nil: only the summary is wanted
	queue chan mptcp.Record
	ended chan error
	lost  uint64 // the shard's, until the queue is closed

	paths             map[mptcp.Flow]*carried // by subflow; the writer's
	time              mptcp.Explained
	resent, fallbacks map[mptcp.Cause]int
}

// carried is what the summary tells of a subflow.
type carried struct {
	remote                 netip.AddrPort
	sent, received         uint64
	lastSent, lastReceived uint32
}

// newTrace begins a trace into a file, "" being none.
func newTrace(name string) (*trace, error) {
	t := &trace{queue: make(chan mptcp.Record, traceQueue), ended: make(chan error, 1), paths: map[mptcp.Flow]*carried{},
		resent: map[mptcp.Cause]int{}, fallbacks: map[mptcp.Cause]int{}}
	if name != "" {
		f, err := os.Create(name)
		if err != nil {
			return nil, fmt.Errorf("--trace: %w", err)
		}
		t.file = f
	}
	go func() { t.ended <- t.write() }()
	return t, nil
}

// watch is called in the turn.
func (t *trace) watch(_ *stack.Shard, r *mptcp.Record) {
	select {
	case t.queue <- *r:
	default:
		t.lost++
	}
}

// close waits until everything is written. The shard must have ended.
func (t *trace) close() error {
	close(t.queue)
	err := <-t.ended
	if t.lost > 0 {
		err = errors.Join(err, fmt.Errorf("trace: %d records were lost: the disk is too slow", t.lost))
	}
	return err
}

func (t *trace) write() (err error) {
	var out io.Writer = io.Discard
	var b *bufio.Writer
	if t.file != nil {
		b = bufio.NewWriterSize(t.file, 1<<16)
		out = b
	}
	enc := json.NewEncoder(out)
	for r := range t.queue {
		t.add(&r)
		if t.file != nil && err == nil {
			err = enc.Encode(line(&r))
		}
	}
	if t.file != nil {
		err = errors.Join(err, b.Flush(), t.file.Close())
	}
	return err
}

// line is a record as JSON. Times are in microseconds of the shard's clock, a connection and a
// subflow are called by their indices.
func line(r *mptcp.Record) map[string]any {
	m := map[string]any{"t_us": int64(r.At / tcp.Microsecond), "event": r.Kind.String(), "conn": r.Conn.Index()}
	if r.Flow != 0 {
		m["subflow"] = r.Flow.Index()
	}
	if a := about(r); a.IsValid() {
		m["addr"] = a.String()
	}
	us := func(v uint64) int64 { return int64(tcp.Time(v) / tcp.Microsecond) }
	switch r.Kind {
	case mptcp.KindCreated, mptcp.KindEstablished:
		m["token"] = r.Values[0]
	case mptcp.KindClosed:
		m["why"] = tcp.Reason(r.Code).String()
	case mptcp.KindFallback:
		m["why"] = mptcp.Cause(r.Code).String()
	case mptcp.KindSubClosed:
		m["why"], m["reset"], m["id"] = tcp.Reason(r.Values[0]).String(), r.Code, r.ID
	case mptcp.KindBurst, mptcp.KindReinject:
		m["why"], m["bytes"], m["dsn"] = mptcp.Cause(r.Code).String(), r.Values[0], r.Values[1]
		if r.Kind == mptcp.KindReinject {
			m["from_id"] = r.ID
		}
	case mptcp.KindDataTimeout:
		m["bytes"], m["dsn"] = r.Values[0], r.Values[1]
	case mptcp.KindLimited:
		m["by"], m["was"], m["for_us"] = mptcp.Limit(r.Code).String(), mptcp.Limit(r.Values[0]).String(), us(r.Values[1])
	case mptcp.KindBlocked:
		if m["begin"] = r.Code == 1; r.Code == 1 {
			m["bytes"] = r.Values[0]
		} else {
			m["for_us"] = us(r.Values[1])
		}
	case mptcp.KindSample:
		cwnd, srtt, sent, received := r.Sample()
		m["cwnd"], m["srtt_us"], m["sent"], m["received"] = cwnd, us(uint64(srtt)), sent, received
	case mptcp.KindExplained:
		x := r.Explained()
		m["application_ms"], m["window_ms"], m["paths_ms"], m["blocked_ms"] = milli(x.Application), milli(x.Window), milli(x.Paths), milli(x.Blocked)
	default:
		m["id"] = r.ID
		if r.Values[0] != 0 {
			m["value"] = r.Values[0]
		}
	}
	return m
}

func milli(t tcp.Time) int64 { return int64(t / tcp.Millisecond) }

func about(r *mptcp.Record) netip.AddrPort {
	if r.Addr == (tcp.Addr{}) {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(r.Addr)).Unmap(), r.Port)
}

// add takes a record into the summary.
func (t *trace) add(r *mptcp.Record) {
	switch r.Kind {
	case mptcp.KindSample:
		p := t.paths[r.Flow]
		if p == nil {
			p = &carried{}
			t.paths[r.Flow] = p
		}
		_, _, sent, received := r.Sample()
		p.remote = about(r)
		p.sent += uint64(sent - p.lastSent)
		p.received += uint64(received - p.lastReceived)
		p.lastSent, p.lastReceived = sent, received
	case mptcp.KindReinject:
		t.resent[mptcp.Cause(r.Code)]++
	case mptcp.KindFallback:
		t.fallbacks[mptcp.Cause(r.Code)]++
	case mptcp.KindExplained:
		x := r.Explained()
		t.time.Application += x.Application
		t.time.Window += x.Window
		t.time.Paths += x.Paths
		t.time.Blocked += x.Blocked
	}
}

// summary tells people, at the end; n are the shard's counters, which have the names that nstat
// shows where they mean the same.
func (t *trace) summary(log *slog.Logger, n *mptcp.Counters) {
	for _, id := range slices.SortedFunc(maps.Keys(t.paths), func(a, b mptcp.Flow) int { return cmp.Compare(a.Index(), b.Index()) }) {
		p := t.paths[id]
		log.Info("subflow", "index", id.Index(), "to", p.remote, "sent", p.sent, "received", p.received)
	}
	log.Info("time", "application_limited_ms", milli(t.time.Application), "window_limited_ms", milli(t.time.Window),
		"paths_limited_ms", milli(t.time.Paths), "head_of_line_ms", milli(t.time.Blocked))
	for _, m := range []struct {
		what string
		by   map[mptcp.Cause]int
	}{{"reinjected", t.resent}, {"fallback", t.fallbacks}} {
		for _, why := range slices.Sorted(maps.Keys(m.by)) {
			log.Info(m.what, "why", why, "count", m.by[why])
		}
	}
	for v, i := reflect.ValueOf(*n), 0; i < v.NumField(); i++ {
		if k := v.Field(i).Uint(); k != 0 {
			log.Info("counter", "name", "MPTcpExt"+v.Type().Field(i).Name, "value", k)
		}
	}
}

// traced runs a shard with a trace of it, if one is wanted: run is to call ready on
// the shard's thread before anything happens.
func traced(name string, verbose bool, log *slog.Logger, run func(ready func(*host)) error) error {
	if name == "" && !verbose {
		return run(func(*host) {})
	}
	t, err := newTrace(name)
	if err != nil {
		return err
	}
	var count *mptcp.Counters
	err = run(func(h *host) {
		count = h.shard.MPTCP()
		h.shard.SetWatch(t.watch)
	})
	err = errors.Join(err, t.close())
	if verbose && count != nil {
		t.summary(log, count)
	}
	return err
}

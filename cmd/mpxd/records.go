//go:build linux

package main

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mpxd/mpxd/internal/proxy"
	"github.com/mpxd/mpxd/tcp"
)

const (
	// recordQueue rides out one slow write of the log.
	recordQueue = 1024
	// recordsPerSecond keeps a flood of sessions from being a flood of lines.
	recordsPerSecond = 50
)

// recordLog writes a line per session that ended, and no more than so many a
// second; the rest is counted.
type recordLog struct {
	log     *slog.Logger
	queue   chan proxy.Record
	dropped atomic.Uint64
}

func newRecordLog(log *slog.Logger) *recordLog {
	return &recordLog{log: log, queue: make(chan proxy.Record, recordQueue)}
}

// put is called in the turn.
func (l *recordLog) put(r proxy.Record) {
	select {
	case l.queue <- r:
	default:
		l.dropped.Add(1)
	}
}

// write is the writer's goroutine.
func (l *recordLog) write(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	left := recordsPerSecond
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			left = recordsPerSecond
			if n := l.dropped.Swap(0); n > 0 {
				l.log.Warn("sessions not logged", "count", n)
			}
		case r := <-l.queue:
			if left == 0 {
				l.dropped.Add(1)
				continue
			}
			left--
			l.log.Info("session", attributes(r)...)
		}
	}
}

func attributes(r proxy.Record) []any {
	to := r.Name // of the client's choosing: the handler quotes it
	if r.Upstream != (netip.AddrPort{}) {
		if to != "" {
			to += " "
		}
		to += r.Upstream.String()
	}
	a := []any{"client", r.Client.String(), "to", to, "end", r.End.String()}
	if r.Why != tcp.NoError {
		a = append(a, "why", r.Why.String())
	}
	if r.Reply != proxy.Succeeded {
		a = append(a, "reply", r.Reply.String())
	}
	return append(a, "mptcp", r.MPTCP, "subflows", r.Subflows, "up", r.Up, "down", r.Down,
		"lasted", time.Duration(r.Ended-r.Began).Round(time.Microsecond))
}

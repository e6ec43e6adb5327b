package script

import (
	"reflect"

	"github.com/mpxd/mpxd/tcp"
)

// Numbers of states and phases as Linux has them.
var (
	linuxStates = map[tcp.State]int64{
		tcp.Established: 1, tcp.SynSent: 2, tcp.SynRcvd: 3, tcp.FinWait1: 4, tcp.FinWait2: 5, tcp.TimeWaitState: 6,
		tcp.Closed: 7, tcp.CloseWait: 8, tcp.LastAck: 9, tcp.Closing: 11,
	}
	constants = map[string]int64{
		"TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5, "TCP_TIME_WAIT": 6,
		"TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
		"TCP_CA_Open": 0, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4, "True": 1, "False": 0,
	}
)

// info are the fields of Linux's tcp_info that a Status answers, and some in
// bytes.
var info = map[string]func(*tcp.Status) int64{
	"tcpi_state":          func(s *tcp.Status) int64 { return linuxStates[s.State] },
	"tcpi_ca_state":       caState,
	"tcpi_retransmits":    func(s *tcp.Status) int64 { return int64(s.Timeouts) },
	"tcpi_backoff":        func(s *tcp.Status) int64 { return int64(s.Timeouts) },
	"tcpi_snd_wscale":     func(s *tcp.Status) int64 { return int64(s.SndWScale) },
	"tcpi_rcv_wscale":     func(s *tcp.Status) int64 { return int64(s.RcvWScale) },
	"tcpi_rto":            func(s *tcp.Status) int64 { return int64(s.RTO / tcp.Microsecond) },
	"tcpi_rtt":            func(s *tcp.Status) int64 { return int64(s.SRTT / tcp.Microsecond) },
	"tcpi_min_rtt":        func(s *tcp.Status) int64 { return int64(s.MinRTT / tcp.Microsecond) },
	"tcpi_snd_mss":        func(s *tcp.Status) int64 { return int64(s.MSS) },
	"tcpi_snd_cwnd":       func(s *tcp.Status) int64 { return int64(s.Cwnd / max(s.MSS, 1)) },
	"tcpi_unacked":        func(s *tcp.Status) int64 { return segments(s.Unacked, s.MSS) },
	"tcpi_notsent_bytes":  func(s *tcp.Status) int64 { return int64(s.Unsent) },
	"tcpi_snd_wnd":        func(s *tcp.Status) int64 { return int64(s.Peer) },
	"tcpi_snd_ssthresh":   func(s *tcp.Status) int64 { return int64(s.Ssthresh / max(s.MSS, 1)) },
	"tcpi_pacing_rate":    func(s *tcp.Status) int64 { return int64(s.Pace) },
	"cwnd_bytes":          func(s *tcp.Status) int64 { return int64(s.Cwnd) },
	"in_flight_bytes":     func(s *tcp.Status) int64 { return int64(s.InFlight) },
	"unacked_bytes":       func(s *tcp.Status) int64 { return int64(s.Unacked) },
	"tcpi_bytes_received": func(s *tcp.Status) int64 { return int64(s.RcvNxt - s.IRS - 1) },
	"tcpi_bytes_acked":    func(s *tcp.Status) int64 { return int64(s.SndUna - s.ISS - 1) },
}

func caState(s *tcp.Status) int64 {
	switch {
	case s.Timeouts > 0:
		return constants["TCP_CA_Loss"]
	case s.Recovery:
		return constants["TCP_CA_Recovery"]
	}
	return constants["TCP_CA_Open"]
}

func segments(n, mss uint32) int64 { return int64((n + max(mss, 1) - 1) / max(mss, 1)) }

// assert runs a block of assertions. They ask the last socket a call named; a
// name like ChallengeAcks is a counter of the host.
func (r *runner) assert(e *Event) error {
	if r.host == nil {
		return &Error{File: r.script.Name, Line: e.Line, Text: "nothing runs yet that could be asked"}
	}
	var st *tcp.Status
	if r.last != nil && r.last.opened {
		r.shard.EachFlow(r.last.conn, func(s tcp.Status) { st = &s })
	}
	return evaluate(r.script.Name, e.Line, e.Col+len("%{")-1, *e.Code, func(name string) (int64, bool) {
		if v, ok := constants[name]; ok {
			return v, true
		}
		if f, ok := info[name]; ok && st != nil {
			return f(st), true
		}
		stats := r.shard.Stats()
		for _, s := range []reflect.Value{reflect.ValueOf(stats.TCP), reflect.ValueOf(stats).Elem()} {
			if f := s.FieldByName(name); f.IsValid() && f.CanUint() {
				return int64(f.Uint()), true
			}
		}
		return 0, false
	})
}

package script

import (
	"strings"
	"testing"
)

// TestNotation plays scripts written as those of other stacks are.
func TestNotation(t *testing.T) { Test(t, "testdata") }

// TestNeeds: what our host has not is told as such, with its place, and is no
// failure of the host.
func TestNeeds(t *testing.T) {
	for src, want := range map[string]string{
		start + "+0 sendto(4, ..., 100, MSG_FASTOPEN, ..., ...) = 100":       "test.pkt:9: skipped: needs sendto with MSG_FASTOPEN",
		start + "+0 epoll_create(1) = 5":                                     "skipped: needs the system call epoll_create",
		start + "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [0], 4) = 0":         "skipped: needs setsockopt(TCP_NODELAY, [0])",
		start + "+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, \"reno\", 4) = 0": "skipped: needs TCP_CONGESTION of a connection that runs",
		start + "+0 setsockopt(4, SOL_TCP, TCP_MD5SIG, ..., 4) = 0":          "setsockopt(TCP_MD5SIG) wants [N]",
		start + "+0 setsockopt(4, SOL_TCP, TCP_MD5SIG, [3], 4) = 0":          "skipped: needs setsockopt(TCP_MD5SIG)",
		start + "+0 getsockopt(4, SOL_TCP, TCP_CM_INQ, [3], [4]) = 0":        "skipped: needs getsockopt(TCP_CM_INQ)",
		start + "+0 ioctl(4, FIOASYNC, [3]) = 0":                             "skipped: needs ioctl(FIOASYNC)",
		start + "+0 %{ assert tcpi_no_such_thing == 1 }%":                    `test.pkt:9:14: skipped: needs the name "tcpi_no_such_thing"`,
		start + "+0 %{ if tcpi_unacked: print(1) }%":                         "skipped: needs Python beyond assertions",
		"0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3":                         "skipped: needs UDP",
		"0 < S 0:0(0) win 1 <mss 1000,FO abcd>":                              "test.pkt:1:30: skipped: needs TCP Fast Open (option FO)",
		"0 `ip route change 192.0.2.0/24 dev tun0 initcwnd 20`":              "skipped: needs the command",
		"`sysctl -q net.ipv4.tcp_fastopen=1`":                                "test.pkt:1: skipped: needs sysctl net.ipv4.tcp_fastopen",
		"--ip_version=ipv4-mapped-ipv6\n0 socket(..., SOCK_STREAM, 0) = 3":   "test.pkt:1: skipped: needs IP version",
	} {
		s, err := Parse("test.pkt", src)
		if err == nil {
			err = s.Run(nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "test.pkt:") || err.(*Error).Needs != strings.Contains(want, "skipped") {
			t.Errorf("%q: %v", src, err)
		}
	}
}

// TestBurstsStayStrict: what --tso joins is still compared.
func TestBurstsStayStrict(t *testing.T) {
	for script, want := range map[string]string{
		"+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1":                                                         "",
		"+0 write(4, ..., 3000) = 3000\n+0 > . 1:3001(3000) ack 1":                                                          "(flags)",
		"+0 write(4, ..., 3000) = 3000\n+0 > P. 1:2001(2000) ack 1\n+0 > P. 2001:3001(1000) ack 1":                          "(flags)",
		"+0 write(4, ..., 3000) = 3000\n+0 > . 1:2501(2500) ack 1":                                                          "actual    > . 1:2001(2000)",
		"+0 write(4, ..., 3000) = 3000\n+0 > P. 1:4001(4000) ack 1":                                                         "(length)",
		"+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1 <nop>":                                                   "(options)",
		"+0 write(4, ..., 500) = 500\n+0 write(4, ..., 500) = 500\n+0 > P. 1:1001(1000) ack 1":                              "",
		"+0 write(4, ..., 900) = 900\n+0 write(4, ..., 800) = 800\n+0 write(4, ..., 800) = 800\n+0 > P. 1:2501(2500) ack 1": "actual    > P. 1:1701(1700)",
	} {
		err := mustParse(t, "--tso\n"+start+script).Run(nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", script, err)
		}
	}
	if err := mustParse(t, start+"+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1").Run(nil); err == nil {
		t.Error("joined without --tso")
	}
}

package script

import (
	"strings"
	"testing"
)

// passive is the beginning of most scripts here.
const passive = `--tolerance_usecs=100
0   socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0  bind(3, ..., ...) = 0
+0  listen(3, 1) = 0
+0  < S 0:0(0) win 65535 <mss 1000, sackOK, nop, wscale 7>
+0  > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 512
`

var start = strings.ReplaceAll(passive, "+.1", "+0.1") + "+0 accept(3, ..., ...) = 4\n"

// TestRunnerBites runs scripts that are wrong in one place each: a runner
// that lets one pass would let a broken host pass.
func TestRunnerBites(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"flags":       {"+0 write(4, ..., 100) = 100\n+0 > F. 1:101(100) ack 1", "another packet was sent (flags)"},
		"sequence":    {"+0 write(4, ..., 100) = 100\n+0 > P. 2:102(100) ack 1", "(sequence number)"},
		"length":      {"+0 write(4, ..., 100) = 100\n+0 > P. 1:102(101) ack 1", "(length)"},
		"ack":         {"+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 2", "(acknowledgement)"},
		"no ack":      {"+0 write(4, ..., 100) = 100\n+0 > P 1:101(100)", "(flags, acknowledgement)"},
		"window":      {"+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1 win 1", "(window)"},
		"urgent":      {"+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1 urg 1", "(urgent pointer)"},
		"options":     {"+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1 <nop>", "(options)"},
		"ecn":         {"+0 write(4, ..., 100) = 100\n+0 > [ect0] P. 1:101(100) ack 1", "(ECN)"},
		"address":     {"+0 write(4, ..., 100) = 100\n+0 > addr[saddr1] > addr[caddr0] P. 1:101(100) ack 1", "source"},
		"late":        {"+0 write(4, ..., 100) = 100\n+0.1 > P. 1:101(100) ack 1", "was sent at 0.100000, not from 0.199900"},
		"never":       {"+0 > P. 1:101(100) ack 1", "no packet was sent"},
		"unexpected":  {"+0 write(4, ..., 100) = 100\n+0.1 read(4, ..., 1) = 0", "that the script does not expect"},
		"left over":   {"+0 write(4, ..., 100) = 100", "that the script does not expect"},
		"result":      {"+0 write(4, ..., 100) = 99\n", "expected  write(4, ..., 100) = 99\nactual    write(4, ..., 100) = 100"},
		"errno":       {"+0 write(3, ..., 100) = -1 ENOTCONN\n", "-1 EPIPE"},
		"blocks":      {"+0 read(4, ..., 100) = 100\n", "blocks"},
		"too long":    {"+0...0.1 read(4, ..., 100) = 100\n+0.5 close(3) = 0", "still blocks"},
		"too early":   {"+0...0.5 read(4, ..., 100) = 100\n+0.1 < P. 1:101(100) ack 1 win 512\n+0 > . 1:1(0) ack 101", "returned at 0.200000, not at 0.600000"},
		"assertion":   {"+0 %{ assert tcpi_unacked == 1 }%", "assertion failed: tcpi_unacked == 1 (tcpi_unacked is 0)"},
		"the past":    {"0.05 close(4) = 0", "has passed"},
		"bad file":    {"+0 read(9, ..., 1) = 1", "EBADF"},
		"late config": {"+0 `sysctl net.ipv4.tcp_sack=0`", "while the host runs"},
		"blind echo":  {"+0 < . 1:1(0) ack 1 win 1 <TS val 1 ecr 5>", "write ecr *"},
		"unknown":     {"+0 mmap(4) = 0", `needs the system call mmap`},
		"fat options": {"+0 < . 1:1(0) ack 1 win 1 <sack 1:2 3:4 5:6 7:8, nop, nop, TS val 1 ecr 0>", "do not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			src := start + c.script
			err := mustParse(t, src).Run(nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "test.pkt:") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestErrorShowsBoth is how a failure reads.
func TestErrorShowsBoth(t *testing.T) {
	err := mustParse(t, start+"+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 7 win 4 <nop>").Run(nil)
	want := "test.pkt:10: another packet was sent (acknowledgement, window, options)\n" +
		"expected  > P. 1:101(100) ack 7 win 4 <nop>\n" +
		"actual    > P. 1:101(100) ack 1 win "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

// TestRunnerIsDeterministic plays a script twice and compares the traces.
func TestRunnerIsDeterministic(t *testing.T) {
	var traces [2]string
	for i := range traces {
		s := mustParse(t, start+"+0 write(4, ..., 3000) = 3000\n* > . 1:1001(1000) ack 1\n* > . 1001:2001(1000) ack 1\n* > P. 2001:3001(1000) ack 1")
		if err := s.Run(func(line string) { traces[i] += line + "\n" }); err != nil {
			t.Fatal(err)
		}
	}
	if traces[0] != traces[1] || traces[0] == "" {
		t.Errorf("%s\n%s", traces[0], traces[1])
	}
}

func TestCommands(t *testing.T) {
	for text, want := range map[string]string{
		"sysctl -q net.ipv4.tcp_sack=0 net.ipv4.tcp_timestamps=0": "",
		"sysctl -q net.ipv4.tcp_rmem=\"4096 100000 200000\"":      "",
		"sysctl -q net.ipv4.tcp_congestion_control=reno":          "",
		"tc qdisc add dev tun0 root fq":                           "",
		"./defaults.sh\nsysctl -w net.ipv4.tcp_no_such_thing=1":   `needs sysctl net.ipv4.tcp_no_such_thing`,
		"sysctl net.ipv4.tcp_sack=x":                              "no number",
		"rm -rf /":                                                `needs the command "rm -rf /"`,
		"sysctl net.ipv4.tcp_congestion_control=vegas":            `needs congestion control "vegas"`,
	} {
		conf := defaultConfig()
		_, err := command(&conf, text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

package script

import (
	"strings"
	"testing"

	"github.com/mpxd/mpxd/tcp"
)

func mustParse(t *testing.T, src string) *Script {
	t.Helper()
	s, err := Parse("test.pkt", src)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseTimes(t *testing.T) {
	const ms = tcp.Millisecond
	for src, want := range map[string]Event{
		"0.100 close(3) = 0":          {When: When{From: 100 * ms, To: 100 * ms}},
		"+0 close(3) = 0":             {When: When{Relative: true}},
		"+.5":                         {},
		"* close(3) = 0":              {When: When{Any: true}},
		"0.1~0.2 close(3) = 0":        {When: When{From: 100 * ms, To: 200 * ms}},
		"+0~+0.1 close(3) = 0":        {When: When{Relative: true, To: 100 * ms}},
		"0.1...0.2 close(3) = 0":      {When: When{From: 100 * ms, To: 100 * ms}, Blocks: true, Until: 200 * ms},
		"+1.000000001 close(3) = 0":   {When: When{Relative: true, From: tcp.Second + 1, To: tcp.Second + 1}},
		"+0.2~+0.1 close(3) = 0":      {},
		"+0.1~0.2 close(3) = 0":       {},
		"0.0000000001 close(3) = 0":   {},
		"0.1...0.2 < . 1:1(0) ack 1":  {},
		"99999999999999 close(3) = 0": {},
	} {
		s, err := Parse("test.pkt", src)
		if want == (Event{}) {
			if err == nil {
				t.Errorf("%q: no error", src)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		got := s.Events[0]
		if got.When != want.When || got.Blocks != want.Blocks || got.Until != want.Until {
			t.Errorf("%q: %+v", src, got)
		}
	}
}

// TestPacketsPrintAsWritten parses packets and prints them again.
func TestPacketsPrintAsWritten(t *testing.T) {
	for _, src := range []string{
		"< S 0:0(0) win 65535 <mss 1460, sackOK, TS val 100 ecr 0, nop, wscale 7>",
		"> S. 0:0(0) ack 1 win 65535 <...>",
		"> . 1:1(0) ack 1 <nop, nop, sack 1001:2001 3001:4001, eol>",
		"< FP. 1:1001(1000) ack 1 win 257 urg 20",
		"< [ect0] SEW 0:0(0) win 10",
		"< - 1:1(0) win 10",
		"< SEWA 0:0(0) win 10",
		"> R 4294967290:4294967290(0)",
		"< . 4294967290:4(10) ack 7",
		"> . 1:1(0) ack 1 <nop, nop, TS val * ecr *>",
		`< . 1:1(0) ack 1 <raw "fd05010203">`,
		"< addr[caddr1] > addr[saddr0] S 0:0(0) win 65535 <mp_join_syn backup=1 address_id=1 token=sha256_32(skey)>",
		"< 192.0.2.7:5000 > 192.168.0.1:8080 S 0:0(0) win 65535",
		"< . 1:1(0) ack 1 win 256 <mp_capable v1 flags[flag_a, flag_h] key[ckey=2, skey] mpcdatalen 100, nop, nop>",
		"> . 1:1(0) ack 3 <dss dack8=3 dsn8=1 ssn=1 dll=100 nocs fin>",
		"> S. 0:0(0) ack 1 <mp_join_syn_ack address_id=0 sender_hmac=auto>",
		`> . 1:1(0) ack 1 <add_address address_id=1 addr["198.51.100.2"] hmac=auto>`,
		"< . 1:1(0) ack 1 <remove_address address_id=3>",
		"< . 1:1(0) ack 1 <mp_prio backup=1>",
		"> R. 1:1(0) ack 1 <mp_reset transient 2>",
	} {
		s := mustParse(t, "0 "+src)
		if got := s.Events[0].Packet.String(); got != src {
			t.Errorf("\n%s is printed as\n%s", src, got)
		}
	}
}

func TestAliases(t *testing.T) {
	for src, want := range map[string]string{
		"< S 0:0(0) win 1 <mss 1, sackOK, mpcapable v1 flags[flag_h] nokey>": "< S 0:0(0) win 1 <mss 1, sackOK, mp_capable v1 flags[flag_h] nokey>",
		"< CE 0:0(0) win 1": "< EW 0:0(0) win 1",
		"<               > addr[saddr1]  F.  1:1(0)  ack 1  win 256":                               "<  > addr[saddr1] F. 1:1(0) ack 1 win 256",
		`> . 1:1(0) ack 1 <add_address address_id=1 addr[ep=inet_addr("198.51.100.2")] hmac=auto>`: `> . 1:1(0) ack 1 <add_address address_id=1 addr["198.51.100.2"] hmac=auto>`,
	} {
		if got := mustParse(t, "0 "+src).Events[0].Packet.String(); got != want {
			t.Errorf("\n%s is read as\n%s, not\n%s", src, got, want)
		}
	}
}

func TestParseICMP(t *testing.T) {
	want := "< [1:1461(1460)] icmp unreachable frag_needed mtu 1400"
	for _, src := range []string{want, "< icmp unreachable frag_needed mtu 1400 [1:1461(1460)]"} {
		if got := mustParse(t, "+0 "+src).Events[0].ICMP.String(); got != want {
			t.Errorf("%s is read as %s", src, got)
		}
	}
}

func TestParseCalls(t *testing.T) {
	for _, src := range []string{
		"socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
		"connect(3, ..., ...) = -1 EINPROGRESS",
		"setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0",
		"setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0",
		"fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0",
		"poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 1",
		`send(4, "abc", 3, MSG_DONTWAIT) = 3`,
		"bind(3, {sa_family=AF_INET, sin_port=htons(9090), sin_addr=inet_addr(\"192.168.0.1\")}, ...) = 0",
	} {
		if got := mustParse(t, "0 "+src).Events[0].Call.String(); got != src {
			t.Errorf("\n%s is printed as\n%s", src, got)
		}
	}
	s := mustParse(t, "0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)\n+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation (now) in progress)\n* > . 1:1(0) ack 1")
	if len(s.Events) != 3 || s.Events[0].Call.Result.N != 2 || s.Events[1].Call.Errno != "EINPROGRESS" {
		t.Errorf("%+v", s.Events)
	}
}

// TestErrorsNameTheLine gives what must not be understood.
func TestErrorsNameTheLine(t *testing.T) {
	for src, want := range map[string]string{
		"0 < Q 1:1(0) ack 1":                       `test.pkt:2:7: "Q" is no set of flags`,
		"0 < . 1:5(3) ack 1":                       "the length should be 4",
		"0 < . 1:1(0) ack 1 <mss>":                 "mss expected",
		"0 < . 1:1(0) ack 1 <bogus 3>":             `option "bogus" is not understood`,
		"0 < . 1:1(0) ack 1 win 70000":             "win expected",
		"0 < . 1:1(0) ack 1 <mss 1460":             `"," expected`,
		"0 /* no end":                              "comment without end",
		"0 `sysctl":                                "` without `",
		"0 %{ assert":                              "%{ without }%",
		"0 @":                                      "unexpected character",
		"0 foo(3":                                  `"," expected`,
		"0 > icmp unreachable":                     "skipped: needs ICMP sent by the host",
		"0 < icmp rubbish":                         `"rubbish" is not understood`,
		"0 < icmp unreachable rubbish":             `code "rubbish"`,
		"0 7":                                      "a packet, a call",
		`0 < . 1:1(0) ack 1 <raw "xyz">`:           "hexadecimal",
		"0 < [tos] . 1:1(0) ack 1":                 "skipped: needs [tos]: only the ECN field",
		"0 < 1.2.3.4 > 5.6.7.8 . 1:1(0)":           "address with a port",
		"0 < . 1:1(0) ack 1 <TS val 1>":            `"ecr" expected`,
		"0 = -1 E (":                               "a packet, a call",
		"0 socket(..., SOCK_STREAM, 0) = 3 (never": "without",
	} {
		_, err := Parse("test.pkt", "// first\n"+src)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "test.pkt:2:") {
			t.Errorf("%q: %v", src, err)
		}
	}
}

func TestEvaluate(t *testing.T) {
	lookup := func(name string) (int64, bool) {
		v, ok := map[string]int64{"a": 3, "b": 10, "zero": 0}[name]
		return v, ok
	}
	for code, want := range map[string]string{
		"assert a == 3, a":                                "",
		"assert a * 2 + 1 == 7 and not zero":              "",
		"assert 1 < a < b <= 10 != 11":                    "",
		"assert (a + 1) / 2 == 2 or zero\nassert b > a":   "",
		"assert -a == 0 - 3 && !zero":                     "",
		"assert b % a == 1":                               "",
		"assert a == 4, 'no'":                             "t.pkt:5:10: assertion failed: a == 4 (a is 3)",
		"assert a == 3, f'@ {a}: (\n) no'\nassert b":      "",
		"assert b & 2 and b & 5 == 0 and a << 2 == 12":    "",
		"assert abs(0 - a) == max(a, 2) and min(a, b, 1)": "",
		"assert b // a == 3 and (0-b) // a == 0-4":        "",
		"assert a; assert zero == 0; print(a)":            "",
		"assert a b":                                      "the end of the expression",
		"assert " + strings.Repeat("(", 1000):             "nested",
		"assert " + strings.Repeat("-", 1000) + "1":       "nested",
		"assert b // zero":                                "division by zero",
		"assert 0.5 < a":                                  "needs fractions",
		"assert sin(a)":                                   "t.pkt:5:10: function sin",
		"if a: assert b":                                  "needs Python beyond",
		"assert a == 4":                                   "assertion failed: a == 4 (a is 3)",
		"\nassert a < b < 10":                             "t.pkt:6:8: assertion failed: a < b < 10 (a is 3, b is 10)",
		"assert c":                                        `needs the name "c"`,
		"assert b / a":                                    "no whole number",
		"assert (a":                                       `")" expected`,
	} {
		err := evaluate("t.pkt", 5, 2, code, lookup)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", code, err)
		}
	}
}

// FuzzParse feeds the parser anything: it may refuse, not panic, and what it
// takes must run to an end.
func FuzzParse(f *testing.F) {
	f.Add(passive)
	f.Add("0 < S 0:0(0) win 1 <mss 1, sack 1:2>\n+0 > R. 0:0(0) ack 1 <...>")
	f.Add("* %{ assert a < 3 }%\n0.1...0.2 read(3, ..., [1]) = -1 EAGAIN (no)")
	f.Add("--mtu=1\n0 < [1:2(1)] icmp unreachable frag_needed mtu 3\n+1~+2 > addr[caddr0] > 1.2.3.4:5 . 1:1(0) ack 2 <dss dack8=1 nocs>")
	f.Fuzz(func(t *testing.T, src string) {
		if s, err := Parse("fuzz.pkt", src); err == nil {
			s.Run(nil)
		}
	})
}

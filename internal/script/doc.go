// Package script plays packet scripts against the stack in virtual time. The
// notation is that of packetdrill; parser and runner are our own.
//
//	// Comments: //, # and /* */.
//	--tolerance_usecs=100             also tso, ip_version, mtu, local_ip, remote_ip, gateway_ip, netmask_ip, bind_port
//	`sysctl -q net.ipv4.tcp_sack=0`   before the first listen or connect; config.go lists what is understood
//	0.000  socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//	+0     bind(3, ..., ...) = 0
//	+0     listen(3, 1) = 0
//	+0     <  S   0:0(0)            win 65535  <mss 1460, sackOK, nop, wscale 7>
//	+0     >  S.  0:0(0)     ack 1             <...>
//	+0.1   <  .   1:1(0)     ack 1  win 512
//	+0...0.5  accept(3, ..., ...) = 4
//	+0     < [1:1001(1000)] icmp unreachable frag_needed mtu 1400
//	+0     %{ assert tcpi_snd_cwnd == 10 }%
//
// A time is absolute, relative to the event before (+0.1), a range (0.1~0.2,
// +0~+0.1) or whenever (*). A call that blocks says until when: +0.1...0.2.
// Seconds may begin with the point (+.1).
//
// Packets are seen from the script: < is sent to the host under test, > is
// expected of it. Every packet the host sends must be expected; windows are
// compared when given (win * says that it is not), options unless <...> or up to
// it: <mss 1460, ...>. With --tso several segments that leave back to back may be
// expected as one large packet, as if it had been seen before segmentation. Sequence numbers count from the
// SYNs; so do data sequence numbers of MPTCP. The first TS val expected says
// what the script's timestamps mean; * leaves one out of the comparison, and TS
// ecr * in a packet to the host echoes its latest.
//
// Beyond the notation: the payload is not zeros but a pattern, compared in
// every segment and every read; <raw "fd04abcd"> is an option by its
// bytes; names like ChallengeAcks in assertions are the host's counters; checksums,
// lengths and addresses of what the host sends are verified; a run ends with
// every connection aborted and every frame free.
//
// What is malformed is an error with file, line and column. What is right but asks
// for what our host has not is one, too, and says "skipped: needs ...": UDP, GRE and
// MPLS, IP options, flow labels and TOS, Fast Open, AccECN options and TCP-AO, ICMP
// sent by the host, system calls other than those of syscall.go, socket options
// other than those of sockopt.go, shell commands other than sysctl, settings changed
// while the host runs, Python beyond assertions, Nagle's algorithm.
//
// A test plays a directory with [Test]; go run ./internal/script/play -v NAME
// plays one script and shows every packet.
package script

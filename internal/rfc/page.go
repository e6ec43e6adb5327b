package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// page writes the tables.
func page(t *tree, levels map[clause]string, exceptions []exception, demands []demand, rows []row) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# RFCs, and where they are obeyed

Written by `+"`go run ./internal/rfc`"+` from the citations in code, tests and packet scripts; not by hand. A row is a
section that the code or a test cites. The level is that of what it is cited for, where that is one word. A dash says that
nothing names the section there: it may well be tested by a test that does not name it.
`)
	writeExceptions(&b, exceptions)
	writeDemands(&b, demands)
	writeRows(&b, rows)
	all := slices.SortedFunc(maps.Keys(t.cited), func(c, d clause) int {
		switch {
		case c.before(d):
			return -1
		case d.before(c):
			return 1
		}
		return 0
	})
	for i, c := range all {
		if i == 0 || all[i-1].rfc != c.rfc {
			fmt.Fprintf(&b, "\n## RFC %d%s\n\n| section | level | code | tests |\n|---|---|---|---|\n", c.rfc, titleOf(c.rfc))
		}
		p := t.cited[c]
		section := c.section
		if section == "" {
			section = "whole"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", section, levels[c], list(p.code), list(p.tests))
	}
	return b.Bytes()
}

func writeExceptions(b *bytes.Buffer, exceptions []exception) {
	fmt.Fprint(b, "\n## Exceptions\n\n| section | level | what is asked | what is done, and why | where |\n|---|---|---|---|---|\n")
	for _, e := range exceptions {
		fmt.Fprintf(b, "| RFC %d, %s | %s | %s | %s | %s |\n", e.rfc, e.section, e.level, e.asked, e.done, e.where)
	}
}

func writeDemands(b *bytes.Buffer, demands []demand) {
	if len(demands) == 0 {
		return
	}
	fmt.Fprint(b, "\n## The numbered demands of RFC 9293\n\n| id | level | where | test |\n|---|---|---|---|\n")
	for _, d := range demands {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", d.id, d.level, orDash(d.where), orDash(d.test))
	}
}

func writeRows(b *bytes.Buffer, rows []row) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprint(b, "\n## What RFC 8684 asks, row by row\n\n| row | section | level | what it asks | where | version 1 | version 0 |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %d | %s | %s | %s | %s | %s | %s |\n", r.number, r.section, r.level, r.asks, r.where, r.v1, r.v0)
	}
}

func list(set map[string]bool) string {
	return orDash(strings.Join(slices.Sorted(maps.Keys(set)), "<br>"))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func titleOf(rfc int) string {
	if t := titles[rfc]; t != "" {
		return ": " + t
	}
	return ""
}

// titles say what an RFC is about.
var titles = map[int]string{
	792: "ICMP", 826: "ARP", 1071: "the internet checksum", 1122: "hosts", 1191: "path MTU discovery",
	1337: "TIME-WAIT assassination", 1624: "incremental checksums", 1812: "routers", 1928: "SOCKS5", 2018: "SACK", 2525: "known problems",
	2883: "D-SACK", 3021: "31-bit prefixes", 3042: "limited transmit", 3168: "ECN", 3522: "Eifel detection",
	4015: "Eifel response", 4291: "IPv6 addresses", 4443: "ICMPv6", 4861: "neighbour discovery", 5227: "address conflicts",
	5461: "soft errors", 5681: "congestion control", 5682: "F-RTO", 5722: "overlapping fragments", 5827: "early retransmit",
	5927: "ICMP attacks", 5961: "blind attacks", 6056: "ports", 6093: "urgent data", 6191: "TIME-WAIT and timestamps",
	6298: "the retransmission timer", 6335: "port ranges", 6528: "initial sequence numbers", 6582: "NewReno", 6633: "source quench",
	6675: "SACK recovery", 6691: "MSS and options", 6724: "address selection", 6824: "MPTCP version 0", 6928: "initial window",
	6937: "PRR", 7323: "timestamps and window scale", 7413: "Fast Open", 7661: "idle and limited senders", 8200: "IPv6",
	8201: "path MTU discovery for IPv6", 8684: "MPTCP", 8899: "packetisation-layer path MTU", 8961: "time-based loss detection",
	8985: "RACK-TLP", 9293: "TCP", 9406: "HyStart++", 9438: "CUBIC", 9768: "AccECN", 9937: "PRR, revised",
}

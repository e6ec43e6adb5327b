//go:build linux

package interop

import (
	"fmt"
	"slices"

	"github.com/mpxd/mpxd/internal/lab"
)

// bulk is what a cell carries before and after something happens.
const bulk = Carry(1 << 20)

// Cells is the matrix.
func Cells() []Cell {
	return slices.Concat(handshakes(), paths(), changes(), announced(), announcements(), failures(), endings(), odd(), guarded(), boxes(), older())
}

// ends are the pairs of hosts.
var ends = []struct {
	name           string
	client, server Kind
}{{"kernel-ours", Kernel, Ours}, {"ours-kernel", Ours, Kernel}, {"ours-ours", Ours, Ours}}

func name(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func ipv(v6 bool) string {
	if v6 {
		return "ipv6"
	}
	return "ipv4"
}

// handshakes: one subflow, by family and checksum of either side.
func handshakes() (out []Cell) {
	for _, e := range ends {
		for _, v6 := range []bool{false, true} {
			for _, sum := range []struct {
				name           string
				client, server bool
			}{{"", false, false}, {".checksum_client", true, false}, {".checksum_server", false, true}, {".checksum", true, true}} {
				out = append(out, Cell{
					Name:   name("%s.%s%s", e.name, ipv(v6), sum.name),
					Client: Host{Kind: e.client, Checksum: sum.client}, Server: Host{Kind: e.server, Checksum: sum.server},
					V6: v6, Steps: []Step{bulk, Subflows(1)},
				})
			}
		}
	}
	return out
}

// subflows are endpoints for so many subflows beside the first.
func subflows(n int, v6 bool) (out []Endpoint) {
	for i := range n {
		out = append(out, Endpoint{Addr: i + 1, V6: v6, Flags: lab.Subflow})
	}
	return out
}

// paths: several subflows.
func paths() (out []Cell) {
	for _, e := range ends {
		for _, v6 := range []bool{false, true} {
			for _, n := range []int{2, 3, 4, 8} {
				for _, sum := range []bool{false, true} {
					if sum && n != 2 {
						continue
					}
					c := Cell{
						Name:   name("%s.%s.subflows%d", e.name, ipv(v6), n),
						Client: Host{Kind: e.client, Endpoints: subflows(n-1, v6), Checksum: sum}, Server: Host{Kind: e.server},
						V6: v6, Joins: n - 1, Steps: []Step{Subflows(n), bulk, Spread{}},
					}
					if sum {
						c.Name += ".checksum"
					}
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// older: clients of ours that offer version 0. Linux speaks version 1 only, and
// takes such a connection for plain TCP.
func older() (out []Cell) {
	for _, v6 := range []bool{false, true} {
		client := Host{Kind: Ours, Version0: true, Checksum: true}
		out = append(out, Cell{
			Name:   name("ours-kernel.%s.version0", ipv(v6)),
			Client: client, Server: Host{Kind: Kernel},
			V6: v6, Plain: true, Steps: []Step{bulk},
			ClientCounts: Counts{"MPCapableFallbackSYNACK": Exactly(1)},
			ServerCounts: Counts{"MPCapableSYNRX": Between(0, 1)},
		})
		joins := client
		joins.Endpoints = subflows(1, v6)
		for _, cookies := range []bool{false, true} {
			c := Cell{
				Name:   name("ours-ours.%s.version0", ipv(v6)),
				Client: joins, Server: Host{Kind: Ours, Cookies: cookies},
				V6: v6, Joins: 1, Steps: []Step{Subflows(2), bulk, Spread{}},
			}
			if cookies {
				c.Name += ".cookies"
			}
			reset := c
			reset.Name, reset.End = c.Name+".client_resets", ClientResets
			out = append(out, c, reset)
		}
	}
	return out
}

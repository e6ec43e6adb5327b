//go:build linux

package interop

import (
	"github.com/mpxd/mpxd/internal/link"
)

// mptcpOption is the kind of MPTCP's option.
const mptcpOption = 30

// boxes: what lies between the hosts loses, doubles, reorders and damages frames,
// or removes MPTCP's options.
func boxes() (out []Cell) {
	everywhere := func(b Box) *[links]Box { return &[links]Box{b, b} }
	both := func(c link.Config) Box {
		back := c
		c.Seed, back.Seed = 1, 2
		return Box{c, back}
	}
	const ms = 1_000_000
	for _, e := range ends {
		for _, b := range []struct {
			name string
			box  link.Config
		}{
			{"loss", link.Config{Loss: link.Million / 100, Delay: ms}},
			{"reordering", link.Config{Reorder: link.Million / 20, ReorderDelay: 3 * ms, Delay: ms}},
			{"duplicates", link.Config{Duplicate: link.Million / 20, Delay: ms}},
			{"damage", link.Config{Corrupt: link.Million / 100, Delay: ms}},
			{"slow", link.Config{Rate: 100_000_000, Delay: 20 * ms}},
		} {
			out = append(out, Cell{
				Name:   name("%s.ipv4.%s", e.name, b.name),
				Client: Host{Kind: e.client, Endpoints: subflows(1, false), Checksum: true}, Server: Host{Kind: e.server},
				Wire: Wire{Boxes: everywhere(both(b.box))}, Joins: 1, Steps: []Step{Subflows(2), bulk, Spread{}},
			})
		}
		strip := link.Config{Strip: link.Strip{Kinds: []uint8{mptcpOption}}}
		stripSYN := strip
		stripSYN.Strip.SYNOnly = true
		for _, b := range []struct {
			name string
			Box
			answered bool // the client hears of MPTCP
		}{
			{"no_option_in_syn", Box{ToServer: stripSYN}, false},
			{"no_option_in_syn_ack", Box{ToClient: stripSYN}, false},
			{"no_options", Box{strip, strip}, false},
			{"no_options_to_server", Box{ToServer: strip}, false},
			{"no_options_to_client", Box{ToClient: strip}, false},
		} {
			for _, v6 := range []bool{false, true} {
				offered := int64(1)
				if b.ToServer.Strip.Kinds != nil {
					offered = 0
				}
				out = append(out, Cell{
					Name:   name("%s.%s.%s", e.name, ipv(v6), b.name),
					Client: Host{Kind: e.client}, Server: Host{Kind: e.server},
					V6: v6, Wire: Wire{Boxes: everywhere(b.Box)}, Plain: true, Steps: []Step{bulk},
					ClientCounts: Counts{"MPCapableFallbackSYNACK": Exactly(1)},
					ServerCounts: Counts{"MPCapableSYNRX": Exactly(offered), "MPCapableFallbackACK": Exactly(offered)},
				})
			}
		}
		out = append(out, Cell{
			Name:   name("%s.ipv4.no_options_on_second_path", e.name),
			Client: Host{Kind: e.client, Endpoints: subflows(1, false)}, Server: Host{Kind: e.server},
			Wire:         Wire{Boxes: &[links]Box{{}, {strip, strip}}},
			Steps:        []Step{bulk, Count{Client, "MPJoinSynTx", Exactly(1)}, bulk, Subflows(1)},
			ClientCounts: Counts{"MPJoinSynTx": Exactly(1)},
		}, Cell{
			Name:   name("%s.ipv4.options_vanish", e.name),
			Client: Host{Kind: e.client}, Server: Host{Kind: e.server},
			// Slow enough for no window to close: Linux asks a closed one by a byte that it
			// sent before, after which nobody knows what a byte without mapping is.
			Wire: Wire{Boxes: &[links]Box{}}, Rate: 2 << 20, Plain: true,
			Steps: []Step{bulk, Rebox{0, Box{strip, strip}}, bulk, bulk},
			ClientCounts: Counts{"MPCapableSYNACKRX": Exactly(1),
				"DssFallback": Exactly(1), "InfiniteMapTx": Between(0, anyNumber), "InfiniteMapRx": Between(0, anyNumber)},
			ServerCounts: Counts{"MPCapableACKRX": Exactly(1),
				"DssFallback": Exactly(1), "InfiniteMapTx": Between(0, anyNumber), "InfiniteMapRx": Between(0, anyNumber)},
		}, Cell{
			Name:   name("%s.ipv4.options_vanish_on_second_path", e.name),
			Client: Host{Kind: e.client, Endpoints: subflows(1, false)}, Server: Host{Kind: e.server},
			Wire: Wire{Boxes: &[links]Box{}}, Joins: 1,
			Steps:        []Step{Subflows(2), Spread{}, Rebox{1, Box{strip, strip}}, Subflows(1), bulk},
			ClientCounts: Counts{"FallbackFailed": Between(0, 1)}, ServerCounts: Counts{"FallbackFailed": Between(0, 1)},
		})
	}
	return out
}

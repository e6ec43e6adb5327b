//go:build linux

package interop

import (
	"github.com/mpxd/mpxd/internal/lab"
)

// changes: a kernel adds, removes and changes endpoints in mid-transfer.
func changes() (out []Cell) {
	for _, v6 := range []bool{false, true} {
		client := func(what string, ends []Endpoint, joins int, steps ...Step) Cell {
			return Cell{
				Name:   name("kernel-ours.%s.%s", ipv(v6), what),
				Client: Host{Kind: Kernel, Endpoints: ends}, Server: Host{Kind: Ours},
				V6: v6, Joins: joins, Steps: steps,
			}
		}
		second := subflows(1, v6)[0]
		backup := second
		backup.Flags |= lab.Backup

		again := client("remove_and_add", subflows(1, v6), 2,
			Subflows(2), bulk, Remove{Client, second.id()}, Subflows(1), bulk, Add{Client, second}, Subflows(2), bulk, Spread{})
		again.ClientCounts = Counts{"RmAddrTx": Exactly(1), "RmSubflow": Exactly(1)}
		again.ServerCounts = Counts{"RmAddr": Exactly(1)}

		zero := client("remove_id0", subflows(1, v6), 1, Subflows(2), bulk, Remove{Client, 0}, Subflows(1), bulk)
		zero.ClientCounts = Counts{"RmAddrTx": Exactly(1)}
		zero.ServerCounts = Counts{"RmAddr": Exactly(1)}

		flush := client("flush", subflows(3, v6), 3, Subflows(4), bulk, Flush{Client}, Subflows(1), bulk)
		flush.ClientCounts = Counts{"RmAddrTx": Exactly(0), "RmSubflow": Exactly(3)} // FINs say it

		late := client("add_late", nil, 1, Subflows(1), bulk, Add{Client, second}, Subflows(2), bulk, Spread{})

		rests := client("backup", []Endpoint{backup}, 1, Subflows(2), bulk, Rests{bulk, 1})

		prio := client("mp_prio", subflows(1, v6), 1,
			Subflows(2), Spread{}, Change{Client, backup}, Count{Server, "MPPrioRx", Exactly(1)}, bulk, Rests{bulk, 1},
			Change{Client, second}, Count{Server, "MPPrioRx", Exactly(2)}, bulk, Spread{})
		prio.ClientCounts = Counts{"MPPrioTx": Exactly(2)}

		out = append(out, again, zero, flush, late, rests, prio)
	}
	return out
}

// announcements: a kernel announces addresses. A server of ours takes note and
// joins nothing; a client of ours is not told to.
func announcements() (out []Cell) {
	signal := func(i int, v6 bool, port uint16) Endpoint {
		return Endpoint{Addr: i, V6: v6, Port: port, Flags: lab.Signal}
	}
	for _, v6 := range []bool{false, true} {
		for _, c := range []struct {
			what string
			ends []Endpoint
		}{
			{"announce", []Endpoint{signal(1, v6, 0)}},
			{"announce_port", []Endpoint{signal(1, v6, 4434)}},
			{"announce_both_families", []Endpoint{signal(1, v6, 0), signal(1, !v6, 0)}},
			{"announce_and_withdraw", []Endpoint{signal(1, v6, 0)}},
			{"announce_and_flush", []Endpoint{signal(1, v6, 0), signal(2, v6, 0)}},
		} {
			n := int64(len(c.ends))
			tells, hears := Counts{"AddAddrTx": AtLeast(n), "EchoAdd": AtLeast(n)}, Counts{"AddAddr": AtLeast(n), "EchoAddTx": AtLeast(n)}
			steps := []Step{Count{Client, "EchoAdd", AtLeast(n)}, bulk, Subflows(1)}
			cell := Cell{
				Name:   name("kernel-ours.%s.%s", ipv(v6), c.what),
				Client: Host{Kind: Kernel, Endpoints: c.ends}, Server: Host{Kind: Ours},
				V6: v6, ClientCounts: tells, ServerCounts: hears,
			}
			switch c.what {
			case "announce_and_withdraw":
				steps = append(steps, Remove{Client, c.ends[0].id()}, Count{Server, "RmAddr", Exactly(1)}, bulk)
				tells["RmAddrTx"], hears["RmAddr"] = Exactly(1), Exactly(1)
			case "announce_and_flush":
				steps = append(steps, Flush{Client}, Count{Server, "RmAddr", Exactly(2)}, bulk)
				tells["RmAddrTx"], hears["RmAddr"] = Between(1, 2), Exactly(2)
			case "announce_port":
				if v6 { // Linux cannot send it beside timestamps
					cell.Client.Sysctls = map[string]string{"net/ipv4/tcp_timestamps": "0"}
				}
			}
			cell.Steps = steps
			out = append(out, cell)
		}
	}
	return out
}

// failures: links that die and return, subflows that are reset.
func failures() (out []Cell) {
	for _, e := range ends {
		for _, v6 := range []bool{false, true} {
			cell := func(what string, wire Wire, steps ...Step) Cell {
				return Cell{
					Name:   name("%s.%s.%s", e.name, ipv(v6), what),
					Client: Host{Kind: e.client, Endpoints: subflows(1, v6)}, Server: Host{Kind: e.server},
					V6: v6, Wire: wire, Joins: 1, Steps: append([]Step{Subflows(2), bulk, Spread{}}, steps...),
					// A Linux receiver that holds more out of order than its buffer takes
					// moves nothing any more, not even what fills the hole.
					Rare: e.client == Kernel || e.server == Kernel,
				}
			}
			ours := Client
			if e.server == Ours {
				ours = Server
			}
			cable := Wire{Cable: true}
			out = append(out,
				cell("first_path_silent", cable, Cut(0), bulk, bulk, Mend(0), Spread{}),
				cell("second_path_silent", cable, Cut(1), bulk, bulk, Mend(1), Spread{}),
				cell("carrier_lost", Wire{}, Down{ours, 1}, bulk, bulk, Up{ours, 1}, Spread{}),
			)
		}
	}
	for _, e := range ends[:2] {
		kernel := Client
		if e.server == Kernel {
			kernel = Server
		}
		for link, what := range []string{"first_subflow_reset", "second_subflow_reset"} {
			c := Cell{
				Name:   name("%s.ipv4.%s", e.name, what),
				Client: Host{Kind: e.client, Endpoints: subflows(1, false)}, Server: Host{Kind: e.server},
				Joins: 1, Steps: []Step{Subflows(2), Spread{}, Reset{kernel, link}, Subflows(1), bulk},
			}
			out = append(out, c)
		}
	}
	return out
}

// endings: either side resets the connection; plain TCP.
func endings() (out []Cell) {
	for _, e := range ends {
		for _, v6 := range []bool{false, true} {
			for _, by := range []struct {
				name string
				Ending
			}{{"client_resets", ClientResets}, {"server_resets", ServerResets}} {
				for _, n := range []int{1, 2} {
					out = append(out, Cell{
						Name:   name("%s.%s.%s.subflows%d", e.name, ipv(v6), by.name, n),
						Client: Host{Kind: e.client, Endpoints: subflows(n-1, v6)}, Server: Host{Kind: e.server},
						V6: v6, Joins: n - 1, Steps: []Step{Subflows(n), bulk}, End: by.Ending,
					})
				}
			}
			out = append(out, Cell{
				Name:   name("%s.%s.tcp_client", e.name, ipv(v6)),
				Client: Host{Kind: e.client, TCPOnly: true}, Server: Host{Kind: e.server},
				V6: v6, Plain: true, Steps: []Step{bulk},
			}, Cell{
				Name:   name("%s.%s.tcp_server", e.name, ipv(v6)),
				Client: Host{Kind: e.client}, Server: Host{Kind: e.server, TCPOnly: true},
				V6: v6, Plain: true, Steps: []Step{bulk},
				ClientCounts: Counts{"MPCapableFallbackSYNACK": Exactly(1)},
			})
		}
	}
	return out
}

// odd: hosts and wires with other settings than the usual.
func odd() (out []Cell) {
	on := func(keys ...string) map[string]string {
		m := map[string]string{}
		for _, k := range keys {
			m["net/ipv4/tcp_"+k] = "1"
		}
		return m
	}
	off := func(key string) map[string]string { return map[string]string{"net/ipv4/tcp_" + key: "0"} }
	for _, e := range ends[:2] {
		for _, o := range []struct {
			name    string
			wire    Wire
			sysctls map[string]string
		}{
			{"offloads_off", Wire{Off: lab.AllOffloads}, nil},
			{"segmentation_off", Wire{Off: []lab.Offload{lab.TSO, lab.GSO}}, nil},
			{"receive_offload_off", Wire{Off: []lab.Offload{lab.GRO}}, nil},
			{"mtu1280", Wire{MTU: 1280}, nil},
			{"mtu9000", Wire{MTU: 9000}, nil},
			{"no_timestamps", Wire{}, off("timestamps")},
			{"no_sack", Wire{}, off("sack")},
			{"no_window_scaling", Wire{}, off("window_scaling")},
			{"ecn", Wire{}, on("ecn")},
		} {
			for _, v6 := range []bool{false, true} {
				client, server := Host{Kind: e.client, Endpoints: subflows(1, v6), Checksum: true}, Host{Kind: e.server}
				for _, h := range []*Host{&client, &server} {
					if h.Kind == Kernel {
						h.Sysctls = o.sysctls
					}
				}
				out = append(out, Cell{
					Name: name("%s.%s.%s", e.name, ipv(v6), o.name), Client: client, Server: server,
					V6: v6, Wire: o.wire, Joins: 1, Steps: []Step{Subflows(2), bulk, Spread{}},
				})
			}
		}
	}
	return out
}

// guarded: servers with SYN cookies, and servers that take no join to the
// initial address.
func guarded() (out []Cell) {
	for _, e := range ends {
		for _, v6 := range []bool{false, true} {
			cookies := Cell{
				Name:   name("%s.%s.cookies", e.name, ipv(v6)),
				Client: Host{Kind: e.client, Endpoints: subflows(1, v6)}, Server: Host{Kind: e.server, Cookies: true},
				V6: v6, Joins: 1, Steps: []Step{Subflows(2), bulk, Spread{}},
			}
			denied := Cell{
				Name:   name("%s.%s.c_flag", e.name, ipv(v6)),
				Client: Host{Kind: e.client, Endpoints: subflows(1, v6)}, Server: Host{Kind: e.server, DenyInitial: true},
				V6: v6, Steps: []Step{bulk, Subflows(1)},
			}
			if e.client == Ours { // joins the server's other address, which is allowed
				denied.Joins, denied.Steps = 1, []Step{Subflows(2), bulk, Spread{}}
			}
			out = append(out, cookies, denied, Cell{
				Name:   name("%s.%s.c_flag_client", e.name, ipv(v6)),
				Client: Host{Kind: e.client, Endpoints: subflows(1, v6), DenyInitial: true}, Server: Host{Kind: e.server},
				V6: v6, Joins: 1, Steps: []Step{Subflows(2), bulk, Spread{}},
			})
		}
	}
	for _, v6 := range []bool{false, true} {
		// A join is addressed by its token: our client takes it at the port it
		// dialled from. (Linux fails to join before the connection is accepted.)
		out = append(out, Cell{
			Name:   name("ours-kernel.%s.server_joins", ipv(v6)),
			Client: Host{Kind: Ours}, Server: Host{Kind: Kernel},
			V6: v6, Joins: 1, ByServer: true, Steps: []Step{Add{Server, subflows(1, v6)[0]}, Subflows(2), bulk, Spread{}},
		})
	}
	return out
}

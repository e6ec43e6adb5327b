//go:build linux

package interop

import (
	"github.com/mpxd/mpxd/internal/lab"
)

// changes: the client adds, removes and changes endpoints in mid-transfer.
func changes() (out []Cell) {
	for _, e := range ends {
		for _, v6 := range []bool{false, true} {
			client := func(what string, ends []Endpoint, joins int, steps ...Step) Cell {
				return Cell{
					Name:   name("%s.%s.%s", e.name, ipv(v6), what),
					Client: Host{Kind: e.client, Endpoints: ends}, Server: Host{Kind: e.server},
					V6: v6, Joins: joins, Steps: steps,
				}
			}
			// What nobody acknowledges ours tell up to three times.
			told := Exactly(1)
			if e.client == Ours {
				told = Between(1, 3)
			}
			second := subflows(1, v6)[0]
			backup := second
			backup.Flags |= lab.Backup

			again := client("remove_and_add", subflows(1, v6), 2,
				Subflows(2), bulk, Remove{Client, second.id()}, Subflows(1), bulk, Add{Client, second}, Subflows(2), bulk, Spread{})
			again.ClientCounts = Counts{"RmAddrTx": told}
			again.ServerCounts = Counts{"RmAddr": told}

			zero := client("remove_id0", subflows(1, v6), 1, Subflows(2), bulk, Remove{Client, 0}, Subflows(1), bulk)
			zero.ClientCounts = Counts{"RmAddrTx": told}
			zero.ServerCounts = Counts{"RmAddr": told}

			flush := client("flush", subflows(3, v6), 3, Subflows(4), bulk, Flush{Client}, Subflows(1), bulk)
			if e.client == Kernel {
				flush.ClientCounts = Counts{"RmAddrTx": Exactly(0), "RmSubflow": Exactly(3)} // FINs say it
			} else {
				flush.ClientCounts, flush.ServerCounts = Counts{"RmAddrTx": AtLeast(1)}, Counts{"RmAddr": AtLeast(3)}
				flush.ServerCounts["RmAddrDrop"] = Between(0, 3) // told on the subflow itself
			}

			late := client("add_late", nil, 1, Subflows(1), bulk, Add{Client, second}, Subflows(2), bulk, Spread{})

			rests := client("backup", []Endpoint{backup}, 1, Subflows(2), bulk, Rests{bulk, 1})

			prio := client("mp_prio", subflows(1, v6), 1,
				Subflows(2), Spread{}, Change{Client, backup}, Count{Server, "MPPrioRx", AtLeast(1)}, bulk, Rests{bulk, 1},
				Change{Client, second}, Count{Server, "MPPrioRx", AtLeast(2)}, bulk, Spread{})
			prio.ClientCounts = Counts{"MPPrioTx": AtLeast(2)}
			if e.client == Kernel {
				prio.ClientCounts = Counts{"MPPrioTx": Exactly(2)}
			}

			ids := subflows(2, v6)
			ids[0].ID, ids[1].ID = 255, 128
			out = append(out, again, zero, flush, late, rests, prio,
				client("ids", ids, 2, Subflows(3), bulk, Spread{}))
			if e.client == Ours {
				ports := client("ports4", nil, 3, Subflows(4), bulk, Spread{})
				ports.Client.Ports = 4
				out = append(out, ports)
			}
		}
	}
	return out
}

// announced: the server announces addresses, and the client joins them.
func announced() (out []Cell) {
	for _, e := range ends {
		for _, v6 := range []bool{false, true} {
			second := Endpoint{Addr: 1, V6: v6, Flags: lab.Signal}
			third := Endpoint{Addr: 2, V6: v6, Flags: lab.Signal}
			port := second
			port.Port = 4434
			last := second
			last.ID = 255
			server := func(what string, list []Endpoint, joins int, steps ...Step) Cell {
				n := AtLeast(int64(max(len(list), 1)))
				return Cell{
					Name:   name("%s.%s.%s", e.name, ipv(v6), what),
					Client: Host{Kind: e.client, Accepts: addresses}, Server: Host{Kind: e.server, Endpoints: list},
					V6: v6, Joins: joins, Steps: steps,
					ClientCounts: Counts{"AddAddr": n, "EchoAddTx": n},
					ServerCounts: Counts{"AddAddrTx": n, "EchoAdd": n},
				}
			}
			usual := []Step{Subflows(2), bulk, Spread{}}
			at := server("announced_port", []Endpoint{port}, 1, usual...)
			if e.server == Kernel && v6 { // Linux cannot send it beside timestamps
				at.Server.Sysctls = map[string]string{"net/ipv4/tcp_timestamps": "0"}
			}
			denied := server("announced_c_flag", []Endpoint{second}, 1, usual...)
			denied.Server.DenyInitial = true
			deniedAt := at
			deniedAt.Name = name("%s.%s.announced_port_c_flag", e.name, ipv(v6))
			deniedAt.Server.DenyInitial = true
			gone := server("announced_and_withdrawn", []Endpoint{second}, 1,
				Subflows(2), bulk, Remove{Server, second.id()}, Subflows(1), bulk)
			gone.ServerCounts["RmAddrTx"], gone.ClientCounts["RmAddr"] = AtLeast(1), AtLeast(1)
			mesh := server("fullmesh", []Endpoint{second}, 2, Subflows(3), bulk, Spread{})
			mesh.Client.Endpoints = []Endpoint{{Addr: 1, V6: v6, Flags: lab.Subflow | lab.Fullmesh}}
			two := server("announced_two", []Endpoint{second, third}, 2, Subflows(3), bulk, Spread{})
			if e.client == Kernel { // Linux takes one at a time, and the others when they are told again
				two.ClientCounts["AddAddrDrop"] = AtLeast(0)
			}
			out = append(out,
				server("announced", []Endpoint{second}, 1, usual...),
				two,
				server("announced_late", nil, 1, bulk, Add{Server, second}, Subflows(2), bulk, Spread{}),
				server("announced_id255", []Endpoint{last}, 1, usual...),
				at, denied, deniedAt, gone, mesh)
			if v6 || e.client == Ours { // a Linux socket for IPv4 has no subflows of IPv6
				other := second
				other.V6 = !v6
				out = append(out, server("mixed", []Endpoint{other}, 1, usual...))
			}
		}
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
					Rare: o.wire.MTU == 9000, // a Linux client counts NoDSSInWindow in one run of fifteen
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

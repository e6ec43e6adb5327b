// Package sim is a world without clocks: hosts, each with a shard of our stack,
// on networks made of link models. Only Step moves the time, from event to event; one seed
// decides everything, so a run can be repeated exactly.
//
//	w := sim.NewWorld(seed)
//	lan := w.Net("lan")
//	a := w.Host(sim.HostConfig{Name: "a", App: app, NICs: []sim.NIC{{Net: lan, Addresses: []string{"10.0.0.1/24"}}}})
//	b := ...
//	a.Do(func(s *stack.Shard) { s.Dial(...) })
//	w.RunUntil(func() bool { return done }, 60*tcp.Second)
//	err := w.Settle() // nothing is left: no flow, no timer, every frame free
//
// Each host has a pool of its own; bytes are copied from host to host, as on a wire.
package sim

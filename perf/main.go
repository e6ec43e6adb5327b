//go:build linux

// Perf measures mpxd. Every command prints a table for people; with --json one
// object on standard output and nothing else there.
//
// The exit status is 0 when the measurement was made, whatever it shows, and 1
// when it could not be made or is not to be trusted; then it says why.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// commands are what perf can measure. A command is a struct with its flags and
// a Run that fills the report.
type commands struct {
	JSON bool   `name:"json" help:"Print one JSON object instead of a table."`
	Out  string `type:"path" placeholder:"DIR" help:"Also write DIR/COMMAND.json."`
	Runs int    `help:"How often each case is run, the cases taking turns (5; tcp 2; interop 1)."`

	Ceiling   ceiling        `cmd:"" help:"What AF_XDP itself can do here: raw tx, rx-drop and l2fwd over veth."`
	Engine    engine         `cmd:"" help:"One shard that relays in memory: processor time of a relayed segment."`
	Chain     chain          `cmd:"" help:"Kernel client, proxy, kernel origin over veth: mpxd beside a Go proxy on kernel MPTCP."`
	TCP       tcpCommand     `cmd:"" name:"tcp" help:"One flow over a lossy link: our TCP beside the kernel's."`
	Interop   interopCommand `cmd:"" help:"Conversations with the kernel's MPTCP and with ourselves: what was not as it should be."`
	Aggregate aggregate      `cmd:"" help:"A download over two emulated links with loss: mpxd beside a Go proxy on kernel MPTCP, both with BBR."`
	Socks     socks          `cmd:"" hidden:"" help:"The peer of chain."`
	TCPHost   tcpHost        `cmd:"" hidden:"" name:"tcp-host" help:"Our end in tcp."`
}

// defaultRuns is how often a case is run, and what is an exception to it.
const (
	defaultRuns    = 5
	defaultTCPRuns = 2 // of many seconds each, over the same losses
	interopRuns    = 1 // what is counted does not vary
)

func main() {
	var c commands
	ctx := kong.Parse(&c, kong.Name("perf"), kong.Description("Measure mpxd."), kong.UsageOnError())
	name := ctx.Command()
	switch {
	case c.Runs > 0:
	case name == "tcp":
		c.Runs = defaultTCPRuns
	case name == "interop":
		c.Runs = interopRuns
	default:
		c.Runs = defaultRuns
	}
	r := newReport(name, c.Runs)
	err := ctx.Run(r)
	if err == nil && name != "socks" && name != "tcp-host" {
		err = r.publish(os.Stdout, c.JSON, c.Out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
	for _, why := range r.distrust {
		fmt.Fprintln(os.Stderr, "perf: not to be trusted:", why)
	}
	if len(r.distrust) > 0 {
		os.Exit(1)
	}
}

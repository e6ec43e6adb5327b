//go:build linux

package interop

import (
	"context"
	"net/netip"

	"github.com/mpxd/mpxd/internal/lab"
)

// host is one end of a cell at work. It has one connection.
type host interface {
	// listen takes connections at the port, on all addresses.
	listen() error
	accept(context.Context) (conn, error)
	dial(context.Context, netip.AddrPort) (conn, error)

	// add, change (the flags), remove and flush see to the endpoints.
	add(Endpoint) error
	change(Endpoint) error
	remove(id uint8) error
	flush() error

	// flows are the established subflows.
	flows() ([]lab.Flow, error)
	// counters are those of MPTCP, in the words of Linux.
	counters() (lab.Counters, error)
	// describe says how the subflows are, for who looks for a failure.
	describe() string
	// destroy resets one subflow.
	destroy(lab.Flow) error

	// settle waits until nothing of the connection is left, as far as the host
	// can tell.
	settle(context.Context) error
	close() error
}

// conn is what a program has of a connection.
type conn interface {
	lab.Duplex
	SetLinger(sec int) error
	MultipathTCP() (bool, error)
}

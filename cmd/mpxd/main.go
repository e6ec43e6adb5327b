//go:build linux

// Mpxd is an MPTCP proxy in userspace: see the README.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2
)

const description = `A multipath TCP proxy in userspace, on AF_XDP.

Exit status: 0 ended in order (also by a first SIGINT or SIGTERM), 1 failed, 2 the command line does not make sense.
A second signal ends the process at once.`

// commands are what mpxd can do.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the SOCKS5 proxy."`
	Cat     catCommand     `cmd:"" help:"Connect standard input and output with a connection of the stack, like netcat."`
	Demo    demoCommand    `cmd:"" help:"Show it all on this machine: a phone with two links in network namespaces."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// streams are what a command speaks to.
type streams struct {
	in       io.Reader
	out, err io.Writer
	log      *slog.Logger
}

// usageError is an error of whoever wrote the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	os.Exit(start(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// start runs a command line and returns its exit status.
func start(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// The first signal asks; from then on signals do what they always do.
	defer context.AfterFunc(ctx, stop)()

	s := streams{in, out, errs, slog.New(slog.NewTextHandler(errs, nil))}
	err := execute(ctx, args, s)
	switch usage := (usageError{}); {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(errs, "mpxd: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(errs, "mpxd: %v\n", err)
		return exitFail
	}
}

// helped: kong wants to exit after it printed help.
type helped struct{}

func execute(ctx context.Context, args []string, s streams) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(helped); !ok {
				panic(r)
			}
		}
	}()
	command, err := parse(args, s)
	if err != nil {
		return usageError{err}
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(s)
}

func parse(args []string, s streams) (*kong.Context, error) {
	k, err := kong.New(&commands{},
		kong.Name("mpxd"),
		kong.Description(description),
		kong.Writers(s.out, s.err),
		kong.Exit(func(int) { panic(helped{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return nil, err
	}
	return k.Parse(args)
}

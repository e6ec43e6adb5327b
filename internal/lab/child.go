package lab

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Child is a program running in a namespace, spoken to by lines. It is to end
// when its standard input ends, so that it does not outlive its parent.
type Child struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // of its standard output; closed at its end
	done  chan struct{}
	err   error
	once  sync.Once
}

// stopGrace is how long a child may take to end in order.
const stopGrace = 5 * time.Second

// childLines is how many lines a child may be ahead of its reader before it
// has to wait.
const childLines = 64

// Start runs a program in the namespace. What it says on standard error goes
// to stderr.
func (ns *NS) Start(stderr io.Writer, program string, args ...string) (*Child, error) {
	c := &Child{name: program, cmd: exec.Command(program, args...), lines: make(chan string, childLines), done: make(chan struct{})}
	if len(args) > 0 {
		c.name += " " + args[0]
	}
	c.cmd.Stderr = stderr
	// A process group of its own: Ctrl-C reaches the parent, which ends its
	// children in order.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := ns.Do(c.cmd.Start); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	go c.read(out)
	return c, nil
}

func (c *Child) read(out io.Reader) {
	s := bufio.NewScanner(out)
	for s.Scan() {
		c.lines <- s.Text()
	}
	c.err = c.cmd.Wait()
	close(c.lines)
	close(c.done)
}

// Line waits for the next line the child prints.
func (c *Child) Line(timeout time.Duration) (string, error) {
	select {
	case l, ok := <-c.lines:
		if !ok {
			return "", fmt.Errorf("%s ended: %v", c.name, c.err)
		}
		return l, nil
	case <-time.After(timeout):
		return "", fmt.Errorf("%s said nothing for %v", c.name, timeout)
	}
}

// Tell sends the child a line.
func (c *Child) Tell(format string, args ...any) error {
	_, err := fmt.Fprintf(c.in, format+"\n", args...)
	return err
}

// Stop ends the child, by SIGTERM, and by SIGKILL if it does not listen. It
// returns how the child ended; extra calls return the same.
func (c *Child) Stop() error {
	c.once.Do(func() {
		go func() {
			for range c.lines { // what nobody reads any more
			}
		}()
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-c.done:
		case <-time.After(stopGrace):
			_ = c.cmd.Process.Kill()
			<-c.done
			c.err = fmt.Errorf("%s did not end in %v and was killed", c.name, stopGrace)
		}
	})
	return c.err
}

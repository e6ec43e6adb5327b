package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/mpxd/mpxd/internal/link"
)

// Path is two links between two interfaces.
type Path struct {
	Name   string
	A, B   string      // interfaces of the namespace the runner is started in
	AB, BA link.Config // from A to B, and from B to A
	GRO    bool        // A merges what arrives, as a NIC with receive offload
}

// Direction of a path.
type Direction int

// The directions of a path.
const (
	AB Direction = iota
	BA
)

// Runner carries frames until it is closed. Its methods may be called from
// any goroutine.
type Runner struct {
	mu    sync.Mutex
	child *exec.Cmd
	in    io.WriteCloser
	enc   *json.Encoder
	dec   *json.Decoder
	final Stats
	close error
}

// Start begins to carry frames between the interfaces of the calling thread's
// namespace; call it in lab's NS.Do. The interfaces must be up; give them no
// addresses.
//
// The frames are moved by a process of its own, this program started once more:
// a thread cannot be in time if it shares the Go runtime with a load, for it may
// have to wait for a processor of the runtime whose thread is not running.
func Start(paths ...Path) (*Runner, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &Runner{child: exec.Command(exe)}
	r.child.Env = append(os.Environ(), childEnv+"=1")
	r.child.Stderr = os.Stderr
	// An interrupt from the terminal is for us: we end the child in our time.
	r.child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.in, err = r.child.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.child.Start(); err != nil {
		return nil, fmt.Errorf("start the runner: %w", err)
	}
	r.enc, r.dec = json.NewEncoder(r.in), json.NewDecoder(out)
	if _, err := r.call(request{Start: paths}); err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

// Set changes one direction of a path while it runs, as link.Link.Set does. The
// ring is as large as the first configuration asked for: a link that is made much
// longer or faster may lose frames there ([DirectionStats].RingFull).
func (r *Runner) Set(path int, d Direction, c link.Config) error {
	_, err := r.call(request{Path: path, Directions: []Direction{d}, Set: &c})
	return err
}

// SetUp cuts or mends one direction of a path. A cut link swallows everything,
// what is in flight included, and nobody is told.
func (r *Runner) SetUp(path int, d Direction, up bool) error {
	_, err := r.call(request{Path: path, Directions: []Direction{d}, Up: &up})
	return err
}

// SetPathUp cuts or mends both directions of a path at once.
func (r *Runner) SetPathUp(path int, up bool) error {
	_, err := r.call(request{Path: path, Directions: []Direction{AB, BA}, Up: &up})
	return err
}

// PID is the process that moves the frames.
func (r *Runner) PID() int { return r.child.Process.Pid }

// Stats reads the statistics; after Close, the last.
func (r *Runner) Stats() (Stats, error) {
	s, err := r.call(request{})
	if errors.Is(err, errClosed) {
		return r.final, nil
	}
	return s, err
}

// Reset returns the statistics and begins those of lateness anew; the links'
// counters go on.
func (r *Runner) Reset() (Stats, error) { return r.call(request{Reset: true}) }

var errClosed = errors.New("the runner is closed")

// Close stops the runner. What is in flight is lost. Extra calls are no-ops.
func (r *Runner) Close() error {
	final, err := r.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.enc == nil {
		return r.close
	}
	r.enc, r.final = nil, final
	r.close = errors.Join(err, r.end())
	return r.close
}

// end ends the child: it reads the end of its input.
func (r *Runner) end() error {
	return errors.Join(r.in.Close(), r.child.Wait())
}

func (r *Runner) call(q request) (Stats, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.enc == nil {
		return Stats{}, errClosed
	}
	if err := r.enc.Encode(q); err != nil {
		return Stats{}, fmt.Errorf("the runner is gone: %w", err)
	}
	var a reply
	if err := r.dec.Decode(&a); err != nil {
		return Stats{}, fmt.Errorf("the runner is gone: %w", err)
	}
	if a.Err != "" {
		return Stats{}, errors.New(a.Err)
	}
	return a.Stats, nil
}

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 looks for named namespaces, so that a person can
// enter one of ours.
const netnsDir = "/run/netns"

// prefix begins the name of every namespace of ours.
const prefix = "mpxd-"

// NS is one network namespace of ours. Its methods may be called from any
// goroutine.
type NS struct {
	Name string // the short name given to New
	h    netns.NsHandle
	once sync.Once
	err  error
}

// New makes the namespace mpxd-PID-NAME with its loopback up and without the
// noise of a kernel that configures itself: no duplicate address detection, no
// router solicitations, no reverse-path filter. IPv6 link-local addresses stay:
// the kernel forwards no IPv6 without one to ask for neighbours with.
func New(name string) (*NS, error) {
	ns := &NS{Name: name}
	err := onThread(func() error {
		h, err := netns.NewNamed(fullName(name))
		if err != nil {
			// The file may be there without a mount; it is ours by its name.
			os.Remove(filepath.Join(netnsDir, fullName(name)))
			return err
		}
		ns.h = h
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", fullName(name), err)
	}
	if err := ns.quiet(); err != nil {
		ns.Close()
		return nil, fmt.Errorf("namespace %s: %w", fullName(name), err)
	}
	return ns, nil
}

func fullName(name string) string { return fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), name) }

func (ns *NS) quiet() error {
	for _, s := range []struct{ key, value string }{
		{"net/ipv6/conf/default/accept_dad", "0"},
		{"net/ipv6/conf/default/dad_transmits", "0"},
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/router_solicitations", "0"},
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
	} {
		err := ns.SetSysctl(s.key, s.value)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6 is quiet already
			return err
		}
	}
	return ns.SetUp("lo", true)
}

// Path is the file by which another process can enter the namespace.
func (ns *NS) Path() string { return filepath.Join(netnsDir, fullName(ns.Name)) }

// Handle is the namespace's file descriptor, valid until Close.
func (ns *NS) Handle() int { return int(ns.h) }

// Do runs f on a thread of its own inside the namespace and returns its error.
// A panic in f continues in the caller, and so does a runtime.Goexit (t.Fatal
// inside f ends the test). Goroutines started by f are not in the namespace;
// programs started by f are.
func (ns *NS) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns.h); err != nil {
			return fmt.Errorf("enter namespace %s: %w", ns.Name, err)
		}
		return f()
	})
}

// onThread runs f on a locked thread which may change its namespace. If the
// thread cannot go back to where it was, it stays locked and dies with its
// goroutine.
func onThread(f func() error) (err error) {
	returned := false
	var crash any
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, e := netns.Get()
		if e != nil {
			err, returned = e, true
			runtime.UnlockOSThread()
			return
		}
		defer func() {
			if crash = recover(); crash != nil {
				crash = fmt.Sprintf("%v\n\n%s", crash, debug.Stack())
			}
			if netns.Set(home) == nil {
				runtime.UnlockOSThread()
			}
			home.Close()
		}()
		err = f()
		returned = true
	}()
	<-done
	switch {
	case crash != nil:
		panic(crash)
	case !returned:
		runtime.Goexit()
	}
	return err
}

// Close removes the namespace's interfaces and its name. Sockets still open in
// it keep the namespace itself alive, and nothing else, until they are closed.
func (ns *NS) Close() error {
	ns.once.Do(func() {
		links := ns.Do(deleteLinks)
		name := remove(fullName(ns.Name))
		ns.err = errors.Join(links, name, ns.h.Close())
	})
	return ns.err
}

func deleteLinks() error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		if t := l.Type(); t != "veth" && t != "bridge" {
			continue // lo and the kernel's own fallback tunnels cannot be deleted
		}
		// The other end's namespace may be closing too and have taken the pair.
		if e := netlink.LinkDel(l); e != nil && !errors.Is(e, unix.ENODEV) {
			err = errors.Join(err, fmt.Errorf("delete %s: %w", l.Attrs().Name, e))
		}
	}
	return err
}

func remove(full string) error {
	path := filepath.Join(netnsDir, full)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", path, err) // EINVAL: a file, but not a mount
	}
	return os.Remove(path)
}

// Sweep removes the namespaces whose process is dead and returns their names.
// Those of living processes, this one's included, stay.
func Sweep() (removed []string, err error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		pid, ok := owner(e.Name())
		if !ok || alive(pid) {
			continue
		}
		// Another process may be sweeping at the same time.
		if e1 := sweep(e.Name()); e1 != nil && !errors.Is(e1, os.ErrNotExist) {
			err = errors.Join(err, e1)
			continue
		}
		removed = append(removed, e.Name())
	}
	return removed, err
}

// sweep removes the interfaces too: a namespace whose last process died with
// packets in flight may live on for a while.
func sweep(full string) error {
	if h, err := netns.GetFromPath(filepath.Join(netnsDir, full)); err == nil {
		ns := &NS{Name: full, h: h}
		_ = ns.Do(deleteLinks) // if the file is no namespace, its name still goes
		h.Close()
	}
	return remove(full)
}

// owner reads the PID out of mpxd-PID-NAME.
func owner(full string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(full, prefix)
	if !ok {
		return 0, false
	}
	num, _, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	pid, err := strconv.Atoi(num)
	return pid, err == nil && pid > 0
}

func alive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

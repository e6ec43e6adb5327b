//go:build linux

package xdp

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mpxd/mpxd/internal/frame"
	"github.com/mpxd/mpxd/internal/lab"
)

// childMark makes the test binary a process that opens a group and then waits
// to be killed.
const childMark = "MPXD_XDP_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

func child() {
	u, err := NewUmem(1024)
	if err == nil {
		_, err = Open(config(Native), u, frame.New(u.Bytes(), chunkShift))
	}
	fmt.Println("open:", err)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone at the latest
}

// A process that is killed leaves neither program nor socket behind.
func TestKilled(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childMark+"=1")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.host.Do(c.Start); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	if line != "open: <nil>\n" {
		t.Errorf("the other process said %q", line)
	}
	if a, err := w.host.Interface("vh"); err != nil || !a.Xdp.Attached {
		t.Errorf("not attached: %+v, %v", a.Xdp, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.Wait()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		a, err := w.host.Interface("vh")
		if err == nil && !a.Xdp.Attached {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the program outlived its process: %+v, %v", a.Xdp, err)
		}
	}
	s := open(t, w.host, config(Native))
	defer s.end()
	if err := s.pongs(func() error { return ping(w.peer, hostAddr, 100) }); err != nil {
		t.Error(err)
	}
}

// without runs f in ns on a thread that lacks capabilities and ends with it.
func without(ns *lab.NS, f func() error, capabilities ...int) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		err := unix.Setns(ns.Handle(), unix.CLONE_NEWNET)
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err == nil {
			err = unix.Capget(&header, &data[0])
		}
		for _, c := range capabilities {
			data[c/32].Effective &^= 1 << (c % 32)
		}
		if err == nil {
			err = unix.Capset(&header, &data[0])
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func TestMissingCapabilities(t *testing.T) {
	lab.Root(t)
	w := newWire(t, lab.End{})
	u, err := NewUmem(1024)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	pool := frame.New(u.Bytes(), chunkShift)
	for _, c := range []struct {
		lacks []int
		want  string
	}{
		{[]int{unix.CAP_NET_RAW}, "CAP_NET_RAW"},
		{[]int{unix.CAP_BPF, unix.CAP_SYS_ADMIN}, "CAP_BPF"},
	} {
		err := without(w.host, func() error { _, e := Open(config(Generic), u, pool); return e }, c.lacks...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("without %v: %v, want %q", c.lacks, err, c.want)
		}
		if a, err := w.host.Interface("vh"); err != nil || a.Xdp.Attached {
			t.Errorf("left behind: %+v, %v", a.Xdp, err)
		}
		if l := pool.Leaks(3); l != nil {
			t.Error(l)
		}
	}
}

package lab

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// TB is what [Root] needs of a testing.TB; the programs that import this
// package need not link testing.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// rootLock serialises every test that needs root on this machine: go test runs
// packages in parallel, and two loads on a few cores measure each other.
const rootLock = "/run/mpxd-root.lock"

// Root is the gate of every test that needs root and AF_XDP. It takes the one
// lock of the machine until t ends, and removes what dead processes left
// behind. Where there is no root or no AF_XDP it skips t with the reason, or
// fails it if MPXD_REQUIRE_ROOT=1. Call it once per top-level test: a second
// call in the same test, or in a subtest, would wait for itself.
func Root(t TB) {
	t.Helper()
	if err := CanRoot(); err != nil {
		if os.Getenv("MPXD_REQUIRE_ROOT") == "1" {
			t.Fatalf("MPXD_REQUIRE_ROOT=1, but %v", err)
		}
		t.Skipf("needs root and AF_XDP: %v", err)
	}
	lock, err := os.OpenFile(rootLock, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatalf("root lock: %v", err)
	}
	if err := flock(lock); err != nil {
		lock.Close()
		t.Fatalf("root lock: %v", err)
	}
	t.Cleanup(func() { lock.Close() })
	if _, err := Sweep(); err != nil {
		t.Fatalf("sweep: %v", err)
	}
}

// flock waits for the lock on f. The bound on the wait is the test binary's own
// timeout.
func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// CanRoot tells why this process may not build a lab, or nil.
func CanRoot() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("the effective user is %d, not root", uid)
	}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("no AF_XDP socket: %w", err)
	}
	return unix.Close(fd)
}

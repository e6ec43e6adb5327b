//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Environment is where a report was made. A command sets Driver and Mode.
type Environment struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Go     string `json:"go"`
	Driver string `json:"driver,omitempty"`
	Mode   string `json:"xdp_mode,omitempty"`
}

func (e Environment) String() string {
	s := fmt.Sprintf("Linux %s, %d x %s, %s", e.Kernel, e.Cores, e.CPU, e.Go)
	if e.Driver != "" {
		s += fmt.Sprintf(", %s, XDP %s", e.Driver, e.Mode)
	}
	return s
}

func environment() Environment {
	e := Environment{Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: cpuModel()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		e.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return e
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// commit is the commit that was built, with a + if there were changes on top:
// from the binary, or, as go run does not stamp it, from git.
func commit() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		revision, changed := "", ""
		for _, s := range b.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+"
			}
		}
		if revision != "" {
			return revision + changed
		}
	}
	revision, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed := ""
	if out, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(out) > 0 {
		changed = "+"
	}
	return strings.TrimSpace(string(revision)) + changed
}

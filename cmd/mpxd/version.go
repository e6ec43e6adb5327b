//go:build linux

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

func (versionCommand) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, version())
	return err
}

// version is what the binary was built from, as far as the toolchain noted it.
func version() string {
	v, commit, changed := "(devel)", "", ""
	if b, ok := debug.ReadBuildInfo(); ok {
		if b.Main.Version != "" {
			v = b.Main.Version
		}
		for _, s := range b.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = " " + s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	return fmt.Sprintf("mpxd %s%s%s %s %s/%s", v, commit, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Command play runs packet scripts:
//
//	go run ./internal/script/play [-v] [-tso] FILE|NAME ...
//
// A NAME is a script under tcp/testdata or mptcp/testdata without its .pkt.
// -v shows every packet and call with its time; -tso lets a script expect what
// leaves back to back as one packet, as if each had the line --tso. A script that needs
// what our host has not is skipped. The exit status is 1 if one failed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mpxd/mpxd/internal/script"
)

func main() {
	verbose := flag.Bool("v", false, "show every packet and call")
	tso := flag.Bool("tso", false, "what leaves back to back may be expected as one packet")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: play [-v] [-tso] FILE|NAME ...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	failed := false
	for _, name := range flag.Args() {
		var e *script.Error
		if err := play(name, *verbose, *tso); errors.As(err, &e) && e.Needs {
			fmt.Println(err)
		} else if err != nil {
			fmt.Println(err)
			failed = true
		} else {
			fmt.Println("ok", name)
		}
	}
	if failed {
		os.Exit(1)
	}
}

func play(name string, verbose, tso bool) error {
	file := find(name)
	src, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s, err := script.Parse(file, string(src))
	if err != nil {
		return err
	}
	if tso {
		s.Flags = append(s.Flags, script.Flag{Line: 1, Name: "tso"})
	}
	var trace func(string)
	if verbose {
		trace = func(line string) { fmt.Println(line) }
	}
	err = s.Run(trace)
	if len(s.Ignored) > 0 {
		fmt.Printf("%s: ignored: %s\n", file, strings.Join(s.Ignored, ", "))
	}
	return err
}

// find is the file of a script, given by path or by name.
func find(name string) string {
	if _, err := os.Stat(name); err == nil {
		return name
	}
	for _, dir := range []string{"tcp", "mptcp"} {
		file := filepath.Join(dir, "testdata", name+".pkt")
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return name
}

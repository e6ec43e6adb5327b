package lab

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestChild(t *testing.T) {
	Root(t)
	ns, err := New("child")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var stderr bytes.Buffer
	c, err := ns.Start(&stderr, "/bin/sh", "-c", `ls /sys/class/net >&2; echo ready; read x; echo "got $x"; read x`)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := c.Line(5 * time.Second); err != nil || l != "ready" {
		t.Fatalf("%q, %v", l, err)
	}
	if err := c.Tell("hello %d", 1); err != nil {
		t.Fatal(err)
	}
	if l, err := c.Line(5 * time.Second); err != nil || l != "got hello 1" {
		t.Fatalf("%q, %v", l, err)
	}
	if err := c.Stop(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("Stop: %v", err)
	}
	if _, err := c.Line(time.Second); err == nil {
		t.Error("a line after the end")
	}
}

//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mpxd/mpxd/internal/lab"
	"github.com/mpxd/mpxd/xdp"
)

// noise is n bytes that are always the same.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// kernelPeer is what a kernel's end of a cat does: sends, half-closes, and
// returns what it got.
func kernelPeer(c net.Conn, send []byte) ([]byte, error) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(send)
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	return got, errors.Join(err, <-sent)
}

// TestCat: standard input and output against the kernel, connecting and
// listening, both directions at once and each closed by itself; connecting once
// by TCP and once by MPTCP.
func TestCat(t *testing.T) {
	lab.Root(t)
	c := newChain(t)
	up, down := noise(5<<20), noise(3<<20)
	check := func(what string, got, want []byte, err error) {
		t.Helper()
		if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
			t.Errorf("%s: %d of %d bytes, %v", what, len(got), len(want), err)
		}
	}
	type result struct {
		got []byte
		err error
	}
	peer := make(chan result, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	for _, v6 := range []bool{false, true} {
		var l net.Listener
		if err := c.origin.Do(func() (err error) { l, err = net.Listen("tcp", target(v6, 0).String()); return }); err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			l.Close()
			if err != nil {
				peer <- result{nil, err}
				return
			}
			// A kernel's listener takes MPTCP from who offers it.
			if is, err := conn.(*net.TCPConn).MultipathTCP(); is != v6 || err != nil {
				t.Errorf("MPTCP: %v, %v", is, err)
			}
			got, err := kernelPeer(conn, down)
			peer <- result{got, err}
		}()
		var out bytes.Buffer
		command := &catCommand{Network: c.network(xdp.Generic), Target: l.Addr().String(), MPTCP: v6}
		var said bytes.Buffer
		log := silent
		if v6 {
			command.Trace, command.Verbose = filepath.Join(t.TempDir(), "trace"), true
			log = slog.New(slog.NewTextHandler(&said, nil))
		}
		err := c.proxy.Do(func() error { return cat(ctx, command, bytes.NewReader(up), &out, log, nil) })
		check("connecting: what came", out.Bytes(), down, err)
		r := <-peer
		check("connecting: what arrived", r.got, up, r.err)
		if v6 {
			checkTrace(t, command.Trace, int64(len(up)))
			for _, want := range []string{"msg=subflow", "msg=time", "MPTcpExtMPCapableSYNACKRX"} {
				if !strings.Contains(said.String(), want) {
					t.Errorf("--verbose says nothing of %q: %s", want, said.String())
				}
			}
		}

		out.Reset()
		command = &catCommand{Network: c.network(xdp.Generic), Listen: 7000}
		err = c.proxy.Do(func() error {
			return cat(ctx, command, bytes.NewReader(up), &out, silent, func() {
				go func() {
					var conn net.Conn
					to := net.TCPAddr{IP: entry(v6).Addr().AsSlice(), Port: 7000}
					err := c.client.Do(func() (err error) { conn, err = net.Dial("tcp", to.String()); return })
					if err != nil {
						peer <- result{nil, err}
						return
					}
					got, err := kernelPeer(conn, down)
					peer <- result{got, err}
				}()
			})
		})
		check("listening: what came", out.Bytes(), down, err)
		r = <-peer
		check("listening: what arrived", r.got, up, r.err)
	}

	command := &catCommand{Network: c.network(xdp.Generic), Target: "10.2.0.1:9"}
	err := c.proxy.Do(func() error { return cat(ctx, command, strings.NewReader(""), io.Discard, silent, nil) })
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody listens: %v", err)
	}
	command.Target = "192.0.2.1:9"
	err = c.proxy.Do(func() error { return cat(ctx, command, strings.NewReader(""), io.Discard, silent, nil) })
	if err == nil || !strings.Contains(err.Error(), "network is unreachable") {
		t.Errorf("no route: %v", err)
	}
}

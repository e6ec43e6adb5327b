//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// socks is the peer of chain: a SOCKS5 proxy in Go on the kernel's MPTCP, which
// relays by splice where the kernel can (io.Copy between TCP connections). It
// knows CONNECT to an IPv4 address and nothing else.
type socks struct {
	Listen netip.AddrPort `required:"" help:"Where to listen."`
}

func (s *socks) Run(*Report) error {
	var conf net.ListenConfig
	conf.SetMultipathTCP(true)
	l, err := conf.Listen(context.Background(), "tcp", s.Listen.String())
	if err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the parent is gone when it ends
		end <- syscall.SIGTERM
	}()
	go func() {
		<-end
		os.Exit(0)
	}()
	fmt.Println("kernel")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := s.serve(c.(*net.TCPConn)); err != nil {
				fmt.Fprintln(os.Stderr, "socks:", err)
			}
		}()
	}
}

func (s *socks) serve(client *net.TCPConn) error {
	defer client.Close()
	var b [10]byte
	if _, err := io.ReadFull(client, b[:3]); err != nil || b[0] != 5 || b[1] != 1 {
		return errors.Join(err, fmt.Errorf("greeting %x", b[:3]))
	}
	if _, err := client.Write([]byte{5, 0}); err != nil {
		return err
	}
	if _, err := io.ReadFull(client, b[:]); err != nil || b[1] != 1 || b[3] != 1 {
		return errors.Join(err, fmt.Errorf("request %x", b))
	}
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[8:]))
	up, err := net.DialTimeout("tcp", to.String(), 10*time.Second)
	if err != nil {
		return err
	}
	defer up.Close()
	if _, err := client.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		relay(client, up.(*net.TCPConn))
		close(done)
	}()
	relay(up.(*net.TCPConn), client)
	<-done
	return nil
}

// relay copies one direction and passes its end on. A reset ends both.
func relay(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0)
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}

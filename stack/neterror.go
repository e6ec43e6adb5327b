package stack

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/mpxd/mpxd/tcp"
)

// errnoOf says in the kernel's words why a connection ended; nil: in order.
func errnoOf(why tcp.Reason) error {
	switch why {
	case tcp.NoError:
		return nil
	case tcp.Refused:
		return syscall.ECONNREFUSED
	case tcp.ResetByPeer:
		return syscall.ECONNRESET
	case tcp.TimedOut:
		return syscall.ETIMEDOUT
	case tcp.Unreachable:
		return syscall.EHOSTUNREACH
	}
	return syscall.ECONNABORTED
}

// dialErrno says in the kernel's words why a connection could not begin.
func dialErrno(err error) error {
	switch {
	case errors.Is(err, ErrNoRoute):
		return syscall.ENETUNREACH
	case errors.Is(err, ErrNoPort):
		return syscall.EADDRNOTAVAIL
	case errors.Is(err, ErrLimit), errors.Is(err, ErrShort):
		return syscall.ENOBUFS
	}
	return err
}

// opError wraps an error as package net does.
func opError(op, call, network string, source, addr net.Addr, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(call, errno)
	}
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

//go:build unix

package server

import (
	"net"
	"syscall"
)

// setBacklog changes how many connections may wait to be accepted (socket.listen.backlog.size). The system's own bound
// (somaxconn) stays above it. Package net listens with that bound; listening again changes it.
func setBacklog(ln net.Listener, n int) error {
	t, ok := ln.(*net.TCPListener)
	if !ok || n <= 0 {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = syscall.Listen(int(fd), n) }); err != nil {
		return err
	}
	return inner
}

package peer

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unreachableAfter is how long what was sent may go without a sign that it has come, before the system ends the connection.
// It is the other machine that gives the sign, not the process on it. TCP by itself tries for a quarter of an hour, at ever
// longer intervals, so that after a partition of minutes nodes would stay apart for minutes more.
const unreachableAfter = 5 * time.Second

// limitSilence sets that for a socket (TCP_USER_TIMEOUT). A system that does not know it goes without.
func limitSilence(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unreachableAfter.Milliseconds()))
	})
}

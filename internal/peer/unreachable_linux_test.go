package peer

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The system ends a connection to a machine that cannot be reached long before TCP would by itself.
func TestSilenceIsLimited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := DialTCP(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if cerr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if limit := time.Duration(got) * time.Millisecond; limit <= 0 || limit > 10*time.Second {
		t.Errorf("the limit is %v", limit)
	}
}

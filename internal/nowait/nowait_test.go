//go:build unix

package nowait_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/weir-stream/weir/internal/nowait"
)

// pair is two ends of a TCP connection, and the descriptor of the first through its raw connection.
func pair(t *testing.T) (near, far *net.TCPConn, raw syscall.RawConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	near, far = c.(*net.TCPConn), d.(*net.TCPConn)
	if raw, err = near.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	return near, far, raw
}

func TestReadDoesNotWait(t *testing.T) {
	_, far, raw := pair(t)
	p := make([]byte, 8)
	if err := raw.Control(func(fd uintptr) {
		if n, err := nowait.Read(int(fd), p); n != 0 || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("read of nothing: %d, %v, want EAGAIN", n, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	far.Close()
	var got []byte
	for ended := false; !ended; {
		if err := raw.Read(func(fd uintptr) bool {
			n, err := nowait.Read(int(fd), p)
			if err == syscall.EAGAIN {
				return false
			}
			if err != nil {
				t.Errorf("read: %v", err)
			}
			got = append(got, p[:n]...)
			ended = n == 0
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	if string(got) != "abc" {
		t.Errorf("read %q", got)
	}
}

func TestSendDoesNotWait(t *testing.T) {
	_, far, raw := pair(t)
	chunk, sent := bytes.Repeat([]byte{7}, 1<<20), 0
	if err := raw.Control(func(fd uintptr) {
		for range 1000 { // nobody reads: it must come to an end
			n, err := nowait.Send(int(fd), chunk, false)
			if errors.Is(err, syscall.EAGAIN) {
				return
			}
			if err != nil {
				t.Errorf("send: %v", err)
				return
			}
			sent += n
		}
		t.Error("a gigabyte went to a peer that reads nothing")
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, far, int64(sent)); err != nil {
		t.Errorf("%d of %d bytes came: %v", n, sent, err)
	}
}

func TestSendToPeerThatLeft(t *testing.T) {
	_, far, raw := pair(t)
	if err := far.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	far.Close()
	for failed := false; !failed; {
		if err := raw.Write(func(fd uintptr) bool {
			_, err := nowait.Send(int(fd), []byte("x"), false)
			failed = err != nil && !errors.Is(err, syscall.EAGAIN)
			return !errors.Is(err, syscall.EAGAIN)
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFile(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	got := make([]byte, 100)
	n, err := nowait.ReadAt(fd, got, 5)
	if err != nil {
		return // the ordinary calls are in use, or this file system cannot tell
	}
	if n != 100 || !bytes.Equal(got, want[5:105]) {
		t.Errorf("read %d: %q", n, got[:n])
	}
	if n, err := nowait.ReadAt(fd, got, int64(len(want))-10); n != 10 || err != nil {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if !nowait.Cached(fd, 0, int64(len(want))) {
		t.Error("what was just written is not in the page cache")
	}
	if nowait.Cached(fd, 0, int64(len(want))+1) {
		t.Error("a byte beyond the end is in the page cache")
	}
	_, far, raw := pair(t)
	read := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(far, int64(len(want))-3))
		read <- b
	}()
	for off := 3; off < len(want); {
		if err := raw.Write(func(sock uintptr) bool {
			n, err := nowait.Sendfile(int(sock), fd, int64(off), len(want)-off)
			if err != nil && err != syscall.EAGAIN {
				t.Fatalf("sendfile: %v", err)
			}
			off += n
			return err == nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if b := <-read; !bytes.Equal(b, want[3:]) {
		t.Error("what was sent differs from the file")
	}
}

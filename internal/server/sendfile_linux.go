package server

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weir-stream/weir/internal/nowait"
	"github.com/weir-stream/weir/internal/vfs"
)

// sendfileChunk bounds one call, so that a slow peer's progress is seen.
const sendfileChunk = 1 << 20

// sendfile is the argument and result of trySendfile, which the runtime's poller calls. With data set, data is
// sent instead of the file.
type sendfile struct {
	file int
	off  int64
	left int64
	data []byte
	more bool
	n    int64
	err  error
}

// trySendfile is one attempt that would rather not wait.
func (s *sender) trySendfile(sock uintptr) bool {
	f := &s.file
	for {
		var n int
		var err error
		chunk := min(f.left, sendfileChunk)
		switch {
		case f.data != nil:
			n, err = nowait.Send(int(sock), f.data, f.more)
		case nowait.Cached(f.file, f.off, chunk):
			n, err = nowait.Sendfile(int(sock), f.file, f.off, int(chunk))
		default:
			s.c.srv.reads <- struct{}{}
			at := f.off
			n, err = unix.Sendfile(int(sock), f.file, &at, int(chunk))
			<-s.c.srv.reads
		}
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		f.n, f.err = int64(max(n, 0)), err
		return true
	}
}

// sendRange sends a file range from the page cache to the socket.
func (s *sender) sendRange(file *os.File, r *vfs.Range) error {
	s.file = sendfile{file: int(file.Fd()), off: r.Off, left: r.Len}
	for s.file.left > 0 {
		if err := s.limitSend(); err != nil {
			return err
		}
		if err := s.attempt(); err != nil {
			return s.explain(err)
		}
		switch err := s.file.err; {
		case err == syscall.EINVAL || err == syscall.ENOSYS:
			// A file system without sendfile.
			return s.copyRange(&vfs.Range{File: r.File, Off: s.file.off, Len: s.file.left})
		case err == syscall.EIO:
			return rangeFailed(r, err)
		case err != nil:
			return os.NewSyscallError("sendfile", err)
		case s.file.n == 0:
			return fmt.Errorf("%s is shorter than the answer that was made of it", r.File.Name())
		}
		s.file.off += s.file.n
		s.file.left -= s.file.n
	}
	return nil
}

// attempt runs trySendfile until it did something.
func (s *sender) attempt() error {
	for {
		s.file.n, s.file.err = 0, nil
		if err := s.c.raw.Write(s.try); err == nil || !s.patient(false, err) {
			return err
		}
	}
}

// writeRaw sends what fits of p; more tells the kernel that further bytes follow at once.
func (s *sender) writeRaw(p []byte, more bool) (int, error) {
	s.file = sendfile{data: p, more: more}
	if err := s.attempt(); err != nil {
		return 0, err
	}
	n, err := int(s.file.n), s.file.err
	s.file = sendfile{}
	if err != nil {
		return n, os.NewSyscallError("send", err)
	}
	return n, nil
}

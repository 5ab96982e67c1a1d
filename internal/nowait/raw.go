//go:build linux && (amd64 || arm64) && !race

package nowait

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from a non-blocking socket into p, which must not be empty; 0 without an error is the end.
func Read(fd int, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno != syscall.EINTR {
			return result(n, errno)
		}
	}
}

// Send writes what fits of p, which must not be empty, to a non-blocking socket; more says that further bytes follow
// at once.
func Send(fd int, p []byte, more bool) (int, error) {
	flags := uintptr(unix.MSG_NOSIGNAL)
	if more {
		flags |= unix.MSG_MORE
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		if errno != syscall.EINTR {
			return result(n, errno)
		}
	}
}

// ReadAt reads from a file what the page cache has of the len(p) bytes from off; p must not be empty. An error, EAGAIN
// or another where the file system cannot tell, says nothing about the file: the ordinary call will.
func ReadAt(fd int, p []byte, off int64) (int, error) {
	vec := unix.Iovec{Base: unsafe.SliceData(p)}
	vec.SetLen(len(p))
	n, _, errno := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&vec)), 1, uintptr(off), 0, unix.RWF_NOWAIT)
	return result(n, errno)
}

// Cached reports whether the page cache has n bytes of a file from off, n more than 0, judged by the first and the last.
func Cached(fd int, off, n int64) bool {
	var probe [1]byte
	for _, at := range [2]int64{off, off + n - 1} {
		if got, err := ReadAt(fd, probe[:], at); got != 1 || err != nil {
			return false
		}
	}
	return true
}

// Sendfile sends what fits of n bytes of a file from off to a non-blocking socket. It is for what is Cached: it waits
// for the disk otherwise, and a processor's goroutines with it. 0 without an error is the end of the file.
func Sendfile(sock, file int, off int64, n int) (int, error) {
	for {
		sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(sock), uintptr(file), uintptr(unsafe.Pointer(&off)), uintptr(n), 0, 0)
		if errno != syscall.EINTR {
			return result(sent, errno)
		}
	}
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

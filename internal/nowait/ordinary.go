//go:build unix && !(linux && (amd64 || arm64) && !race)

package nowait

import "syscall"

// Read reads from a non-blocking socket into p, which must not be empty; 0 without an error is the end.
func Read(fd int, p []byte) (int, error) {
	for {
		if n, err := syscall.Read(fd, p); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// Send writes what fits of p, which must not be empty, to a non-blocking socket.
func Send(fd int, p []byte, _ bool) (int, error) {
	for {
		if n, err := syscall.Write(fd, p); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// ReadAt cannot tell what is cached.
func ReadAt(int, []byte, int64) (int, error) { return 0, syscall.EAGAIN }

// Cached is false: what is cached is not known.
func Cached(int, int64, int64) bool { return false }

// Sendfile is never called, since nothing is Cached.
func Sendfile(int, int, int64, int) (int, error) { return 0, syscall.ENOSYS }

// Package machine is what the tools know of the machine that they run on: whether a folder lasts, how full its disk is, how
// many files a process may open, whether the clock is kept right. It changes nothing.
package machine

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// EnoughFiles is how many open files a broker wants to be allowed: its connections and its active segments.
const EnoughFiles = 65536

// Volatile says why the contents of dir may not last, "" if they should.
func Volatile(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for _, tmp := range []string{"/tmp", "/private/tmp", os.TempDir()} {
		if abs == tmp || strings.HasPrefix(abs, strings.TrimSuffix(tmp, "/")+"/") {
			return "is under " + tmp
		}
	}
	if d, ok := existing(abs); ok && InMemory(d) {
		return "is on a file system in memory"
	}
	return ""
}

// existing is the nearest folder above that is there, or dir itself.
func existing(dir string) (string, bool) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil {
			return d, true
		}
		if d == filepath.Dir(d) {
			return "", false
		}
	}
}

// OpenFiles returns how many files the process may open. Go has raised the soft limit to the hard one by now.
func OpenFiles() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return l.Cur, true
}

// Disk returns the size of the file system that dir is on, or will be, and what is free of it for a user, in bytes.
func Disk(dir string) (total, free int64, ok bool) {
	d, ok := existing(dir)
	if !ok {
		return 0, 0, false
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(d, &st); err != nil {
		return 0, 0, false
	}
	return int64(st.Blocks) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize), true
}

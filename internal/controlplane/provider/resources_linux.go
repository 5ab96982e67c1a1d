package provider

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Resources says what this machine has for brokers below a folder. What
// cannot be learned is 0.
func Resources(dir string) Machine {
	var m Machine
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil {
		m.DiskFreeBytes = int64(fs.Bavail) * fs.Bsize
	}
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return m
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "MemTotal:")
		if !ok {
			continue
		}
		if kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
			m.MemoryBytes = kb << 10
		}
		break
	}
	return m
}

package provider

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, the same on all of Linux' architectures.
const ticksPerSecond = 100

// process is what the system says of a live process.
type process struct {
	identity  string
	startedAt time.Time
	stopped   bool
}

// stat is the fields of /proc/PID/stat from the state on: field 0 is the state.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The name before may hold spaces and brackets itself.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	return fields, nil
}

// inspect fails for a process that is gone, and for one that ended and waits
// to be reaped.
func inspect(pid int) (process, error) {
	f, err := stat(pid)
	if err != nil {
		return process{}, err
	}
	// The first thread of a process may be a zombie while the others still end,
	// and hold its ports and locks.
	if threads, err := strconv.Atoi(f[17]); f[0] == "X" || f[0] == "Z" && (err != nil || threads <= 1) {
		return process{}, fmt.Errorf("process %d has ended", pid)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}, err
	}
	ticks, err := strconv.ParseInt(f[19], 10, 64)
	if err != nil {
		return process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	up, err := uptime()
	if err != nil {
		return process{}, err
	}
	started := time.Now().Add(time.Duration(ticks)*time.Second/ticksPerSecond - up)
	return process{identity: strings.TrimSpace(string(boot)) + "/" + f[19], startedAt: started.Round(time.Second / 10), stopped: f[0] == "T" || f[0] == "t"}, nil
}

func uptime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	return time.Duration(seconds * float64(time.Second)), err
}

func usage(pid int) (Usage, error) {
	f, err := stat(pid)
	if err != nil {
		return Usage{}, err
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	pages, err3 := strconv.ParseInt(f[21], 10, 64)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return Usage{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	return Usage{CPU: time.Duration(user+system) * time.Second / ticksPerSecond, RSSBytes: pages * int64(os.Getpagesize()), OpenFiles: openFiles(pid)}, nil
}

func openFiles(pid int) int {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return -1
	}
	return len(names)
}

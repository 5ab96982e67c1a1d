//go:build !linux

package provider

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is what the system says of a live process.
type process struct {
	identity  string
	startedAt time.Time
	stopped   bool
}

// ps asks for columns of one process, of which the last may hold spaces.
func ps(pid int, columns string) (string, error) {
	cmd := exec.Command("ps", "-o", columns, "-p", strconv.Itoa(pid))
	cmd.Env = []string{"LC_ALL=C", "PATH=/bin:/usr/bin"}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func inspect(pid int) (process, error) {
	text, err := ps(pid, "state=,lstart=")
	if err != nil {
		return process{}, err
	}
	state, start, _ := strings.Cut(text, " ")
	if strings.HasPrefix(state, "Z") {
		return process{}, fmt.Errorf("process %d has ended", pid)
	}
	start = strings.TrimSpace(start)
	at, err := time.ParseInLocation("Mon Jan _2 15:04:05 2006", start, time.Local)
	if err != nil {
		return process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return process{identity: start, startedAt: at, stopped: strings.HasPrefix(state, "T")}, nil
}

func usage(pid int) (Usage, error) {
	text, err := ps(pid, "rss=,time=")
	if err != nil {
		return Usage{}, err
	}
	f := strings.Fields(text)
	if len(f) != 2 {
		return Usage{}, fmt.Errorf("process %d: ps said %q", pid, text)
	}
	kib, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return Usage{}, fmt.Errorf("process %d: %w", pid, err)
	}
	cpu := 0.0
	for _, part := range strings.Split(f[1], ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("process %d: ps said %q", pid, text)
		}
		cpu = cpu*60 + n
	}
	return Usage{CPU: time.Duration(cpu * float64(time.Second)), RSSBytes: kib << 10, OpenFiles: -1}, nil
}

package watch

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, the same on all of Linux' architectures.
const ticksPerSecond = 100

var cpuModes = []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"}

func readHost(dir string) hostFigures {
	f := hostFigures{cpu: map[string]float64{}}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		f.cpu = readStat(text)
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		f.memTotal, f.memAvailable = readMeminfo(text)
	}
	f.diskSize, f.diskAvailable = readDisk(dir)
	return f
}

// readStat reads the first line of /proc/stat.
func readStat(text []byte) map[string]float64 {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	out := map[string]float64{}
	if len(fields) == 0 || fields[0] != "cpu" {
		return out
	}
	for i, mode := range cpuModes {
		if i+1 >= len(fields) {
			break
		}
		if n, err := strconv.ParseFloat(fields[i+1], 64); err == nil {
			out[mode] = n / ticksPerSecond
		}
	}
	return out
}

func readMeminfo(text []byte) (total, available float64) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue
		}
		kib, err := strconv.ParseFloat(f[1], 64)
		switch {
		case err != nil:
		case f[0] == "MemTotal:":
			total = kib * 1024
		case f[0] == "MemAvailable:":
			available = kib * 1024
		}
	}
	return total, available
}

//go:build !linux

package watch

import (
	"os/exec"
	"strconv"
	"strings"
)

// readHost asks the system's own tools, as far as they tell: no processor
// time, memory by sysctl and vm_stat, the disk by statfs.
func readHost(dir string) hostFigures {
	f := hostFigures{cpu: map[string]float64{}}
	f.diskSize, f.diskAvailable = readDisk(dir)
	if out, err := exec.Command("/usr/sbin/sysctl", "-n", "hw.memsize").Output(); err == nil {
		f.memTotal, _ = strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	}
	if out, err := exec.Command("/usr/bin/vm_stat").Output(); err == nil {
		f.memAvailable = readVMStat(string(out))
	}
	return f
}

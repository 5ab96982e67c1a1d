//go:build unix

package watch

import (
	"strconv"
	"strings"
	"syscall"
)

func readDisk(dir string) (size, available float64) {
	if dir == "" {
		dir = "."
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, 0
	}
	block := float64(fs.Bsize)
	return float64(fs.Blocks) * block, float64(fs.Bavail) * block
}

// readVMStat sums the pages that a Mac could give to others at once.
func readVMStat(text string) float64 {
	page, pages := 4096.0, 0.0
	for line := range strings.Lines(text) {
		if _, after, ok := strings.Cut(line, "page size of "); ok {
			if n, err := strconv.ParseFloat(strings.Fields(after)[0], 64); err == nil {
				page = n
			}
		}
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Pages free", "Pages inactive", "Pages speculative", "Pages purgeable":
			if n, err := strconv.ParseFloat(strings.Trim(value, " .\n"), 64); err == nil {
				pages += n
			}
		}
	}
	return page * pages
}

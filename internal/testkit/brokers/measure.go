package brokers

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ, 100 on every Linux that Go
// supports.
const clockTick = 10 * time.Millisecond

// CPU is the processor time that the broker has used so far, in user and
// kernel mode. Linux only.
func (b *Broker) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.PID()))
	if err != nil {
		return 0, err
	}
	return parseStat(string(text))
}

// parseStat reads utime and stime; the name of the command before them may
// itself hold spaces and parentheses.
func parseStat(text string) (time.Duration, error) {
	i := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[i+1:])
	const utime, stime = 11, 12 // counted from the state, which is field 3 of the file
	if i < 0 || len(fields) <= stime {
		return 0, fmt.Errorf("stat: %q has too few fields", text)
	}
	var sum time.Duration
	for _, n := range []int{utime, stime} {
		ticks, err := strconv.ParseInt(fields[n], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum, nil
}

// Anonymous is the broker's resident memory that is no file's, in bytes: what
// it really takes from the machine. Linux only.
func (b *Broker) Anonymous() (int64, error) { return b.status("RssAnon:") }

// Resident is all of the broker's resident memory in bytes. Linux only.
func (b *Broker) Resident() (int64, error) { return b.status("VmRSS:") }

// OpenFiles counts the broker's file descriptors. Linux only.
func (b *Broker) OpenFiles() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.PID()))
	return len(entries), err
}

func (b *Broker) status(key string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == key {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("status: no %s", key)
}

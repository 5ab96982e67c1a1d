package cli

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// tuneMemory makes the process follow the memory limit of its cgroup, and collect garbage not more often under load
// than each 64 MiB.
func tuneMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit, ok := cgroupLimit("/proc/self/cgroup", "/sys/fs/cgroup"); ok {
			soft := limit / 10 * 9
			if limit-soft < 32<<20 {
				soft = max(limit-32<<20, limit/2)
			}
			debug.SetMemoryLimit(soft)
			log.Info(fmt.Sprintf("the memory limit of the cgroup is %d MiB; the heap is kept under %d MiB", limit>>20, soft>>20))
		}
	}
	if os.Getenv("GOGC") == "" {
		(&gcTuner{last: time.Now(), quiet: quietAfter, release: debug.FreeOSMemory}).watch()
	}
}

// cgroupLimit returns the lowest memory limit on the way from the process's cgroup up, of version 2 or 1.
func cgroupLimit(selfFile, root string) (int64, bool) {
	data, err := os.ReadFile(selfFile)
	if err != nil {
		return 0, false
	}
	limit := int64(math.MaxInt64)
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			limit = min(limit, lowest(root, parts[2], "memory.max"))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			limit = min(limit, lowest(filepath.Join(root, "memory"), parts[2], "memory.limit_in_bytes"))
		}
	}
	// Without a limit version 1 says a number close to the largest.
	return limit, limit < 1<<50
}

// lowest reads file in dir below root and in all folders above it, and returns the smallest number. In a container
// the cgroup's own folder may be mounted as root.
func lowest(root, dir, file string) int64 {
	limit := int64(math.MaxInt64)
	for {
		if data, err := os.ReadFile(filepath.Join(root, dir, file)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && n > 0 {
				limit = min(limit, n)
			}
		}
		if dir == "/" || dir == "." || dir == "" {
			return limit
		}
		dir = filepath.Dir(dir)
	}
}

// heapFloor is how much garbage may pile up under load before it is collected, however small the live heap is.
const heapFloor = 64 << 20

// quietAfter is how long after a collection that no other follows what is left is collected and given back. A collection for
// the lack of another would come two minutes later.
const quietAfter = 5 * time.Second

// gcTuner sets the pace of the garbage collector after each collection. While collections follow each other within
// a second, the next one waits until the heap has grown to heapFloor; a quiet process stays small.
type gcTuner struct {
	last    time.Time
	percent int

	quiet   time.Duration
	release func()      // collects, and gives memory back
	timer   *time.Timer // runs it when nothing was collected for that long
	own     atomic.Bool // the next collection is release's
}

// watch arms a finalizer that runs after the next collection and arms the one after it.
func (t *gcTuner) watch() {
	runtime.SetFinalizer(&gcMark{t}, func(m *gcMark) {
		m.t.tune(time.Now(), liveHeap())
		m.t.watch()
	})
}

type gcMark struct{ t *gcTuner }

func (t *gcTuner) tune(now time.Time, live uint64) {
	want := 100
	if now.Sub(t.last) < time.Second && live > 0 && live < heapFloor/2 {
		want = int(100 * (heapFloor - live) / live)
	}
	t.last = now
	if t.timer != nil {
		t.timer.Stop()
	}
	if !t.own.Swap(false) {
		t.timer = time.AfterFunc(t.quiet, func() { t.own.Store(true); t.release() })
	}
	if want == t.percent || t.percent > 0 && want > 100 && want*10 > t.percent*9 && want*9 < t.percent*10 {
		return
	}
	t.percent = want
	debug.SetGCPercent(want)
}

func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}

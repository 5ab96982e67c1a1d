package coordinator

import (
	"sync"
	"time"
)

// loadWindow is over how long the times that shards took to load are told.
const loadWindow = 30 * time.Second

// loadTimes are how long shards took to load of late. Safe for concurrent use.
type loadTimes struct {
	mu     sync.Mutex
	recent []loadTime // by when
}

type loadTime struct {
	at   time.Time
	took time.Duration
}

func (l *loadTimes) add(took time.Duration) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(now)
	l.recent = append(l.recent, loadTime{now, took})
}

func (l *loadTimes) drop(now time.Time) {
	n := 0
	for n < len(l.recent) && now.Sub(l.recent[n].at) > loadWindow {
		n++
	}
	l.recent = append(l.recent[:0], l.recent[n:]...)
}

func (l *loadTimes) figures() (longest, mean time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(time.Now())
	for _, t := range l.recent {
		longest = max(longest, t.took)
		mean += t.took
	}
	if n := len(l.recent); n > 0 {
		mean /= time.Duration(n)
	}
	return longest, mean
}

// LoadTimes is how long shards took to load within the last 30 seconds, the wait for their turn included: the longest and the
// mean; 0 if none was loaded.
func (r *Runtime[M]) LoadTimes() (longest, mean time.Duration) { return r.loads.figures() }

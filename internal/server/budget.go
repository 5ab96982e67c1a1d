package server

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errStopping = errors.New("the server is stopping")
	errMemory   = badRequest{errors.New("no memory left for its request")}
)

// budget counts the bytes of frames over all connections. A new frame gets bytes while less than three quarters are
// in use; one that has begun may grow up to the whole, and is given up if that stays full, so that half-read frames
// cannot block each other for ever.
type budget struct {
	limit atomic.Int64
	used  atomic.Int64

	mu      sync.Mutex
	waiting atomic.Int32
	freed   chan struct{}
}

const growWait = 10 * time.Second

func (b *budget) room(n int64, first bool) bool {
	limit := b.limit.Load()
	if first {
		limit -= limit / 4
	}
	for {
		used := b.used.Load()
		if used > 0 && used+n > limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// take waits until n bytes are free and counts them. first says that the frame holds nothing yet. It fails when
// stop is closed, or after growWait if the frame has begun.
func (b *budget) take(n int64, first bool, stop <-chan struct{}) error {
	if b.room(n, first) {
		return nil
	}
	var late <-chan time.Time
	if !first {
		t := time.NewTimer(growWait)
		defer t.Stop()
		late = t.C
	}
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	for {
		b.mu.Lock()
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		if b.room(n, first) {
			return nil
		}
		select {
		case <-freed:
		case <-late:
			return errMemory
		case <-stop:
			return errStopping
		}
	}
}

// force counts n bytes though there may be no room.
func (b *budget) force(n int64) { b.used.Add(n) }

// give returns n bytes and wakes who waits.
func (b *budget) give(n int64) {
	if n == 0 {
		return
	}
	b.used.Add(-n)
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
	b.mu.Unlock()
}

// roomy reports whether less than half is in use.
func (b *budget) roomy() bool { return b.used.Load() < b.limit.Load()/2 }

// full reports whether a new frame would have to wait.
func (b *budget) full() bool {
	limit := b.limit.Load()
	return b.used.Load() >= limit-limit/4
}

package log

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/lifecycle"
)

// syncer is the group commit of one directory: it syncs the dirty logs in rounds, several at a time, so that all appends
// that arrive during one round share the next. Safe for concurrent use.
type syncer struct {
	workers int
	flushed func(*Log)

	started atomic.Bool
	wake    chan struct{}

	mu      sync.Mutex
	dirty   []*Log
	waiters map[*Log][]syncWaiter
}

type syncWaiter struct {
	upTo int64
	done chan error
}

func newSyncer(workers int, flushed func(*Log)) *syncer {
	return &syncer{workers: max(workers, 1), flushed: flushed, wake: make(chan struct{}, 1), waiters: map[*Log][]syncWaiter{}}
}

// start runs the rounds in a goroutine of the group.
func (s *syncer) start(g *lifecycle.Group, name string) {
	if s.started.Swap(true) {
		return
	}
	g.Go("sync "+name, func(ctx context.Context) {
		defer s.stopped()
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.wake:
				s.round()
			}
		}
	})
	s.kick()
}

// stopped lets those who wait go: there will be no further round.
func (s *syncer) stopped() {
	s.started.Store(false)
	s.mu.Lock()
	waiters := s.waiters
	s.waiters = map[*Log][]syncWaiter{}
	s.mu.Unlock()
	for l, ws := range waiters {
		err := l.flush()
		for _, w := range ws {
			w.done <- err
		}
	}
}

func (s *syncer) running() bool { return s.started.Load() }

func (s *syncer) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// request puts a log on the list for the next round.
func (s *syncer) request(l *Log) {
	if l.syncQueued.Swap(true) {
		return
	}
	s.mu.Lock()
	s.dirty = append(s.dirty, l)
	s.mu.Unlock()
	s.kick()
}

// wait asks for a round and waits until everything below upTo is durable.
func (s *syncer) wait(ctx context.Context, l *Log, upTo int64) error {
	w := syncWaiter{upTo, make(chan error, 1)}
	s.mu.Lock()
	s.waiters[l] = append(s.waiters[l], w)
	s.mu.Unlock()
	l.requestSyncTo(upTo)
	if !s.running() {
		s.stopped()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// round syncs what was dirty when it began.
func (s *syncer) round() {
	s.mu.Lock()
	logs := s.dirty
	s.dirty = nil
	s.mu.Unlock()
	if len(logs) == 0 {
		return
	}
	n := min(s.workers, len(logs))
	if n == 1 {
		for _, l := range logs {
			s.one(l)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(logs) {
					return
				}
				s.one(logs[i])
			}
		})
	}
	wg.Wait()
}

func (s *syncer) one(l *Log) {
	// Cleared first: what is asked for from here on gets another round.
	l.syncQueued.Store(false)
	before := l.flushed.Load()
	err := l.flushTo(l.syncTo.Load())
	if s.flushed != nil && (err != nil || l.flushed.Load() != before) {
		s.flushed(l)
	}
	s.mu.Lock()
	ws := s.waiters[l]
	kept := ws[:0]
	var done []syncWaiter
	for _, w := range ws {
		if err != nil || l.flushed.Load() >= w.upTo || l.end.Load() < w.upTo {
			done = append(done, w)
		} else {
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		delete(s.waiters, l)
	} else {
		s.waiters[l] = kept
	}
	s.mu.Unlock()
	for _, w := range done {
		w.done <- err
	}
}

package txn

import (
	"context"
	"time"
)

// markerBackoff is the first pause before what failed is tried again; it doubles up to maxMarkerBackoff.
const (
	markerBackoff    = 20 * time.Millisecond
	maxMarkerBackoff = time.Second
)

func backoff(attempt int) time.Duration {
	return min(markerBackoff<<min(attempt, 10), maxMarkerBackoff)
}

// pause is an entry that waits for its next attempt.
type pause struct {
	entry   markerEntry
	until   time.Time
	unknown int // its partitions, if they have no leader
}

// later routes an entry again after a pause. One goroutine looks after all that wait, so that thousands of transactions cost
// no more than their entries.
func (s *markers) later(e markerEntry, unknown int) {
	p := pause{e, time.Now().Add(backoff(e.attempt)), unknown}
	p.entry.attempt++
	s.c.stats.unknown.Add(int64(unknown))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pausing = append(s.pausing, p)
	if !s.clock {
		s.clock = s.c.deps.Group.Go("txn markers retry", s.runPauses)
	}
}

func (s *markers) runPauses(ctx context.Context) {
	tick := time.NewTicker(markerBackoff)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return // the node stops
		}
		due, more := s.takeDue(time.Now())
		for _, p := range due {
			s.c.stats.unknown.Add(-int64(p.unknown))
			s.route(p.entry)
		}
		if !more {
			return
		}
	}
}

// takeDue takes the entries whose pause is over, and tells whether its caller goes on to look after the rest.
func (s *markers) takeDue(now time.Time) (due []pause, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.pausing[:0]
	for _, p := range s.pausing {
		if p.until.After(now) && !p.entry.job.dropped.Load() {
			rest = append(rest, p)
		} else {
			due = append(due, p)
		}
	}
	clear(s.pausing[len(rest):])
	s.pausing = rest
	s.clock = len(rest) > 0
	return due, s.clock
}

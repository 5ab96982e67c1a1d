package replica

import (
	"sync"
	"time"
)

// throttle holds copies back to a rate (KIP-73): a bucket that holds what may be sent in a second, and may be overdrawn by
// the answer that empties it. Safe for concurrent use.
type throttle struct {
	rate func() int64 // bytes a second, as it is at present

	mu   sync.Mutex
	left float64
	at   time.Time
}

func newThrottle(rate func() int64) *throttle { return &throttle{rate: rate} }

// exceeded reports whether the rate is used up.
func (t *throttle) exceeded(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fill(now)
	return t.left <= 0
}

// record notes bytes that were copied.
func (t *throttle) record(n int64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fill(now)
	t.left -= float64(n)
}

func (t *throttle) fill(now time.Time) {
	rate := float64(t.rate())
	if t.at.IsZero() {
		t.left = rate
	} else if d := now.Sub(t.at); d > 0 {
		t.left = min(t.left+rate*d.Seconds(), rate)
	}
	t.at = now
}

// SetThrottled says whether copies of a replica from here, as its leader, and to here, as a follower, are held back to the
// broker's rates. Those of in-sync replicas never are.
func (r *Replica) SetThrottled(asLeader, asFollower bool) {
	r.throttledAsLeader.Store(asLeader)
	r.throttledAsFollower.Store(asFollower)
}

// holdsBack reports whether a follower's fetch gets nothing for now.
func (m *Manager) holdsBack(r *Replica, by *Reader) bool {
	if !by.follows() || !r.throttledAsLeader.Load() || !m.leaderThrottle.exceeded(m.now()) {
		return false
	}
	for _, id := range r.role.Load().ISR {
		if id == by.Follower {
			return false
		}
	}
	return true
}

// waitsForRate reports whether a follower does not ask for more for now.
func (m *Manager) waitsForRate(r *Replica, now time.Time) bool {
	return r.throttledAsFollower.Load() && r.lag.Load() > 0 && m.followerThrottle.exceeded(now)
}

package replica

import (
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/quota"
)

// throttle holds copies back to a rate (KIP-73), measured over the windows of replication.quota.window.…. Copying stops while
// the rate is above the limit. Safe for concurrent use.
type throttle struct {
	limit func() int64 // bytes a second, as it is at present

	mu   sync.Mutex
	rate quota.Rate
}

func newThrottle(w quota.Window, limit func() int64) *throttle {
	return &throttle{limit: limit, rate: quota.NewSimpleRate(w)}
}

// exceeded reports whether the rate is above the limit.
func (t *throttle) exceeded(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rate.PerSecond(now.UnixMilli()) > float64(t.limit())
}

// record notes bytes that were copied.
func (t *throttle) record(n int64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rate.Record(float64(n), now.UnixMilli())
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

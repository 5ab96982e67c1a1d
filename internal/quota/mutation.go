package quota

import "time"

// Mutations counts the partitions that one request makes or deletes against its client's quota (KIP-599). It belongs to
// one goroutine; nil counts nothing.
type Mutations struct {
	m      *Manager
	s      *sensor
	strict bool
	wait   time.Duration
	at     int64
}

// Mutations begins to count for a request. A strict one is refused what is beyond the quota; else, with clients too old
// to understand that, it is held back afterwards.
func (m *Manager) Mutations(principal, clientID string, strict bool) *Mutations {
	s, _ := m.sensor(Mutation, principal, clientID)
	if s == nil {
		return nil
	}
	return &Mutations{m: m, s: s, strict: strict}
}

// Take counts n partitions, or reports false if they are refused. As in Kafka one request may overdraw the quota; the
// next one waits.
func (q *Mutations) Take(n int) bool {
	if q == nil {
		return true
	}
	now := q.m.nowMs()
	s := q.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	if q.strict {
		if wait := s.bucket.debt(s.limit, s.window, now); wait > 0 {
			q.wait, q.at = wait, now
			return false
		}
	}
	s.bucket.take(float64(n), s.limit, s.window, now)
	s.rate.Record(float64(n), now)
	if !q.strict {
		q.wait, q.at = s.bucket.debt(s.limit, s.window, now), now
	}
	return true
}

// Wait is how long the client has to be held back.
func (q *Mutations) Wait() time.Duration {
	if q == nil || q.wait == 0 {
		return 0
	}
	return max(q.wait-time.Duration(q.m.nowMs()-q.at)*time.Millisecond, 0)
}

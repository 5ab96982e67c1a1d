package quota

import (
	"net/url"
	"strings"
	"time"
)

// throttleWindow is over what time the mean of throttle times is taken, in two halves, as Kafka's other metrics.
const throttleWindow = 30 * time.Second

// throttleTimes is a mean over the last throttleWindow to twice that.
type throttleTimes struct {
	sum, count   [2]float64
	start        int64
	sinceStarted bool
}

func (t *throttleTimes) turn(nowMs int64) {
	if !t.sinceStarted {
		t.start, t.sinceStarted = nowMs, true
	}
	switch age := nowMs - t.start; {
	case age >= 2*throttleWindow.Milliseconds():
		t.sum, t.count, t.start = [2]float64{}, [2]float64{}, nowMs
	case age >= throttleWindow.Milliseconds():
		t.sum[1], t.count[1] = t.sum[0], t.count[0]
		t.sum[0], t.count[0], t.start = 0, 0, nowMs
	}
}

func (t *throttleTimes) note(wait time.Duration, nowMs int64) {
	t.turn(nowMs)
	t.sum[0] += float64(wait.Milliseconds())
	t.count[0]++
}

func (t *throttleTimes) mean(nowMs int64) float64 {
	t.turn(nowMs)
	if n := t.count[0] + t.count[1]; n > 0 {
		return (t.sum[0] + t.sum[1]) / n
	}
	return 0
}

// Reading is what one sensor shows: who it is about, empty where it is about all, and figures.
type Reading struct {
	Kind           Kind
	User, ClientID string // the user as Kafka's metrics have it: what is not a plain letter is escaped as in URLs
	Limit          float64
	PerSecond      float64 // bytes, percent or partitions a second
	ThrottleMs     float64 // the mean of the last minute
	Tokens         float64 // of Mutation: partitions that may be made or deleted at once
}

// Readings calls yield with every sensor.
func (m *Manager) Readings(yield func(Reading)) {
	now := m.nowMs()
	m.mu.Lock()
	all := make([]*sensor, 0, len(m.sensors))
	for _, s := range m.sensors {
		all = append(all, s)
	}
	m.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		r := Reading{Kind: s.key.kind, User: sanitize(s.key.user), ClientID: s.key.client, Limit: s.limit,
			PerSecond: s.rate.PerSecond(now), ThrottleMs: s.throttled.mean(now)}
		if s.key.kind == Mutation {
			s.bucket.refill(s.limit, s.window, now)
			r.Tokens = s.bucket.tokens
		}
		s.mu.Unlock()
		yield(r)
	}
}

// sanitize is what Kafka's Sanitizer makes of a user's name.
func sanitize(name string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "~", "%7E").Replace(url.QueryEscape(name))
}

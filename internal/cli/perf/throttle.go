package perf

import "time"

// minSleep is the least time worth sleeping; shorter pauses are saved up.
const minSleep = 2 * time.Millisecond

// Throttle holds a rate, as Kafka's tools do: it lets work run ahead for moments and sleeps when enough time has been
// saved up. Owned by one goroutine.
type Throttle struct {
	perSecond float64
	start     time.Time
	pause     time.Duration // per unit of work
	debt      time.Duration
	now       func() time.Time
	sleep     func(time.Duration)
}

// NewThrottle holds perSecond units per second from now on; negative is no limit, 0 is no work at all.
func NewThrottle(perSecond float64, now func() time.Time, sleep func(time.Duration)) *Throttle {
	t := &Throttle{perSecond: perSecond, start: now(), now: now, sleep: sleep}
	if perSecond > 0 {
		t.pause = time.Duration(float64(time.Second) / perSecond)
	}
	return t
}

// Unlimited tells that Wait never waits.
func (t *Throttle) Unlimited() bool { return t.perSecond < 0 }

// Wait is called after each unit of work, of which there were done so far, and sleeps when they were too many. It
// reports whether it slept.
func (t *Throttle) Wait(done int64) bool {
	if t.perSecond < 0 {
		return false
	}
	if t.perSecond == 0 {
		t.sleep(time.Duration(1<<63 - 1))
		return true
	}
	elapsed := t.now().Sub(t.start).Seconds()
	if elapsed <= 0 || float64(done)/elapsed <= t.perSecond {
		return false
	}
	if t.debt += t.pause; t.debt < minSleep {
		return false
	}
	before := t.now()
	t.sleep(t.debt)
	t.debt -= t.now().Sub(before)
	return true
}

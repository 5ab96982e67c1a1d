package replica

import (
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	rate := int64(1000)
	th := newThrottle(func() int64 { return rate })
	now := time.Unix(1000, 0)
	if th.exceeded(now) {
		t.Error("before anything was sent")
	}
	th.record(2500, now) // an answer may overdraw
	for _, c := range []struct {
		after    time.Duration
		exceeded bool
	}{{0, true}, {time.Second, true}, {1400 * time.Millisecond, true}, {1600 * time.Millisecond, false}} {
		if got := th.exceeded(now.Add(c.after)); got != c.exceeded {
			t.Errorf("after %v: %v", c.after, got)
		}
	}
	th.record(1100, now.Add(time.Hour)) // what was not used in an hour is not kept
	if !th.exceeded(now.Add(time.Hour)) {
		t.Error("more than the rate of a second was saved up")
	}
	rate = 1 << 40
	if th.exceeded(now.Add(time.Hour + time.Second)) {
		t.Error("a higher rate does not count")
	}
}

package replica

import (
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/quota"
)

func TestThrottle(t *testing.T) {
	rate := int64(1000)
	th := newThrottle(quota.Window{Samples: 3, Size: time.Second}, func() int64 { return rate })
	now := time.Unix(1000, 0)
	if th.exceeded(now) {
		t.Error("before anything was sent")
	}
	th.record(2500, now) // an answer may overdraw
	for _, c := range []struct {
		after    time.Duration
		exceeded bool
	}{{0, true}, {time.Second, true}, {2400 * time.Millisecond, true}, {2500 * time.Millisecond, false}} {
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

// However the bytes come, what is copied in a minute is the rate.
func TestThrottleOverTime(t *testing.T) {
	th := newThrottle(quota.Window{Samples: 11, Size: time.Second}, func() int64 { return 1000 })
	now, sent := time.Unix(1000, 0), int64(0)
	for end := now.Add(time.Minute); now.Before(end); now = now.Add(50 * time.Millisecond) {
		if !th.exceeded(now) {
			n := 1 + int64(now.Nanosecond())%1700
			th.record(n, now)
			sent += n
		}
	}
	if sent < 57000 || sent > 65000 {
		t.Errorf("%d bytes in a minute at 1000 a second", sent)
	}
}

package sim

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWallClock: the time of day jumps, what is measured does not.
func TestWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for _, wrong := range []int64{3600, -3600, 3, -3, 0} {
			for _, passed := range []time.Duration{0, time.Nanosecond, 90 * time.Minute} {
				was := wallClock(began, 0, 0)
				is := wallClock(began.Add(passed), passed, wrong)
				if got := is.UnixNano() - began.UnixNano(); got != wrong*1e9+passed.Nanoseconds() {
					t.Errorf("wrong by %d seconds after %v: the time of day has moved by %d ns", wrong, passed, got)
				}
				if got := is.Sub(was); got != passed {
					t.Errorf("wrong by %d seconds after %v: %v have passed", wrong, passed, got)
				}
			}
		}
	})
}

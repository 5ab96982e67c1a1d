package people

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// The limits on guessing. A name may fail freely a few times; then each
// failure doubles the wait, up to the longest one, so that a guesser gets some
// thousand tries a day and the person is never locked out for good.
const (
	freeFailures   = 5
	longestWait    = 30 * time.Second
	forgetFailures = 15 * time.Minute
	maxNames       = 1024
)

// TooManyFailures refuses a login for a while.
type TooManyFailures struct{ RetryAfter time.Duration }

func (e *TooManyFailures) Error() string {
	return fmt.Sprintf("too many failed logins: try again in %d seconds", e.Seconds())
}

// Seconds is RetryAfter in whole seconds, at least 1.
func (e *TooManyFailures) Seconds() int { return max(1, int((e.RetryAfter+time.Second-1)/time.Second)) }

type failures struct {
	count int
	last  time.Time
	until time.Time
}

// throttle counts failed logins by name. Its memory is bounded: names beyond
// the limit share one entry, which is what a flood of invented names gets.
type throttle struct {
	mu    sync.Mutex
	names map[string]*failures
	rest  failures
}

func newThrottle() *throttle { return &throttle{names: map[string]*failures{}} }

// check refuses a name that has to wait.
func (t *throttle) check(name string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.names[throttleKey(name)]
	if f == nil {
		if len(t.names) < maxNames {
			return nil
		}
		f = &t.rest
	}
	if now.Before(f.until) {
		return &TooManyFailures{RetryAfter: f.until.Sub(now)}
	}
	return nil
}

// failed counts a failure.
func (t *throttle) failed(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := throttleKey(name)
	f := t.names[key]
	if f == nil {
		if len(t.names) >= maxNames {
			t.forget(now)
		}
		if len(t.names) < maxNames {
			f = &failures{}
			t.names[key] = f
		} else {
			f = &t.rest
		}
	}
	if now.Sub(f.last) > forgetFailures {
		f.count = 0
	}
	f.count++
	f.last = now
	if over := f.count - freeFailures; over >= 0 {
		f.until = now.Add(min(longestWait, time.Second<<min(over, 10)))
	}
}

// succeeded forgets the failures of a name.
func (t *throttle) succeeded(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.names, throttleKey(name))
}

// forget drops what is old. The caller holds the lock.
func (t *throttle) forget(now time.Time) {
	for name, f := range t.names {
		if now.Sub(f.last) > forgetFailures {
			delete(t.names, name)
		}
	}
}

// throttleKey makes one key of all spellings, and a short one of a long name.
func throttleKey(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	return strings.ToLower(name)
}

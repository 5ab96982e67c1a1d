// Package delayed has the one primitive that waiting requests are made of: an operation that runs exactly once,
// either because somebody completed it or because its time was up. It knows nothing of what is waited for.
package delayed

import (
	"sync/atomic"
	"time"
)

// Op is an operation that waits. Whoever calls Complete first, or the timer, runs the operation; every later
// attempt is refused. Safe for concurrent use.
type Op struct {
	done  atomic.Bool
	timer atomic.Pointer[time.Timer]
	run   func(expired bool)
}

// New returns an operation that runs with expired=true after wait, unless it is completed before. run is called
// on the timer's goroutine or on that of the caller of Complete.
func New(wait time.Duration, run func(expired bool)) *Op {
	o := &Op{run: run}
	t := time.AfterFunc(wait, func() {
		if o.done.CompareAndSwap(false, true) {
			o.run(true)
		}
	})
	o.timer.Store(t)
	if o.done.Load() {
		t.Stop()
	}
	return o
}

// Claim ends the wait without running the operation and reports whether this caller was the first. The caller
// that gets true must do what the operation was for.
func (o *Op) Claim() bool {
	if !o.done.CompareAndSwap(false, true) {
		return false
	}
	if t := o.timer.Load(); t != nil {
		t.Stop()
	}
	return true
}

// Complete runs the operation with expired=false if it has not run yet, and reports whether it did.
func (o *Op) Complete() bool {
	if !o.Claim() {
		return false
	}
	o.run(false)
	return true
}

// Done reports whether the operation has run or was claimed.
func (o *Op) Done() bool { return o.done.Load() }

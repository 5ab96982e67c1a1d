package replica

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/delayed"
)

// waitList holds the requests that wait for an end of a replica's log to move. Its lock is held for list work
// only, never over I/O or a call to a waiter.
type waitList struct {
	mu    sync.Mutex
	first *watch
	n     atomic.Int32
}

// watch is one request's entry in one replica's list.
type watch struct {
	list       *waitList // set before the request can end, since its end takes it off the list
	prev, next *watch
	linked     bool
	of         *Followed // nil: it is part of a Wait
	// wake is called without any lock after the end has moved by size bytes, or with changed=true when
	// the replica's role changed, its log went offline or it was removed.
	wake func(w *watch, size int64, changed bool)
}

func (w *watch) link() {
	l := w.list
	l.mu.Lock()
	w.next, w.linked = l.first, true
	if l.first != nil {
		l.first.prev = w
	}
	l.first = w
	l.n.Add(1)
	l.mu.Unlock()
}

func (w *watch) unlink() {
	l := w.list
	l.mu.Lock()
	if w.linked {
		if w.prev != nil {
			w.prev.next = w.next
		} else {
			l.first = w.next
		}
		if w.next != nil {
			w.next.prev = w.prev
		}
		w.prev, w.next, w.linked = nil, nil, false
		l.n.Add(-1)
	}
	l.mu.Unlock()
}

// signal wakes everyone on the list. With nobody waiting it costs one atomic load.
func (l *waitList) signal(size int64, changed bool) {
	if l.n.Load() == 0 {
		return
	}
	var few [8]*watch
	woken := few[:0]
	l.mu.Lock()
	for w := l.first; w != nil; w = w.next {
		woken = append(woken, w)
	}
	l.mu.Unlock()
	for _, w := range woken {
		w.wake(w, size, changed)
	}
}

// Wait is a request that is parked on several replicas. It ends once: by its condition, by its time, or by Cancel.
type Wait struct {
	op      *delayed.Op
	watches []watch
	missing atomic.Int64
	in      *Follows // nil: it waits by its watches
}

// park puts a Wait on lists. It ends when the sum of the bytes that came reaches missing, when a
// replica's role changes, or after d; then end runs, on a goroutine that may be the appender's (it must not block)
// or the timer's.
func park(lists []*waitList, missing int64, d time.Duration, end func(expired bool)) *Wait {
	w := &Wait{watches: make([]watch, len(lists))}
	wake := func(_ *watch, size int64, changed bool) {
		if changed || w.missing.Add(-size) <= 0 {
			w.op.Complete()
		}
	}
	for i, list := range lists {
		w.watches[i].list, w.watches[i].wake = list, wake
	}
	w.missing.Store(missing)
	w.op = delayed.New(d, func(expired bool) {
		w.leave()
		end(expired)
	})
	for i := range w.watches {
		w.watches[i].link()
	}
	if w.op.Done() {
		w.leave() // ended while it was still being put on lists
	}
	return w
}

func (w *Wait) leave() {
	for i := range w.watches {
		w.watches[i].unlink()
	}
}

// Cancel ends the wait without running its end, and reports whether it had not ended before.
func (w *Wait) Cancel() bool {
	if !w.op.Claim() {
		return false
	}
	w.leave()
	if w.in != nil {
		w.in.ended(w)
	}
	return true
}

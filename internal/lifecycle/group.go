// Package lifecycle owns goroutines: each belongs to a Group with a name and a stop. It also has the one-slot
// lock that may be held over I/O. It knows nothing of what runs.
package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// Group is a set of goroutines that start under one name and stop together. Safe for concurrent use.
type Group struct {
	name   string
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	wg      sync.WaitGroup
	onPanic func(err error)
}

// New returns an empty group whose context ends with Stop. A nil logger means slog's default.
func New(name string, log *slog.Logger) *Group {
	if log == nil {
		log = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Group{name: name, log: log, ctx: ctx, cancel: cancel}
}

// OnPanic sets what happens when a goroutine of the group panics, after it was logged. Without it the panic
// goes on and ends the process. Call it before Go.
func (g *Group) OnPanic(f func(err error)) { g.onPanic = f }

// Context is done when the group is stopped.
func (g *Group) Context() context.Context { return g.ctx }

// Go runs f in a goroutine of the group. After Stop it does nothing and reports false.
func (g *Group) Go(name string, f func(ctx context.Context)) bool {
	g.mu.Lock()
	if g.stopped {
		g.mu.Unlock()
		return false
	}
	g.wg.Add(1)
	g.mu.Unlock()
	go func() {
		defer g.wg.Done()
		if g.onPanic != nil {
			defer func() {
				if p := recover(); p != nil {
					err := fmt.Errorf("panic in %s/%s: %v", g.name, name, p)
					g.log.Error(err.Error(), "stack", string(debug.Stack()))
					g.onPanic(err)
				}
			}()
		}
		f(g.ctx)
	}()
	return true
}

// Stop cancels the context and waits for every goroutine of the group. It may be called more than once, but not
// from a goroutine of the group.
func (g *Group) Stop() {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.cancel()
	g.wg.Wait()
}

// IOLock is a lock that may be held while waiting for a disk. It is a one-slot channel, not a mutex, so that a
// waiting goroutine counts as durably blocked and virtual time (testing/synctest) goes on. Make it with
// NewIOLock.
type IOLock chan struct{}

// NewIOLock returns an unlocked lock.
func NewIOLock() IOLock { return make(IOLock, 1) }

// Lock waits until the lock is free and takes it.
func (l IOLock) Lock() { l <- struct{}{} }

// TryLock takes the lock if it is free.
func (l IOLock) TryLock() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

// Unlock frees the lock; it must be held.
func (l IOLock) Unlock() { <-l }

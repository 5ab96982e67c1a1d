package handler

import (
	"sync"

	"github.com/weir-stream/weir/internal/replica"
)

// parkedFetches are the followers' fetches that wait for data, for the day when the node stops. Safe for concurrent use.
type parkedFetches struct {
	mu      sync.Mutex
	waiting map[*parkedFetch]struct{}
	stopped bool
}

// parkedFetch is one time that a fetch waits.
type parkedFetch struct {
	fetch *fetch
	wait  *replica.Wait
	ended bool // guarded by parkedFetches.mu
}

// add takes a wait in, unless it has ended already. After stop it ends it.
func (p *parkedFetches) add(f *parkedFetch, w *replica.Wait) {
	p.mu.Lock()
	stopped := p.stopped
	if f.wait = w; !stopped && !f.ended {
		if p.waiting == nil {
			p.waiting = map[*parkedFetch]struct{}{}
		}
		p.waiting[f] = struct{}{}
	}
	p.mu.Unlock()
	if stopped && w.Cancel() {
		f.fetch.answerNow()
	}
}

func (p *parkedFetches) remove(f *parkedFetch) {
	p.mu.Lock()
	f.ended = true
	delete(p.waiting, f)
	p.mu.Unlock()
}

// stop answers all of them.
func (p *parkedFetches) stop() {
	p.mu.Lock()
	waiting := p.waiting
	p.waiting, p.stopped = nil, true
	p.mu.Unlock()
	for f := range waiting {
		if f.wait.Cancel() {
			f.fetch.answerNow()
		}
	}
}

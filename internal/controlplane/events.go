package controlplane

import (
	"context"
	"strings"
	"sync"

	"github.com/weir-stream/weir/internal/controlplane/store"
)

// eventBuffer is how many events a slow reader may be behind.
const eventBuffer = 64

// feed hands events to subscribers. Safe for concurrent use.
type feed struct {
	mu      sync.Mutex
	readers map[*reader]bool
}

// reader is one subscriber. lost is guarded by feed.mu.
type reader struct {
	events chan Event
	lost   bool
}

func newFeed() *feed { return &feed{readers: map[*reader]bool{}} }

// send never blocks: a reader that is behind is told once that it lost events.
func (f *feed) send(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		if r.lost {
			if len(r.events) > 0 {
				continue
			}
			r.lost = false
		}
		// One place is kept for the word that something was lost.
		if len(r.events) < cap(r.events)-1 {
			r.events <- e
			continue
		}
		r.lost = true
		r.events <- Event{Kind: EventResync}
	}
}

func (f *feed) subscribe() (<-chan Event, func()) {
	r := &reader{events: make(chan Event, eventBuffer)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[r] = true
	return r.events, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.readers[r] {
			delete(f.readers, r)
			close(r.events)
		}
	}
}

// Subscribe returns a stream of changes and the function that ends it. A
// reader that falls behind loses events and gets one of kind resync instead.
func (s *Service) Subscribe() (<-chan Event, func()) { return s.feed.subscribe() }

// telling is a store that tells the feed what was written.
type telling struct {
	store.Store
	feed *feed
}

func (t telling) Put(ctx context.Context, kind, key string, body []byte, revision int64) (int64, error) {
	next, err := t.Store.Put(ctx, kind, key, body, revision)
	if err == nil {
		t.tell(kind, key)
	}
	return next, err
}

func (t telling) Delete(ctx context.Context, kind, key string, revision int64) error {
	err := t.Store.Delete(ctx, kind, key, revision)
	if err == nil {
		t.tell(kind, key)
	}
	return err
}

func (t telling) tell(kind, key string) {
	switch kind {
	case EventCluster:
		t.feed.send(Event{Kind: kind, Cluster: key, ID: key})
	case EventOperation, EventJournal:
		cluster, id, _ := strings.Cut(key, "/")
		t.feed.send(Event{Kind: kind, Cluster: cluster, ID: id})
	}
}

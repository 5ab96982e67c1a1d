package handler

import (
	"time"

	"github.com/weir-stream/weir/internal/replica"
)

// A follower's session is not looked through for each of its requests: they look at what has news.

// sessionOf is the broker that a session is made for, -1 for a consumer's.
func (f *fetch) sessionOf() int32 {
	if !f.follower {
		return -1
	}
	return f.by.Follower
}

// gather adds to the items of a follower's request what has got news since it looked last.
func (f *fetch) gather() {
	news := f.by.Session
	if news == nil {
		return
	}
	now := time.Now()
	f.session.mu.Lock()
	from := len(f.items)
	for _, p := range news.Take() {
		c := p.Session.(*cachedFetch)
		if c.in == f || f.session.partitions[c.item.key] != c {
			continue
		}
		c.in = f
		f.items = append(f.items, c.item)
		f.cached, f.open = append(f.cached, c), append(f.open, true)
	}
	f.resolve(from)
	for i := from; i < len(f.items); i++ {
		if r := f.specs[i].Replica; r != nil {
			news.Watch(f.cached[i].followed, r)
		}
	}
	f.session.mu.Unlock()
	f.taken = now
}

// settled notes whether an item has to be looked at again though nothing happens to it.
func (f *fetch) settled(i int, settled bool) {
	if f.by.Session != nil {
		f.open[i] = !settled
	}
}

// keepNews hands what has to be looked at again to the next request: all, if the answer does not say it.
func (f *fetch) keepNews(all bool) {
	news := f.by.Session
	if news == nil {
		return
	}
	var again []*replica.Followed
	f.session.mu.Lock()
	for i, c := range f.cached {
		if c.in == f {
			c.in = nil
		}
		if (all || f.open[i]) && f.session.partitions[c.item.key] == c {
			again = append(again, c.followed)
		}
	}
	f.session.mu.Unlock()
	news.Note(again...)
}

// hurried reports whether the follower wants its answer now.
func (f *fetch) hurried() bool { return f.by.Session != nil && f.by.Session.Hurried() }

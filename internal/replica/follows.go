package replica

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/delayed"
)

// Follows is what a follower's fetch session (KIP-227) has of the partitions that it is about: which of them may have news
// for the follower. So a Fetch costs what has happened, not what the session is about, of which there may be many thousands.
// A partition has news when its log has grown, its watermark or its start has moved, its role has changed, or the follower has
// asked for it otherwise; and as long as it is not settled (see FetchResult). Safe for concurrent use.
type Follows struct {
	// visited is the last moment at which the follower had been told of all that had happened until then.
	visited          atomic.Pointer[time.Time]
	onAppend, onMove func(w *watch, size int64, changed bool)

	mu      sync.Mutex
	news    []*Followed
	came    int64 // bytes since the last Take
	changed bool  // a role changed since, or the follower wants its answer
	hurried bool  // the latter
	wait    *delayed.Op
	missing int64
	over    bool
}

// Followed is one partition of a Follows. It belongs to the session, whose lock guards what is not said to be another's.
type Followed struct {
	r               *Replica // nil: none is watched
	appended, moved watch
	queued          bool // guarded by Follows.mu
	Session         any  // the session's own
}

// NewFollows returns one without partitions.
func NewFollows() *Follows {
	f := &Follows{}
	f.onAppend = func(w *watch, size int64, changed bool) { f.heard(w.of, size, changed) }
	f.onMove = func(w *watch, _ int64, _ bool) { f.heard(w.of, 0, false) } // who waits for records is not woken by a watermark
	return f
}

// heard notes news of a partition, and ends the wait if that is enough. It runs on an appender's goroutine.
func (f *Follows) heard(p *Followed, size int64, changed bool) {
	f.mu.Lock()
	f.queue(p)
	f.came += size
	f.changed = f.changed || changed
	var end *delayed.Op
	if f.wait != nil && (f.changed || f.came >= f.missing) {
		end, f.wait = f.wait, nil
	}
	f.mu.Unlock()
	if end != nil {
		end.Complete()
	}
}

func (f *Follows) queue(p *Followed) {
	if !p.queued && !f.over {
		p.queued = true
		f.news = append(f.news, p)
	}
}

// Note says that partitions have to be looked at again.
func (f *Follows) Note(ps ...*Followed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range ps {
		f.queue(p)
	}
}

// Take returns the partitions that may have news, each once, and counts what comes from then on.
func (f *Follows) Take() []*Followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.news
	for _, p := range out {
		p.queued = false
	}
	f.news, f.came, f.changed = nil, 0, false
	return out
}

// Hurry has the follower's request answered that waits.
func (f *Follows) Hurry() {
	f.mu.Lock()
	f.changed, f.hurried = true, true
	end := f.wait
	f.wait = nil
	f.mu.Unlock()
	if end != nil {
		end.Complete()
	}
}

// Hurried reports whether the follower wants its answer, once.
func (f *Follows) Hurried() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hurried
	f.hurried = false
	return h
}

// Visited says that the follower was told, or is about to be, of all that had happened when Take was called at now.
func (f *Follows) Visited(now time.Time) { f.visited.Store(&now) }

// lastVisit is for partition.Fetched.
func (f *Follows) lastVisit() time.Time {
	if t := f.visited.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// Watch has the partition's news come from a replica. What has happened before is not told: read after it.
func (f *Follows) Watch(p *Followed, r *Replica) {
	if p.r == r {
		return
	}
	f.Unwatch(p)
	p.r = r
	p.appended = watch{list: &r.appended, of: p, wake: f.onAppend}
	p.moved = watch{list: &r.waits, of: p, wake: f.onMove}
	p.appended.link()
	p.moved.link()
}

// Unwatch ends that.
func (f *Follows) Unwatch(p *Followed) {
	if p.r != nil {
		p.appended.unlink()
		p.moved.unlink()
		p.r = nil
	}
}

// Forget ends it for a partition that the follower does not ask for any more: what the session hears does not stand for it.
func (f *Follows) Forget(p *Followed, follower int32) {
	if r := p.r; r != nil {
		f.Unwatch(p)
		r.mu.Lock()
		if r.leader != nil {
			r.leader.NotVisited(follower)
		}
		r.mu.Unlock()
	}
}

// Close ends it for all; the caller unwatches them.
func (f *Follows) Close() {
	f.mu.Lock()
	f.over, f.news = true, nil
	f.mu.Unlock()
}

// Await waits until missing more bytes than at the last Take have come, a role changes, or d is over; then end runs once,
// perhaps on an appender's goroutine: it must not block. Nil, and end does not run, if that has happened already.
func (f *Follows) Await(missing int64, d time.Duration, end func()) *Wait {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed || f.came >= missing {
		return nil
	}
	w := &Wait{}
	w.op = delayed.New(d, func(bool) {
		f.ended(w)
		end()
	})
	w.in = f
	f.wait, f.missing = w.op, missing
	return w
}

// ended forgets a wait that is over.
func (f *Follows) ended(w *Wait) {
	f.mu.Lock()
	if f.wait == w.op {
		f.wait = nil
	}
	f.mu.Unlock()
}

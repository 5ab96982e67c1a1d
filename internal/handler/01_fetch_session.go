package handler

import (
	"container/list"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/wire"
)

// Fetch session epochs with a meaning of their own (KIP-227).
const (
	initialSessionEpoch = 0  // a full fetch that asks for a session
	finalSessionEpoch   = -1 // a full fetch that ends the session, if any
	firstSessionEpoch   = 1
	noSession           = 0
)

// fetchKey identifies a partition inside a session: by topic id when the session uses ids, else by name.
type fetchKey struct {
	id    wire.TopicID
	name  string
	index int32
}

// fetchItem is what a consumer wants of one partition.
type fetchItem struct {
	key                fetchKey
	currentLeaderEpoch int32
	fetchOffset        int64
	lastFetchedEpoch   int32
	logStartOffset     int64 // of a follower
	highWatermark      int64 // that a follower knows (KIP-1166); math.MaxInt64 if it does not say
	maxBytes           int32
}

// cachedFetch is a session's memory of one partition: the last request for it and what was last answered.
type cachedFetch struct {
	item           fetchItem
	highWatermark  int64
	logStartOffset int64
	element        *list.Element     // nil in a follower's session
	followed       *replica.Followed // nil in a consumer's session
	in             *fetch            // the request that looks after it, in a follower's session
}

// fetchSession is one incremental fetch session. Its mutex guards everything but the id and the size that the
// cache keeps.
type fetchSession struct {
	id       int32
	usesIDs  bool
	follower bool // a replica's: it makes room for itself among consumers' sessions
	broker   int32
	created  time.Time
	lastUsed time.Time // guarded by the cache
	size     int       // guarded by the cache

	mu         sync.Mutex
	epoch      int32
	partitions map[fetchKey]*cachedFetch
	order      *list.List // of *cachedFetch; those that had data move to the back, so that others get their turn
	// news says, in a follower's session, which partitions a request has to look at: followers follow many thousands, of which few
	// have news. Nil in a consumer's.
	news *replica.Follows
}

// update merges a request into the session: new and changed partitions, and those to forget.
func (s *fetchSession) update(items []fetchItem, forget []fetchKey) {
	for _, it := range items {
		if c := s.partitions[it.key]; c != nil {
			it.key = c.item.key
			c.item = it
			if it.highWatermark != math.MaxInt64 {
				c.highWatermark = it.highWatermark // what it was told may have come too early or too late for it
			}
			if s.news != nil {
				s.news.Note(c.followed)
			}
			continue
		}
		it.key.name = strings.Clone(it.key.name) // the request's bytes do not outlive its answer
		c := &cachedFetch{item: it, highWatermark: -1, logStartOffset: -1}
		s.partitions[it.key] = c
		if s.news != nil {
			c.followed = &replica.Followed{Session: c}
			s.news.Note(c.followed)
		} else {
			c.element = s.order.PushBack(c)
		}
	}
	for _, k := range forget {
		if c := s.partitions[k]; c != nil {
			delete(s.partitions, k)
			if s.news != nil {
				s.news.Forget(c.followed, s.broker)
			} else {
				s.order.Remove(c.element)
			}
		}
	}
}

// close ends what a session hears of its partitions.
func (s *fetchSession) close() {
	if s.news == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.Close()
	for _, c := range s.partitions {
		s.news.Unwatch(c.followed)
	}
}

// items returns what the session wants, in its order.
func (s *fetchSession) items() []fetchItem {
	out := make([]fetchItem, 0, len(s.partitions))
	for e := s.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*cachedFetch).item)
	}
	return out
}

// note takes the whole of a first answer as told.
func (s *fetchSession) note(resp *wire.FetchResponse) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if c := s.partitions[fetchKey{id: t.ID, name: t.Name, index: p.Index}]; c != nil {
				c.record(p, false)
			}
		}
	}
}

// record notes an answer and reports whether the client has to see it: it has data, an error, or an offset that
// the client does not know yet.
func (c *cachedFetch) record(p *wire.FetchPartition, hasData bool) bool {
	must := hasData || p.PreferredReadReplica >= 0 || p.DivergingEpoch != nil
	if c.highWatermark != p.HighWatermark {
		must, c.highWatermark = true, p.HighWatermark
	}
	if c.logStartOffset != p.LogStartOffset {
		must, c.logStartOffset = true, p.LogStartOffset
	}
	if p.ErrorCode != wire.None {
		must, c.highWatermark = true, -1 // so that it is sent again once the error is gone
	}
	return must
}

// nextSessionEpoch follows e; it wraps to 1, since 0 and -1 have meanings of their own.
func nextSessionEpoch(e int32) int32 {
	switch {
	case e < 0:
		return finalSessionEpoch
	case e == 1<<31-1:
		return firstSessionEpoch
	default:
		return e + 1
	}
}

// fetchSessions is the bounded cache of a broker's sessions (max.incremental.fetch.session.cache.slots). When it
// is full a new session takes the place of one that was unused for evictAfter, or of a smaller one that has
// lived that long, or, if it is a follower's, of any consumer's; else the client simply gets no session.
type fetchSessions struct {
	slots      int
	evictAfter time.Duration
	now        func() time.Time

	mu       sync.Mutex
	byID     map[int32]*fetchSession
	sumParts int
	evicted  int64
}

func newFetchSessions(slots int, now func() time.Time) *fetchSessions {
	return &fetchSessions{slots: slots, evictAfter: 2 * time.Minute, now: now, byID: map[int32]*fetchSession{}}
}

// get returns the session, or nil.
func (c *fetchSessions) get(id int32) *fetchSession {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byID[id]
}

// touch notes that a session of the given size was used.
func (c *fetchSessions) touch(s *fetchSession, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[s.id] == s {
		c.sumParts += size - s.size
		s.size, s.lastUsed = size, c.now()
	}
}

func (c *fetchSessions) remove(id int32) {
	c.mu.Lock()
	s := c.removeLocked(id)
	c.mu.Unlock()
	if s != nil {
		s.close()
	}
}

// removeLocked takes a session out; the caller closes it, without the cache's lock.
func (c *fetchSessions) removeLocked(id int32) *fetchSession {
	s := c.byID[id]
	if s != nil {
		c.sumParts -= s.size
		delete(c.byID, id)
	}
	return s
}

// create makes a session for the partitions of a full fetch, or returns nil if there is no room for it. The broker is the
// follower that it is for, -1 for a consumer.
func (c *fetchSessions) create(items []fetchItem, usesIDs bool, broker int32) *fetchSession {
	s, evicted := c.tryCreate(items, usesIDs, broker)
	if evicted != nil {
		evicted.close()
	}
	return s
}

func (c *fetchSessions) tryCreate(items []fetchItem, usesIDs bool, broker int32) (s, evicted *fetchSession) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, follower := c.now(), broker >= 0
	if len(c.byID) >= c.slots {
		if evicted = c.evictLocked(len(items), follower, now); evicted == nil {
			return nil, nil
		}
	}
	id := rand.Int32N(1<<31-1) + 1
	for c.byID[id] != nil {
		id = rand.Int32N(1<<31-1) + 1
	}
	s = &fetchSession{
		id: id, usesIDs: usesIDs, follower: follower, broker: broker, created: now, lastUsed: now, epoch: firstSessionEpoch,
		partitions: make(map[fetchKey]*cachedFetch, len(items)),
	}
	if follower {
		s.news = replica.NewFollows()
	} else {
		s.order = list.New()
	}
	s.update(items, nil)
	s.size = len(s.partitions)
	c.byID[id] = s
	c.sumParts += s.size
	return s, evicted
}

// evictLocked makes room for a session of the given size and gives the one that went, nil if it could not. It looks at every
// session, which happens only while the cache is full.
func (c *fetchSessions) evictLocked(size int, follower bool, now time.Time) (gone *fetchSession) {
	var stale, smallest, consumer *fetchSession
	for _, s := range c.byID {
		if !s.follower && (consumer == nil || s.lastUsed.Before(consumer.lastUsed)) {
			consumer = s
		}
		if now.Sub(s.lastUsed) > c.evictAfter && (stale == nil || s.lastUsed.Before(stale.lastUsed)) {
			stale = s
		}
		if s.follower == follower && now.Sub(s.created) > c.evictAfter && (smallest == nil || s.size < smallest.size) {
			smallest = s
		}
	}
	switch {
	case stale != nil:
		gone = c.removeLocked(stale.id)
	case follower && consumer != nil:
		gone = c.removeLocked(consumer.id)
	case smallest != nil && size > smallest.size:
		gone = c.removeLocked(smallest.id)
	default:
		return nil
	}
	c.evicted++
	return gone
}

// stats returns the number of sessions, of partitions in them, and of evictions so far.
func (c *fetchSessions) stats() (sessions, partitions int, evicted int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byID), c.sumParts, c.evicted
}

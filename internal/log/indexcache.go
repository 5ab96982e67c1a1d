package log

import "sync"

// indexCache bounds the memory of offset indexes that are resident only because somebody read them. Safe for
// concurrent use.
type indexCache struct {
	max int64

	mu    sync.Mutex
	slots []cachedIndex
	bytes int64
}

type cachedIndex struct {
	seg   *segment
	bytes int64
}

func newIndexCache(limit int64) *indexCache { return &indexCache{max: limit} }

// loaded notes that a segment's index has become resident, and drops the oldest others if there are too many. Which one
// is oldest is decided by when it was loaded: an index that is in use comes back with one read.
func (c *indexCache) loaded(s *segment) {
	v := s.offsets.view.Load()
	if v == nil {
		return
	}
	size := int64(len(v.entries)) * offsetEntrySize
	c.mu.Lock()
	c.slots = append(c.slots, cachedIndex{s, size})
	c.bytes += size
	var out []cachedIndex
	n := 0
	for c.bytes > c.max && n < len(c.slots)-1 {
		out = append(out, c.slots[n])
		c.bytes -= c.slots[n].bytes
		n++
	}
	c.slots = append(c.slots[:0], c.slots[n:]...)
	c.mu.Unlock()
	for _, o := range out {
		o.seg.dropIndex()
	}
}

// dropIndex frees the index's memory unless it holds what is not in the file, or the log is busy.
func (s *segment) dropIndex() {
	if !s.log.mu.TryLock() {
		return
	}
	defer s.log.mu.Unlock()
	if !s.offsets.known || s.offsets.written == s.offsets.n {
		s.offsets.view.Store(nil)
	}
}

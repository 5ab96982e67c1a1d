package log

import (
	"slices"
	"sort"
	"sync"
)

// epochCache is the leader epochs of a log with the offset where each starts; both rise. Reads are pure memory, so
// that they may happen under locks that must not wait for a disk; whoever holds the log's lock
// writes the checkpoint. Safe for concurrent use.
type epochCache struct {
	mu    sync.Mutex
	ents  []EpochEntry
	dirty bool
}

// assign notes that epoch starts at offset, unless it is already known or older than the latest. Entries that
// contradict it (same or later start) give way, and so do later epochs that are said to start at or before a batch of this one:
// epochs rise along a log, so what is written proves them wrong. A checkpoint can be older than the batches after a power cut. It
// reports whether anything changed.
func (c *epochCache) assign(epoch int32, offset int64) bool {
	if epoch < 0 || offset < 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	dropped := c.disprove(epoch, offset)
	if n := len(c.ents); n > 0 && c.ents[n-1].Epoch >= epoch {
		return dropped
	}
	for len(c.ents) > 0 && c.ents[len(c.ents)-1].StartOffset >= offset {
		c.ents = c.ents[:len(c.ents)-1]
	}
	c.ents = append(c.ents, EpochEntry{epoch, offset})
	c.dirty = true
	return true
}

// disprove drops the later epochs that are said to start at or before an offset that was written in this one.
func (c *epochCache) disprove(epoch int32, offset int64) bool {
	first := len(c.ents)
	for first > 0 && c.ents[first-1].Epoch > epoch {
		first--
	}
	end := first
	for end < len(c.ents) && c.ents[end].StartOffset <= offset {
		end++
	}
	if end == first {
		return false
	}
	c.ents = slices.Delete(slices.Clone(c.ents), first, end)
	c.dirty = true
	return true
}

func (c *epochCache) latest() int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ents) == 0 {
		return -1
	}
	return c.ents[len(c.ents)-1].Epoch
}

// endOffset is the answer to OffsetForLeaderEpoch, given the log end.
func (c *epochCache) endOffset(epoch int32, logEnd int64) (int32, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch == -1 || len(c.ents) == 0 {
		return -1, -1
	}
	last := c.ents[len(c.ents)-1]
	if epoch == last.Epoch {
		return epoch, logEnd
	}
	if epoch > last.Epoch {
		return -1, -1
	}
	i := sort.Search(len(c.ents), func(i int) bool { return c.ents[i].Epoch > epoch })
	if i == 0 {
		// The asked epoch is older than all that is left: it ends where the oldest known one starts.
		return epoch, c.ents[0].StartOffset
	}
	return c.ents[i-1].Epoch, c.ents[i].StartOffset
}

// of is the epoch that wrote an offset, -1 if unknown.
func (c *epochCache) of(offset int64) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.ents), func(i int) bool { return c.ents[i].StartOffset > offset })
	if i == 0 {
		return -1
	}
	return c.ents[i-1].Epoch
}

// truncateTail drops the epochs that start at or above the new end, and reports whether there were any.
func (c *epochCache) truncateTail(end int64) (dropped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.ents) > 0 && c.ents[len(c.ents)-1].StartOffset >= end {
		c.ents = c.ents[:len(c.ents)-1]
		c.dirty, dropped = true, true
	}
	return dropped
}

// truncateHead drops the epochs below the new start; the one that start lies in is moved up to it.
func (c *epochCache) truncateHead(start int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.ents), func(i int) bool { return c.ents[i].StartOffset > start })
	if i == 0 || c.ents[i-1].StartOffset == start && i == 1 {
		return
	}
	c.ents = append([]EpochEntry{{c.ents[i-1].Epoch, start}}, c.ents[i:]...)
	c.dirty = true
}

func (c *epochCache) entries() []EpochEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ents)
}

// load replaces the contents by those of the checkpoint.
func (c *epochCache) load(ents []EpochEntry) {
	c.mu.Lock()
	c.ents, c.dirty = ents, false
	c.mu.Unlock()
}

// takeDirty returns what to write and marks it as written; nil and false if nothing changed.
func (c *epochCache) takeDirty() ([]EpochEntry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil, false
	}
	c.dirty = false
	return slices.Clone(c.ents), true
}

func (c *epochCache) markDirty() {
	c.mu.Lock()
	c.dirty = true
	c.mu.Unlock()
}

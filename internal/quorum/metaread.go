package quorum

import (
	"errors"
	"fmt"
	"sort"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// indexStep is how far apart the entries of a segment's index are.
const indexStep = 4 << 10

// place is where a batch stands in its segment.
type place struct {
	offset int64
	pos    int64
}

// errBelowStart says that the log does not reach back so far.
var errBelowStart = errors.New("the metadata log begins later")

// read returns whole batches from the one that has the offset on: at most maxBytes, but at least one batch. nil without
// an error means that the offset is the end. Safe for concurrent use.
func (l *metaLog) read(offset int64, maxBytes int) ([]byte, error) {
	seg, at, err := l.find(offset)
	if err != nil || seg.size == 0 {
		return nil, err
	}
	f, err := l.fs.Open(l.path(seg.base), vfs.ReadOnly)
	if vfs.IsNotExist(err) {
		return nil, errBelowStart // removed in the meantime
	}
	if err != nil {
		return nil, fmt.Errorf("read the metadata log: %w", err)
	}
	defer f.Close()
	want := int64(maxBytes) + indexStep
	for {
		n := min(want, seg.size-at)
		b := make([]byte, n)
		if _, err := f.ReadAt(b, at); err != nil {
			return nil, fmt.Errorf("read %s: %w", l.path(seg.base), err)
		}
		got, passed := wholeBatches(b, offset, maxBytes)
		if len(got) > 0 || at+passed >= seg.size {
			return got, nil
		}
		if at += passed; passed == 0 {
			want *= 4 // one batch that is larger
		}
	}
}

// wholeBatches cuts from b the batches that have offset and what follows; passed is how much lies before them.
func wholeBatches(b []byte, offset int64, maxBytes int) (got []byte, passed int64) {
	first, end := -1, 0
	for end < len(b) {
		batch, _, err := record.Next(b[end:])
		if err != nil || first >= 0 && end+len(batch)-first > maxBytes {
			break
		}
		if first < 0 && batch.NextOffset() > offset {
			first = end
		}
		end += len(batch)
		if first < 0 {
			passed = int64(end)
		}
	}
	if first < 0 {
		return nil, passed
	}
	return b[first:end], passed
}

// find is the segment with the offset, as far as it is written, and a place at or before the offset in it.
func (l *metaLog) find(offset int64) (seg metaSegment, pos int64, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if offset < l.segs[0].base {
		return seg, 0, errBelowStart
	}
	if offset >= l.end {
		return metaSegment{}, 0, nil
	}
	i := sort.Search(len(l.segs), func(i int) bool { return l.segs[i].base > offset }) - 1
	seg = l.segs[i]
	j := sort.Search(len(seg.index), func(j int) bool { return seg.index[j].offset > offset }) - 1
	if j >= 0 {
		pos = seg.index[j].pos
	}
	return seg, pos, nil
}

// endOfEpoch is the highest epoch up to the given one that has batches, and where it ends. ok is false if there is none.
// Safe for concurrent use.
func (l *metaLog) endOfEpoch(epoch int32) (at epochStart, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.epochs), func(i int) bool { return l.epochs[i].epoch > epoch }) - 1
	if i < 0 {
		return at, false
	}
	end := l.end
	if i+1 < len(l.epochs) {
		end = l.epochs[i+1].start
	}
	return epochStart{l.epochs[i].epoch, end}, true
}

// bounds are the first offset that is kept, the end, and the epoch of the last batch. Safe for concurrent use.
func (l *metaLog) bounds() (start, end int64, epoch int32) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segs[0].base, l.end, l.epoch
}

// reset empties the log, which begins anew where a snapshot ends.
func (l *metaLog) reset(id SnapshotID, timestamp int64) error {
	old := l.segs
	if l.f != nil {
		if err := l.f.Close(); err != nil {
			return err
		}
		l.f = nil
	}
	for i := range old {
		if err := l.removeSegment(old[i].base); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.segs = nil
	l.end, l.epoch, l.timestamp = id.EndOffset, id.Epoch, timestamp
	l.epochs = []epochStart{{id.Epoch, id.EndOffset}}
	l.written, l.snapEnd, l.epochsDirty = 0, id.EndOffset, true
	l.mu.Unlock()
	return l.create(id.EndOffset)
}

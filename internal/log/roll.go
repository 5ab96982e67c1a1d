package log

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/vfs"
)

// shouldRoll reports whether an append of size bytes up to offset last needs a new segment: the present one would get
// too large, is too old, has a full index, or is too far from the offset. The caller holds mu.
func (l *Log) shouldRoll(seg *segment, size int, last, maxTs, nowMs int64, cfg *Config) (bool, error) {
	held := seg.size.Load()
	switch {
	case last-seg.base > math.MaxInt32:
		return true, nil
	case held == 0:
		return false, nil
	case held > int64(cfg.SegmentBytes)-int64(size):
		return true, nil
	}
	if err := seg.loadIndexes(); err != nil {
		return false, l.storageError("load index", err)
	}
	if seg.offsets.n >= int(cfg.SegmentIndexBytes)/offsetEntrySize || seg.times.n >= int(cfg.SegmentIndexBytes)/timeEntrySize-1 {
		return true, nil
	}
	first, err := seg.firstBatchTimestamp()
	if err != nil {
		return false, l.storageError("read", err)
	}
	waited := nowMs - seg.created
	if first >= 0 {
		waited = maxTs - first
	}
	limit := cfg.SegmentMs
	if cfg.Compact {
		limit = min(limit, max(cfg.MaxCompactionLagMs, 0))
	}
	return waited > limit-seg.jitter, nil
}

// firstBatchTimestamp is the highest timestamp of the segment's first batch.
func (s *segment) firstBatchTimestamp() (int64, error) {
	if s.firstBatch != unknownTimestamp {
		return s.firstBatch, nil
	}
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return 0, err
	}
	defer o.release()
	w := newHeaderWalk(o, 0, s.size.Load())
	defer w.close()
	h, _, ok, err := w.next()
	if err != nil || !ok {
		return -1, err
	}
	s.firstBatch = h.MaxTimestamp()
	return s.firstBatch, nil
}

// rollLocked finishes the active segment and starts one at base, which is at or above the log end. The caller
// holds mu.
func (l *Log) rollLocked(base, nowMs int64) error {
	old := l.active()
	if old.base == base {
		return nil // empty: it serves as well
	}
	if err := old.finish(); err != nil {
		return l.storageError("finish segment", err)
	}
	if l.cfg.Load().Preallocate {
		if err := l.trim(old); err != nil {
			return err
		}
	}
	if err := l.loadProducers(); err != nil {
		return err
	}
	if err := l.takeSnapshot(base); err != nil {
		return l.storageError("snapshot", err)
	}
	seg, err := l.addSegment(base, nowMs)
	if err != nil {
		return l.storageError("create segment", err)
	}
	l.segs.Store(ptr(append(slices.Clone(l.segments()), seg)))
	if base > l.end.Load() {
		l.end.Store(base)
	}
	l.requestSyncTo(base)
	return nil
}

func ptr[T any](v T) *T { return &v }

// trim cuts preallocated space off a segment that is done.
func (l *Log) trim(s *segment) error {
	o, err := l.env.files.acquire(s)
	if err != nil {
		return l.storageError("open", err)
	}
	defer o.release()
	return l.storageError("trim", o.Truncate(s.size.Load()))
}

// addSegment makes the files of a new segment.
func (l *Log) addSegment(base, nowMs int64) (*segment, error) {
	cfg := l.cfg.Load()
	seg := newSegment(l, base, nowMs)
	seg.offsets.reset(nil, 0)
	seg.times.reset(nil)
	if limit := min(cfg.SegmentJitterMs, cfg.SegmentMs); limit > 0 {
		seg.jitter = rand.Int64N(limit)
	}
	preallocate := int64(0)
	if cfg.Preallocate {
		preallocate = int64(cfg.SegmentBytes)
	}
	if err := seg.create(preallocate); err != nil {
		l.env.files.drop(seg)
		return nil, err
	}
	// Leftovers of a truncated segment of the same name must not be taken for its indexes.
	for _, kind := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		if err := l.env.fs.Remove(seg.path(kind)); err != nil && !vfs.IsNotExist(err) {
			return nil, err
		}
	}
	l.newFiles.Store(true)
	return seg, nil
}

// takeSnapshot writes the producers' state as valid up to offset, unless there is such a snapshot already.
func (l *Log) takeSnapshot(offset int64) error {
	if slices.Contains(l.snapshots, offset) {
		return nil
	}
	name := l.snapshotPath(offset)
	if err := vfs.WriteFileAtomic(l.env.fs, name, l.producers.encodeSnapshot(), false); err != nil {
		return err
	}
	l.snapshots = append(l.snapshots, offset)
	slices.Sort(l.snapshots)
	l.newFiles.Store(true)
	l.tailMu.Lock()
	l.dirtySnapshots = append(l.dirtySnapshots, offset)
	l.tailMu.Unlock()
	return nil
}

func (l *Log) snapshotPath(offset int64) string {
	return filepath.Join(l.dirPath(), segmentName(offset)+snapshotSuffix)
}

// dropSnapshots removes the snapshots that pick chooses.
func (l *Log) dropSnapshots(pick func(offset int64) bool) {
	kept := l.snapshots[:0]
	for _, o := range l.snapshots {
		if !pick(o) {
			kept = append(kept, o)
			continue
		}
		if err := l.env.fs.Remove(l.snapshotPath(o)); err != nil && !vfs.IsNotExist(err) {
			l.env.logger.Warn("producer snapshot is not removed", "partition", l.tp.String(), "offset", o, "error", err)
		}
	}
	l.snapshots = kept
}

// parseBase reads the offset in the name of a segment's file: 20 digits before the first dot.
func parseBase(name string) (base int64, kind string, ok bool) {
	digits, _, found := strings.Cut(name, ".")
	if !found || len(digits) != 20 {
		return 0, "", false
	}
	base, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || base < 0 {
		return 0, "", false
	}
	return base, name[20:], true
}

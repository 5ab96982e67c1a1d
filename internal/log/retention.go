package log

import (
	"fmt"
	"slices"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// DeleteRecordsTo raises the log start offset (DeleteRecords). Above the high watermark the error wraps
// wire.OffsetOutOfRange. It returns the log start offset after it; segments wholly below it go with the next
// retention pass.
func (l *Log) DeleteRecordsTo(offset int64) (int64, error) {
	if offset < 0 || offset > l.hw.Load() {
		return l.start.Load(), fmt.Errorf("%s: records up to %d cannot be deleted, the high watermark is %d: %w",
			l.tp, offset, l.hw.Load(), wire.OffsetOutOfRange)
	}
	err := l.raiseStart(offset)
	return l.start.Load(), err
}

// AdvanceLogStart raises the log start offset of a follower to its leader's.
func (l *Log) AdvanceLogStart(offset int64) error { return l.raiseStart(min(offset, l.hw.Load())) }

func (l *Log) raiseStart(offset int64) error {
	l.mu.Lock()
	if l.gone != nil {
		defer l.mu.Unlock()
		return l.gone
	}
	moved := l.raiseStartLocked(offset)
	l.mu.Unlock()
	l.startMoved(moved)
	return nil
}

// startMoved tells the Manager's owner. The caller holds no lock.
func (l *Log) startMoved(moved bool) {
	if moved && l.env.onStartMoved != nil {
		l.env.onStartMoved(l)
	}
}

// raiseStartLocked changes memory only: the checkpoint follows in the background. The caller holds mu.
func (l *Log) raiseStartLocked(offset int64) bool {
	l.tailMu.Lock()
	if offset <= l.start.Load() {
		l.tailMu.Unlock()
		return false
	}
	l.start.Store(offset)
	if l.hw.Load() < offset {
		l.setHighWatermarkLocked(min(offset, l.end.Load()))
	}
	l.txns.forgetBelow(offset)
	l.firstUnstable.Store(l.txns.firstUnstable())
	l.tailMu.Unlock()
	l.epochs.truncateHead(offset)
	if d := l.dir.Load(); d != nil {
		d.startsDirty.Store(true)
	}
	return true
}

// forgetBelow drops the ended transactions that lie below the log start.
func (t *txnTracker) forgetBelow(start int64) {
	t.unreplicated = slices.DeleteFunc(t.unreplicated, func(s txnSpan) bool { return s.last < start })
}

// retain applies the deletion rules and returns how many segments went and how many bytes they had.
func (l *Log) retain(nowMs int64) (segments int, bytes int64, err error) {
	before := l.start.Load()
	segments, bytes, err = l.dropDeletable(nowMs)
	l.startMoved(l.start.Load() > before)
	return segments, bytes, err
}

func (l *Log) dropDeletable(nowMs int64) (segments int, bytes int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writable() != nil {
		return 0, 0, nil
	}
	n, why, err := l.deletable(nowMs)
	if err != nil || n == 0 {
		return 0, 0, l.storageError("retention", err)
	}
	for _, s := range l.segments()[:n] {
		bytes += s.size.Load()
	}
	n, err = l.dropOldest(n, nowMs)
	if n > 0 {
		l.env.logger.Info("segments are deleted", "partition", l.tp.String(), "count", n, "reason", why, "logStartOffset", l.start.Load())
	}
	return n, bytes, err
}

// deletable counts the oldest segments that may go, all of them below the high watermark.
func (l *Log) deletable(nowMs int64) (n int, why string, err error) {
	cfg := l.cfg.Load()
	segs := l.segments()
	start, hw := l.start.Load(), l.hw.Load()
	excess := int64(-1)
	if cfg.Delete && cfg.RetentionBytes >= 0 {
		excess = l.SizeBytes() - cfg.RetentionBytes
	}
	for i, s := range segs {
		upper := l.end.Load()
		last := i == len(segs)-1
		if !last {
			upper = segs[i+1].base
		}
		if upper > hw || last && s.size.Load() == 0 {
			break
		}
		expired := false
		switch {
		case !last && upper <= start:
			expired, why = true, "log start offset"
		case cfg.Delete && cfg.RetentionMs >= 0:
			ts, err := s.largestTimestamp()
			if err != nil {
				return n, why, err
			}
			if expired = nowMs-ts > cfg.RetentionMs; expired {
				why = "age"
			}
		}
		if size := s.size.Load(); !expired && excess >= size && size > 0 {
			expired, why = true, "size"
		}
		if !expired {
			break
		}
		excess -= s.size.Load()
		n++
	}
	return n, why, nil
}

// dropOldest takes the first n segments out of the log; their files go later. If that were all, a new segment is
// rolled first; on a full disk, where that fails, the active one stays.
func (l *Log) dropOldest(n int, nowMs int64) (int, error) {
	if n == len(l.segments()) {
		if err := l.rollLocked(l.end.Load(), nowMs); err != nil {
			if n--; n == 0 {
				return 0, err
			}
		}
	}
	segs := l.segments()
	gone := segs[:n]
	l.raiseStartLocked(segs[n].base)
	l.segs.Store(ptr(slices.Clone(segs[n:])))
	first := segs[n].base
	l.dropSnapshots(func(o int64) bool { return o < first })
	for _, s := range gone {
		if err := l.markDeleted(s); err != nil {
			return n, l.storageError("delete segment", err)
		}
	}
	return n, nil
}

// markDeleted renames a segment's files to .deleted and has them removed after file.delete.delay.ms. Readers that hold
// the file go on reading it.
func (l *Log) markDeleted(s *segment) error {
	if l.dir.Load() == nil || l.single {
		return l.removeNow(s)
	}
	for _, kind := range []string{txnIndexSuffix, timeIndexSuffix, indexSuffix, logSuffix} {
		err := l.env.fs.Rename(s.path(kind), s.path(kind)+deletedSuffix)
		if err != nil && !vfs.IsNotExist(err) {
			return err
		}
	}
	s.suffix.Store(ptr(deletedSuffix))
	l.newFiles.Store(true)
	l.dir.Load().deleteLater(l.env.nowMs()+l.cfg.Load().FileDeleteDelayMs, func() error { return l.removeNow(s) })
	return nil
}

func removeIfThere(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !vfs.IsNotExist(err) {
		return err
	}
	return nil
}

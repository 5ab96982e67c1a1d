package log

import (
	"fmt"
	"math"
	"slices"

	"github.com/weir-stream/weir/internal/wire"
)

// TruncateTo cuts the log so that its end is at or below offset. What is cut off is gone for good.
func (l *Log) TruncateTo(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	return l.truncateLocked(offset, l.env.nowMs())
}

func (l *Log) truncateLocked(offset, nowMs int64) error {
	if offset < 0 {
		return fmt.Errorf("%s: truncation to %d: %w", l.tp, offset, wire.OffsetOutOfRange)
	}
	if offset >= l.end.Load() {
		// Nothing to cut, but for an epoch that begins here and has no records: another leader's history has none. A crash must not
		// bring it back, or the records that come now would be taken for its own.
		if l.epochs.truncateTail(offset) {
			l.afterCut()
		}
		return nil
	}
	segs := l.segments()
	if segs[0].base > offset {
		return l.truncateFullyLocked(offset, offset, nowMs)
	}
	l.env.logger.Info("log is truncated", "partition", l.tp.String(), "offset", offset, "end", l.end.Load())
	i := segmentAt(segs, offset)
	seg := segs[i]
	pos, end, err := l.cutPoint(seg, offset)
	if err != nil {
		return l.storageError("truncate", err)
	}
	// The watermarks come down before the bytes go, so that no new read is handed what is about to be cut.
	if err := l.lower(end); err != nil {
		return err
	}
	l.segs.Store(ptr(slices.Clone(segs[:i+1])))
	seg.size.Store(pos)
	for _, s := range segs[i+1:] {
		if err := l.removeNow(s); err != nil {
			return l.storageError("truncate", err)
		}
	}
	if err := l.cutSegment(seg, end, pos, nowMs); err != nil {
		return l.storageError("truncate", err)
	}
	l.epochs.truncateTail(end)
	l.dropSnapshots(func(o int64) bool { return o > end })
	l.producers = nil
	l.newFiles.Store(true)
	if err := l.rebuildProducers(l.start.Load(), end); err != nil {
		return l.storageError("load producers", err)
	}
	l.afterCut()
	return l.usable()
}

// afterCut writes down what must not be found higher after a crash than the log is now.
func (l *Log) afterCut() {
	if err := l.writeEpochs(); err != nil {
		// Epochs above the end are left out when the file is read.
		l.env.logger.Warn("leader epochs are not written", "error", l.storageError("write leader epochs", err))
	}
	l.tailMu.Lock()
	if l.firstDirty > l.end.Load() {
		l.firstDirty = l.start.Load()
	}
	l.tailMu.Unlock()
}

// cutPoint is where the batch that holds offset starts, in the file and as an offset.
func (l *Log) cutPoint(seg *segment, offset int64) (pos, end int64, err error) {
	o, err := l.env.files.acquire(seg)
	if err != nil {
		return 0, 0, err
	}
	defer o.release()
	size := seg.size.Load()
	if offset > seg.base {
		if pos, _, err = l.translate(seg, o, offset, size); err != nil {
			return 0, 0, err
		}
	}
	if pos >= size {
		return size, offset, nil
	}
	w := newHeaderWalk(o, pos, size)
	defer w.close()
	h, _, _, err := w.next()
	if err != nil {
		return 0, 0, err
	}
	return pos, min(h.BaseOffset(), offset), nil
}

// lower brings every offset of the log down to a new end, on disk first: after a crash nothing above the cut may be
// trusted. If that cannot be written (a full disk), nothing has changed.
func (l *Log) lower(end int64) error {
	flushed, start, hw := l.flushed.Load(), l.start.Load(), l.hw.Load()
	l.tailMu.Lock()
	l.truncations.Add(1)
	l.flushed.Store(min(flushed, end))
	l.start.Store(min(start, end))
	l.hw.Store(min(hw, end))
	l.tailMu.Unlock()
	// A start above the cut, found by the next process, would have the log begin anew behind all that it holds by then.
	if l.env.onLowered != nil && (l.pointWritten.Load() > end || start > end || hw > end) {
		if err := l.env.onLowered(l); err != nil {
			l.tailMu.Lock()
			l.flushed.Store(flushed)
			l.hw.Store(hw)
			l.start.Store(start)
			l.tailMu.Unlock()
			return l.storageError("write recovery point", err)
		}
	}
	l.tailMu.Lock()
	defer l.tailMu.Unlock()
	l.marks.clear()
	l.hwMark, l.lsoMark = mark{}, mark{}
	l.end.Store(end)
	return nil
}

// cutSegment cuts the active segment's files. They are synced, so that after a power cut nothing of what was there before
// can be taken for a part of what is written next.
func (l *Log) cutSegment(seg *segment, end, pos, nowMs int64) error {
	if err := seg.loadIndexes(); err != nil {
		return err
	}
	o, err := l.env.files.acquire(seg)
	if err != nil {
		return err
	}
	defer o.release()
	if err := o.Truncate(pos); err != nil {
		return err
	}
	relative := uint32(min(max(end-seg.base, 0), math.MaxUint32))
	if err := seg.offsets.truncate(l.env.fs, seg.path(indexSuffix), relative); err != nil {
		return err
	}
	if err := seg.truncateTimes(relative); err != nil {
		return err
	}
	if err := seg.truncateTxns(end); err != nil {
		return err
	}
	if pos == 0 {
		seg.created, seg.firstBatch = nowMs, unknownTimestamp
	}
	seg.sinceIndex = 0
	seg.maxTimestamp.Store(unknownTimestamp)
	if err := seg.loadMaxTimestamp(); err != nil {
		return err
	}
	seg.modified.Store(nowMs)
	if err := o.Sync(); err != nil {
		return l.syncFailed(err)
	}
	if err := seg.syncIndexes(); err != nil {
		return l.syncFailed(err)
	}
	if err := l.env.fs.SyncDir(l.dirPath()); err != nil {
		return l.syncFailed(err)
	}
	return nil
}

// truncateTimes drops the time index entries at or above the relative offset. It only shortens the file, so that a full
// disk does not stand in the way.
func (s *segment) truncateTimes(relative uint32) error {
	ents, err := s.allTimes()
	if err != nil {
		return err
	}
	keep := len(ents)
	for keep > 0 && ents[keep-1].relative >= relative {
		keep--
	}
	written := min(s.times.written(), keep)
	s.times.reset(ents[:keep])
	s.times.pending = append([]timeEntry(nil), ents[written:keep]...)
	return truncateFile(s.log.env.fs, s.path(timeIndexSuffix), int64(written)*timeEntrySize)
}

// truncateTxns drops the aborted transactions whose marker is at or above the new end.
func (s *segment) truncateTxns(end int64) error {
	if !s.hasTxns.Load() {
		return nil
	}
	written, err := readTxnIndex(s.log.env.fs, s.path(txnIndexSuffix))
	if err != nil {
		return err
	}
	below := func(txns []abortedTxn) int {
		n := 0
		for n < len(txns) && txns[n].lastOffset < end {
			n++
		}
		return n
	}
	s.log.tailMu.Lock()
	s.newTxns = s.newTxns[:below(s.newTxns)]
	s.log.tailMu.Unlock()
	return truncateFile(s.log.env.fs, s.path(txnIndexSuffix), int64(below(written))*abortedEntrySize)
}

// removeNow unlinks the files of a segment that is no longer in the list.
func (l *Log) removeNow(s *segment) error {
	l.env.files.drop(s)
	for _, kind := range []string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		if err := removeIfThere(l.env.fs, s.path(kind)); err != nil {
			return err
		}
	}
	return nil
}

// TruncateFullyTo drops everything and starts over at offset.
func (l *Log) TruncateFullyTo(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	return l.truncateFullyLocked(offset, offset, l.env.nowMs())
}

// truncateFullyLocked drops everything and makes an empty segment at base; records may be read from start on.
func (l *Log) truncateFullyLocked(base, start, nowMs int64) error {
	l.env.logger.Info("log starts over", "partition", l.tp.String(), "offset", base, "end", l.end.Load())
	old := l.segments()
	if err := l.lower(min(base, l.end.Load(), old[0].base)); err != nil {
		return err
	}
	for _, s := range old {
		s.size.Store(0)
		if err := l.removeNow(s); err != nil {
			return l.storageError("truncate", err)
		}
	}
	l.dropSnapshots(func(int64) bool { return true })
	seg, err := l.addSegment(base, nowMs)
	if err != nil {
		return l.storageError("create segment", err)
	}
	if err := l.env.fs.SyncDir(l.dirPath()); err != nil {
		return l.syncFailed(err)
	}
	l.tailMu.Lock()
	l.txns = txnTracker{}
	l.firstUnstable.Store(math.MaxInt64)
	l.start.Store(start)
	l.end.Store(base)
	l.hw.Store(start)
	l.flushed.Store(min(base, l.flushed.Load()))
	l.tailMu.Unlock()
	l.segs.Store(&[]*segment{seg})
	l.producers = &producerState{mapEnd: base}
	l.epochs.truncateTail(0)
	l.afterCut()
	return l.usable()
}

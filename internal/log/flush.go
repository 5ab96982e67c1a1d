package log

import (
	"fmt"
	"path/filepath"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// flush makes everything durable that was appended before the call.
func (l *Log) flush() error { return l.flushTo(l.end.Load()) }

// flushTo makes everything below upTo durable: the files of the segments, the indexes of finished ones, producer
// snapshots, leader epochs and the directory entries. It runs beside appends. A failed sync takes the
// directory offline and is never tried again: the kernel may have dropped what it could not write.
func (l *Log) flushTo(upTo int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	cut := l.truncations.Load()
	from := l.flushed.Load()
	upTo = min(upTo, l.end.Load())
	segs := l.segments()
	first := segmentAt(segs, from)
	// A segment whose records were durable before it was finished has index files, and a trimmed end, that are not.
	for first > 0 && segs[first-1].unsynced.Load() {
		first--
	}
	for i := first; i < len(segs) && segs[i].base < upTo; i++ {
		if err := l.syncSegment(segs[i], i < len(segs)-1); err != nil {
			return err
		}
	}
	if err := l.syncSmallFiles(); err != nil {
		return err
	}
	l.tailMu.Lock()
	if l.truncations.Load() == cut && upTo > l.flushed.Load() {
		l.flushed.Store(upTo)
	}
	l.tailMu.Unlock()
	l.lastFlushMs.Store(l.env.nowMs())
	return nil
}

func (l *Log) syncSegment(s *segment, finished bool) error {
	o, err := l.env.files.acquire(s)
	if err != nil {
		if vfs.IsNotExist(err) {
			return nil // deleted meanwhile: nothing of it needs to last
		}
		return l.storageError("open", err)
	}
	defer o.release()
	if err := o.Sync(); err != nil {
		return l.syncFailed(err)
	}
	if finished && s.unsynced.Swap(false) {
		if err := s.syncIndexes(); err != nil {
			return l.syncFailed(err)
		}
	}
	return nil
}

// syncFailed is for faults of Sync and SyncDir, after which nothing in the directory can be trusted.
func (l *Log) syncFailed(err error) error {
	if vfs.IsNotExist(err) {
		return fmt.Errorf("flush of %s: %w: %w", l.tp, err, wire.KafkaStorageError)
	}
	if d := l.dir.Load(); d != nil {
		d.fail(fmt.Errorf("flush of %s: %w", l.tp, err))
	}
	return fmt.Errorf("flush of %s: %w: %w", l.tp, err, wire.KafkaStorageError)
}

// syncSmallFiles makes snapshots, epochs and directory entries durable.
func (l *Log) syncSmallFiles() error {
	l.tailMu.Lock()
	snaps := l.dirtySnapshots
	l.dirtySnapshots = nil
	l.tailMu.Unlock()
	for _, o := range snaps {
		if err := syncFile(l.env.fs, l.snapshotPath(o)); err != nil {
			return l.syncFailed(err)
		}
	}
	if err := l.writeEpochs(); err != nil {
		return l.storageError("write leader epochs", err)
	}
	if l.metadataUnsynced.Swap(false) {
		if err := syncFile(l.env.fs, filepath.Join(l.dirPath(), partitionMetadataFile)); err != nil {
			return l.syncFailed(err)
		}
	}
	if l.newFiles.Swap(false) {
		if err := l.env.fs.SyncDir(l.dirPath()); err != nil {
			l.newFiles.Store(true)
			return l.syncFailed(err)
		}
	}
	if d := l.dir.Load(); d != nil {
		if err := d.syncEntry(l.madeAt.Load()); err != nil {
			return l.syncFailed(err)
		}
	}
	return nil
}

// syncEntry makes the entry of the partition that was made as the n-th durable, and with it those of all others made so
// far.
func (d *directory) syncEntry(n int64) error {
	if d.entriesSynced.Load() >= n {
		return nil
	}
	d.entries.Lock()
	defer d.entries.Unlock()
	if d.entriesSynced.Load() >= n {
		return nil
	}
	made := d.entriesMade.Load()
	if err := d.env.fs.SyncDir(d.path); err != nil {
		return err
	}
	d.entriesSynced.Store(made)
	return nil
}

// requestSyncTo asks for a round of syncs that makes everything below offset durable.
func (l *Log) requestSyncTo(offset int64) {
	for {
		now := l.syncTo.Load()
		if now >= offset || l.syncTo.CompareAndSwap(now, offset) {
			break
		}
	}
	if d := l.dir.Load(); d != nil {
		d.syncer.request(l)
	}
}

// RequestSync asks for a round of syncs of everything appended so far, without waiting for it.
func (l *Log) RequestSync() { l.requestSyncTo(l.end.Load()) }

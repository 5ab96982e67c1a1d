package log

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/vfs"
)

// Close brings every file up to date and durable, writes the checkpoints and marks the directories as cleanly left by the
// run with brokerEpoch. Call it when the background group has stopped and nobody appends.
func (m *Manager) Close(brokerEpoch int64) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	errs := make([]error, len(m.dirs))
	var wg sync.WaitGroup
	for i, d := range m.dirs {
		wg.Go(func() { errs[i] = m.closeDir(d, brokerEpoch) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (m *Manager) closeDir(d *directory, brokerEpoch int64) error {
	logs := m.logsIn(d)
	err := d.offline()
	if err == nil {
		err = m.shutLogs(logs)
	}
	for _, l := range logs {
		l.closeFiles()
	}
	if err == nil {
		err = m.markClean(d, logs, brokerEpoch)
	}
	if lock := m.takeLock(d); lock != nil {
		err = errors.Join(err, lock.Close())
		if d.offline() == nil {
			err = errors.Join(err, removeIfThere(m.env.fs, filepath.Join(d.path, lockFile)))
		}
	}
	if err != nil {
		return fmt.Errorf("close log directory %s: %w", d.path, err)
	}
	return nil
}

// takeLock takes a directory's lock from it, nil if it has none. A directory that fails meanwhile looks whose marks it may
// take away.
func (m *Manager) takeLock(d *directory) io.Closer {
	m.marking.Lock()
	defer m.marking.Unlock()
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock
}

func (m *Manager) logsIn(d *directory) []*Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []*Log
	for _, set := range []map[TopicPartition]*Log{m.logs, m.futures} {
		for _, l := range set {
			if l.dir.Load() == d {
				out = append(out, l)
			}
		}
	}
	return out
}

func (m *Manager) shutLogs(logs []*Log) error {
	var next atomic.Int64
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for range max(m.cfg.RecoveryThreadsPerDir, m.cfg.DirSyncWorkers) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(logs) {
					return
				}
				if err := logs[i].shut(); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// markClean writes the checkpoints, the list of log ends and, last, the mark itself.
func (m *Manager) markClean(d *directory, logs []*Log, brokerEpoch int64) error {
	if err := m.writeCheckpoints(d, recoveryPointFile, logStartFile, highWatermarkFile, cleanerFile); err != nil {
		return err
	}
	if err := m.env.fs.SyncDir(d.path); err != nil {
		return err
	}
	ents := make([]sidecarEntry, 0, len(logs))
	for _, l := range logs {
		e, err := l.sidecarEntry()
		if err != nil {
			return err
		}
		ents = append(ents, e)
	}
	if err := vfs.WriteFileAtomic(m.env.fs, filepath.Join(d.path, sidecarFile), encodeSidecar(brokerEpoch, ents), true); err != nil {
		return err
	}
	if err := vfs.WriteFileAtomic(m.env.fs, filepath.Join(d.path, cleanShutdownFile), encodeCleanShutdown(brokerEpoch), true); err != nil {
		return err
	}
	return removeIfThere(m.env.fs, filepath.Join(d.path, runFile))
}

// shut brings all files of the log up to date and durable, as after a clean stop, and ends appends. A log that was not
// touched since the last clean stop costs nothing.
func (l *Log) shut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone != nil {
		return nil
	}
	if err := l.usable(); err != nil {
		return err
	}
	defer func() { l.gone = errClosed(l.tp) }()
	active := l.active()
	if l.pristine() {
		return l.shutPristine(active)
	}
	if !l.settled || l.lastTouched.Load() > 0 || active.unwrittenEntries() > 0 {
		if err := l.settle(active); err != nil {
			return err
		}
	}
	return l.syncSmallFiles()
}

// pristine reports whether the log never held a record, in this run nor in those before. The caller holds mu.
func (l *Log) pristine() bool {
	return l.fresh && l.end.Load() == 0 && l.lastTouched.Load() == 0 && l.truncations.Load() == 0
}

// shutPristine leaves the files as a clean stop does without waiting for the disk: a power cut can take nothing but an
// empty log, which the next start makes anew from the metadata.
func (l *Log) shutPristine(active *segment) error {
	if l.settled {
		return nil
	}
	if err := active.finish(); err != nil {
		return l.storageError("finish segment", err)
	}
	if err := l.saveEpochs(false); err != nil {
		return l.storageError("write leader epochs", err)
	}
	return nil
}

func (l *Log) settle(active *segment) error {
	if err := active.finish(); err != nil {
		return l.storageError("finish segment", err)
	}
	if l.cfg.Load().Preallocate {
		if err := l.trim(active); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	if active.unsynced.Swap(false) {
		if err := active.syncIndexes(); err != nil {
			return l.syncFailed(err)
		}
	}
	if err := l.loadProducers(); err != nil {
		return err
	}
	// A log that never held a record has no snapshot, as in Kafka.
	if l.end.Load() > 0 {
		if err := l.takeSnapshot(l.end.Load()); err != nil {
			return l.storageError("snapshot", err)
		}
	}
	return nil
}

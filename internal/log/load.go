package log

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/vfs"
)

// progressEvery is how often a long load says how far it is.
const progressEvery = 3 * time.Second

// foundDir is a partition's directory that Load came across.
type foundDir struct {
	tp     TopicPartition
	name   string
	suffix string
}

// Load opens every log of every directory, recovering where the directory was not left cleanly, and removes the marks of
// the clean stop: from here on the directories count as in use. A directory that turns out to be
// unreadable goes offline. Segments in an old message format are an error (OldFormatError) that names them.
func (m *Manager) Load(ctx context.Context) error {
	errs := make([]error, len(m.dirs))
	var wg sync.WaitGroup
	for i, d := range m.dirs {
		if d.offline() != nil {
			continue
		}
		wg.Go(func() { errs[i] = m.loadDir(ctx, d) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	m.goOn()
	for _, d := range m.dirs {
		if d.offline() != nil {
			continue
		}
		m.findStale(d)
		if err := d.markInUse(); err != nil {
			d.fail(fmt.Errorf("remove the mark of the clean stop: %w", err))
		}
	}
	for _, d := range m.dirs {
		if d.offline() == nil {
			return nil
		}
	}
	return m.allOffline()
}

// goOn has the marks say, before those of the clean stop go, that this process goes on from what the one before has left.
// Marks that do not count go.
func (m *Manager) goOn() {
	previous := m.PreviousBrokerEpoch()
	if previous >= 0 {
		for _, d := range m.dirs {
			if !d.clean {
				m.cfg.Logger.Info("the run before was killed and has lost nothing that it had written", "dir", d.path, "brokerEpoch", previous)
			}
		}
		m.BeginRun(previous)
		return
	}
	m.marking.Lock()
	defer m.marking.Unlock()
	if err := m.removeMarks(); err != nil {
		m.cfg.Logger.Warn("the mark of the run before is not removed", "error", err)
	}
}

// allOffline says why each directory is.
func (m *Manager) allOffline() error {
	errs := []error{errors.New("all log directories are offline")}
	for _, d := range m.dirs {
		errs = append(errs, d.offline())
	}
	return errors.Join(errs...)
}

// markInUse takes the mark of the clean stop away, for good even if the power goes.
func (d *directory) markInUse() error {
	if !d.clean {
		return nil
	}
	for _, name := range []string{sidecarFile, cleanShutdownFile} {
		if err := removeIfThere(d.env.fs, filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	return d.env.fs.SyncDir(d.path)
}

func (m *Manager) loadDir(ctx context.Context, d *directory) error {
	found, err := m.listDir(d)
	if err != nil {
		d.fail(fmt.Errorf("list: %w", err))
		return nil
	}
	var ends map[string]sidecarEntry
	if d.clean {
		if ends, err = readSidecar(m.env.fs, d.path, d.cleanEpoch); err != nil {
			d.logger.Warn("list of log ends is not used", "dir", d.path, "error", err)
		}
	} else if len(found) > 0 {
		d.logger.Info("log directory was not left cleanly: logs are recovered", "dir", d.path, "logs", len(found))
	}
	started := m.env.now()
	var next, done, lastSaid atomic.Int64
	lastSaid.Store(started.UnixNano())
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for range m.cfg.RecoveryThreadsPerDir {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(found) || ctx.Err() != nil || d.offline() != nil {
					return
				}
				if err := m.loadOne(d, found[i], ends); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
				d.sayProgress(m.env.now(), &lastSaid, int(done.Add(1)), len(found))
			}
		})
	}
	wg.Wait()
	if len(found) > 0 {
		d.logger.Info("logs are loaded", "dir", d.path, "logs", len(found), "clean", d.clean, "took", m.env.now().Sub(started))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

func (d *directory) sayProgress(now time.Time, lastSaid *atomic.Int64, done, total int) {
	last := lastSaid.Load()
	if now.UnixNano()-last < int64(progressEvery) || done == total || !lastSaid.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	d.logger.Info("logs are being loaded", "dir", d.path, "done", done, "of", total)
}

// listDir finds the partitions' directories. Those on their way out are queued for removal, others than partitions'
// are left alone.
func (m *Manager) listDir(d *directory) ([]foundDir, error) {
	ents, err := m.env.fs.List(d.path)
	if err != nil {
		return nil, err
	}
	var out []foundDir
	for _, e := range ents {
		if !e.IsDir || e.Name == metadataDirName {
			continue
		}
		tp, suffix, ok := parseDirName(e.Name)
		switch {
		case !ok:
			if e.Name != "lost+found" {
				d.logger.Warn("folder in a log directory is not a partition's and left alone", "dir", d.path, "name", e.Name)
			}
		case suffix == deleteDirSuffix:
			d.removeTreeLater(filepath.Join(d.path, e.Name), m.env.nowMs(), nil)
		case suffix == strayDirSuffix:
		default:
			out = append(out, foundDir{tp, e.Name, suffix})
		}
	}
	return out, nil
}

func (m *Manager) loadOne(d *directory, f foundDir, ends map[string]sidecarEntry) error {
	path := filepath.Join(d.path, f.name)
	l := newLog(m.env, d, f.tp, path, m.topicConfig(f.tp.Topic))
	st := loadState{recoveryPoint: d.points[f.tp], start: d.starts[f.tp], highWatermark: d.watermarks[f.tp], clean: d.clean}
	if f.suffix == futureDirSuffix {
		l.future = true
		st.start, st.highWatermark = 0, 0
	}
	if first, ok := d.dirtyStarts[f.tp]; ok {
		l.firstDirty = first
	}
	if err := m.bringUp(l, f, st, ends); err != nil {
		var old *OldFormatError
		if errors.As(err, &old) {
			return err
		}
		d.fail(fmt.Errorf("load %s: %w", path, err))
		return nil
	}
	d.logs.Add(1)
	return m.register(l)
}

func (m *Manager) bringUp(l *Log, f foundDir, st loadState, ends map[string]sidecarEntry) error {
	if e, ok := ends[f.name]; ok && st.start <= e.end {
		times, err := l.modTimesOf()
		if err != nil {
			return err
		}
		if times == e.modTimes {
			return l.adopt(e, st, m.env.nowMs())
		}
	}
	if err := l.readTopicID(); err != nil {
		return err
	}
	return l.load(st)
}

// register makes a loaded log known. If two directories have the same partition, a move between them was interrupted in
// its last step: the one that is further on stays, the other is set aside.
func (m *Manager) register(l *Log) error {
	m.mu.Lock()
	if l.future {
		m.futures[l.tp] = l
		m.mu.Unlock()
		return nil
	}
	other := m.logs[l.tp]
	if other == nil || l.LogEndOffset() > other.LogEndOffset() {
		m.logs[l.tp] = l
		l, other = other, l
	}
	m.mu.Unlock()
	if other == nil || l == nil {
		return nil
	}
	m.cfg.Logger.Error("partition lies in two log directories: the shorter log is set aside", "kept", other.dirPath(), "aside", l.dirPath())
	if err := m.retire(l, strayDirSuffix); err != nil && !vfs.IsNotExist(err) {
		return err
	}
	return nil
}

// findStale notes which partitions the checkpoints name without there being a log.
func (m *Manager) findStale(d *directory) {
	for _, offsets := range []map[TopicPartition]int64{d.points, d.starts, d.watermarks, d.dirtyStarts} {
		for tp := range offsets {
			if l := m.Get(tp); l == nil || l.dir.Load() != d {
				d.stale[tp] = true
			}
		}
	}
	d.points, d.starts, d.watermarks, d.dirtyStarts = nil, nil, nil, nil
}

package log

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"

	"github.com/weir-stream/weir/internal/vfs"
)

// runFile marks a directory as used by a run of the broker. A process that died while its machine lived has lost nothing of
// what it had written: it is in the page cache. The mark proves to the next process that this is so. It is good for nothing
// once the machine has gone down, so it is not synced. Apache Kafka ignores the file; it can be deleted.
const (
	runFile    = "weir-run"
	runVersion = 1
	maxRunFile = 64 << 10
)

// runMark is what the mark says.
type runMark struct {
	Version     int        `json:"version"`
	BrokerEpoch int64      `json:"brokerEpoch"` // of the run's registration
	Directories []string   `json:"directories"` // all of the run, as directory ids
	Memory      vfs.Memory `json:"memory"`      // of the directory's lock file
}

// readRunMark returns the mark in a directory, nil if there is none that can be read.
func readRunMark(fsys vfs.FS, dir string) (*runMark, error) {
	p, err := vfs.ReadFile(fsys, filepath.Join(dir, runFile), maxRunFile)
	if vfs.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	mark := &runMark{BrokerEpoch: -1}
	if json.Unmarshal(p, mark) != nil || mark.Version != runVersion || mark.BrokerEpoch < 0 {
		return nil, nil // an interrupted or a later version's
	}
	return mark, nil
}

// directoryIDs are those of all directories of this run.
func (m *Manager) directoryIDs() []string {
	ids := make([]string, 0, len(m.dirs))
	for _, d := range m.dirs {
		ids = append(ids, hex.EncodeToString(d.id[:]))
	}
	slices.Sort(ids)
	return ids
}

// judgeRun finds out of each directory whether all that the run before had written in it is there. The mark counts for all
// or for none: a failed directory of the run before took it from the others.
func (m *Manager) judgeRun() {
	ids := m.directoryIDs()
	for _, d := range m.dirs {
		if d.offline() != nil || d.run == nil || !slices.Equal(d.run.Directories, ids) {
			continue
		}
		now, err := m.env.fs.Memory(filepath.Join(d.path, lockFile))
		d.kept = err == nil && now.Same(d.run.Memory)
	}
}

// PreviousBrokerEpoch is the broker epoch of the run before if it left all directories with everything that it had written:
// cleanly, or by dying while the machine, the volumes and the directories stayed what they are, and none of them failed. Else
// it is -1. It is final once Load has returned.
func (m *Manager) PreviousBrokerEpoch() int64 {
	epoch := int64(-1)
	for i, d := range m.dirs {
		of := int64(-1)
		if d.clean {
			of = d.cleanEpoch
		} else if d.kept && !m.lacking.Load() {
			of = d.run.BrokerEpoch
		}
		if of < 0 || i > 0 && of != epoch {
			return -1
		}
		epoch = of
	}
	return epoch
}

// BeginRun marks the directories as used by the run that was registered with brokerEpoch, so that the next one knows what
// became of it. Call it after each registration. Nothing hangs on its success: without the mark a run that was not left
// cleanly counts as one that may have lost something.
func (m *Manager) BeginRun(brokerEpoch int64) {
	m.marking.Lock()
	defer m.marking.Unlock()
	if brokerEpoch < 0 {
		return
	}
	for _, d := range m.dirs {
		if d.offline() != nil {
			return // this run is none that keeps everything
		}
	}
	ids := m.directoryIDs()
	for _, d := range m.dirs {
		memory, err := m.env.fs.Memory(filepath.Join(d.path, lockFile))
		if err == nil {
			p, _ := json.Marshal(runMark{runVersion, brokerEpoch, ids, memory})
			err = vfs.WriteFileAtomic(m.env.fs, filepath.Join(d.path, runFile), p, false)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, vfs.ErrNoMemory) {
			m.cfg.Logger.Debug("a kill of this process will count as a loss of what is not synced", "dir", d.path, "reason", err)
		} else {
			m.cfg.Logger.Warn("a kill of this process will count as a loss of what is not synced", "dir", d.path, "error", err)
		}
		_ = m.removeMarks()
		return
	}
}

// endRun takes the marks away for good: something that was written may be gone. Those of sound directories go first, and one
// is enough. It is called under the locks of logs.
func (m *Manager) endRun() error {
	m.lacking.Store(true)
	m.marking.Lock()
	defer m.marking.Unlock()
	return m.removeMarks()
}

// removeMarks fails if there is no directory left whose mark is gone. The caller holds marking.
func (m *Manager) removeMarks() error {
	var errs []error
	removed := 0
	for _, failed := range []bool{false, true} {
		for _, d := range m.dirs {
			if d.lock == nil || failed != (d.offline() != nil) || failed && removed > 0 { // a failed disk may not answer
				continue
			}
			if err := removeIfThere(m.env.fs, filepath.Join(d.path, runFile)); err != nil {
				errs = append(errs, err)
				continue
			}
			removed++
		}
	}
	if removed > 0 {
		return nil
	}
	return errors.Join(errs...)
}

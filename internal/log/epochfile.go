package log

import (
	"path/filepath"

	"github.com/weir-stream/weir/internal/vfs"
)

// writeEpochs brings the leader-epoch-checkpoint up to date. Two writers at once would use the same temporary file, so
// the epochs' file has its own lock.
func (l *Log) writeEpochs(durable bool) error {
	l.epochFile.Lock()
	defer l.epochFile.Unlock()
	name := filepath.Join(l.dirPath(), leaderEpochFile)
	ents, dirty := l.epochs.takeDirty()
	if !dirty {
		if durable && l.epochsUnsynced.Swap(false) {
			return syncFile(l.env.fs, name)
		}
		return nil
	}
	if err := vfs.WriteFileAtomic(l.env.fs, name, encodeEpochs(ents), durable); err != nil {
		l.epochs.markDirty()
		return err
	}
	l.epochsUnsynced.Store(!durable)
	if !durable {
		l.newFiles.Store(true)
	}
	return nil
}

// readEpochs loads the checkpoint. A damaged one is as good as none: recovery takes the epochs from the batches.
func (l *Log) readEpochs() ([]EpochEntry, error) {
	name := filepath.Join(l.dirPath(), leaderEpochFile)
	p, err := vfs.ReadFile(l.env.fs, name, maxCheckpointBytes)
	if vfs.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ents, err := decodeEpochs(p)
	if err != nil {
		return nil, &damagedError{name, err}
	}
	return ents, nil
}

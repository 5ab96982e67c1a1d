package log

import (
	"path/filepath"

	"github.com/weir-stream/weir/internal/vfs"
)

// writeEpochs brings the leader-epoch-checkpoint up to date; the directory entry is left to the next SyncDir. Two
// writers at once would use the same temporary file, so the file has its own lock.
func (l *Log) writeEpochs() error { return l.saveEpochs(true) }

func (l *Log) saveEpochs(synced bool) error {
	l.epochFile.Lock()
	defer l.epochFile.Unlock()
	ents, dirty := l.epochs.takeDirty()
	if !dirty {
		return nil
	}
	write := vfs.WriteFileSynced
	if !synced {
		write = func(fsys vfs.FS, name string, p []byte) error { return vfs.WriteFileAtomic(fsys, name, p, false) }
	}
	if err := write(l.env.fs, filepath.Join(l.dirPath(), leaderEpochFile), encodeEpochs(ents)); err != nil {
		l.epochs.markDirty()
		return err
	}
	l.newFiles.Store(true)
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

package log

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// SingleOptions are what OpenSingle needs besides.
type SingleOptions struct {
	TopicID TopicID
	Logger  *slog.Logger
	Now     func() time.Time
	// RecoveryPoint is an offset below which the log is known to be durable; 0 checks everything.
	RecoveryPoint int64
	// OnFailure is called when the disk turns out to be untrustworthy; the log refuses everything from then on.
	OnFailure func(error)
}

// OpenSingle opens one log outside a Manager, making its directory if need be: the metadata log. Its owner syncs and
// closes it; there is no background work.
func OpenSingle(fsys vfs.FS, dir string, tp TopicPartition, cfg Config, opt SingleOptions) (*Log, error) {
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	env := newEnvironment(fsys, opt.Logger, opt.Now)
	d := newDirectory(env, filepath.Dir(dir), newSyncer(1, nil), nil)
	if opt.OnFailure != nil {
		d.onFailure = func(_ DirState, err error) { opt.OnFailure(err) }
	}
	l := newLog(env, d, tp, dir, cfg)
	l.single = true
	if _, err := fsys.Stat(dir); vfs.IsNotExist(err) {
		if err := fsys.MkdirAll(dir); err != nil {
			return nil, err
		}
		l.madeAt.Store(d.entriesMade.Add(1))
	}
	if err := l.load(loadState{recoveryPoint: opt.RecoveryPoint}); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if opt.TopicID != (TopicID{}) {
		if err := l.setTopicID(opt.TopicID); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Close writes what is only in memory, syncs everything and refuses further use. It is for logs of OpenSingle; a Manager
// closes its own.
func (l *Log) Close() error {
	err := l.shut()
	l.closeFiles()
	return err
}

func errClosed(tp TopicPartition) error {
	return fmt.Errorf("%s is closed: %w", tp, wire.KafkaStorageError)
}

func (l *Log) closeFiles() {
	for _, s := range l.segments() {
		l.env.files.drop(s)
	}
}

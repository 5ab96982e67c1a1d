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
	d := &directory{env: env, path: filepath.Dir(dir), logger: opt.Logger}
	if opt.OnFailure != nil {
		d.onFailure = func(_ DirState, err error) { opt.OnFailure(err) }
	}
	d.syncer = newSyncer(1, nil)
	l := newLog(env, d, tp, dir, cfg)
	l.single = true
	if _, err := fsys.Stat(dir); vfs.IsNotExist(err) {
		if err := fsys.MkdirAll(dir); err != nil {
			return nil, err
		}
		l.newDir.Store(true)
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
	err := l.shut(true)
	l.closeFiles()
	return err
}

// shut brings all files of the log up to date and durable, as after a clean stop, and ends appends.
func (l *Log) shut(snapshot bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone != nil {
		return nil
	}
	if err := l.usable(); err != nil {
		return err
	}
	l.gone = fmt.Errorf("%s is closed: %w", l.tp, wire.KafkaStorageError)
	active := l.active()
	if l.lastTouched.Load() > 0 || active.unwrittenEntries() > 0 || !l.settled {
		if err := active.finish(); err != nil {
			return err
		}
		if l.cfg.Load().Preallocate {
			if err := l.trim(active); err != nil {
				return err
			}
		}
	}
	if l.producers != nil && snapshot && l.end.Load() > 0 && l.producers.mapEnd == l.end.Load() && len(l.snapshots)+int(active.size.Load()) > 0 {
		if err := l.takeSnapshot(l.end.Load()); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	return l.syncFinished(active)
}

// syncFinished makes the active segment's indexes durable as well, which flush leaves to the next roll.
func (l *Log) syncFinished(active *segment) error {
	if active.unsynced.Swap(false) {
		if err := active.syncIndexes(); err != nil {
			return l.syncFailed(err)
		}
	}
	return l.syncSmallFiles()
}

func (l *Log) closeFiles() {
	for _, s := range l.segments() {
		l.env.files.drop(s)
	}
}

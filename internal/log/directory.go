package log

import (
	"fmt"
	"io"
	"log/slog"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// DirState is one log directory.
type DirState struct {
	Path   string
	ID     [16]byte // directory.id
	Online bool
	Err    error // why it is offline
	// TotalBytes and UsableBytes are those of the volume, -1 if unknown.
	TotalBytes, UsableBytes int64
}

// directory is one log directory. It goes offline at the first fault that makes its contents doubtful and never comes
// back while the process lives. Safe for concurrent use.
type directory struct {
	env       *environment
	path      string
	id        [16]byte
	logger    *slog.Logger
	failure   atomic.Pointer[error]
	onFailure func(DirState, error) // called under the locks of logs
	syncer    *syncer
	lock      io.Closer
	meta      MetaProperties
	logs      atomic.Int64 // logs in it, future ones too

	clean       bool // left cleanly by the last run
	cleanEpoch  int64
	run         *runMark                 // of the last run, if it was not left cleanly
	kept        bool                     // and all that was written in it is there
	points      map[TopicPartition]int64 // recovery points, from the checkpoint at start
	starts      map[TopicPartition]int64
	watermarks  map[TopicPartition]int64
	dirtyStarts map[TopicPartition]int64 // cleaner's checkpoint

	startsDirty     atomic.Bool // the log start checkpoint is out of date
	watermarksDirty atomic.Bool
	cooledMs        int64 // of the sweeper
	checkpointing   lifecycle.IOLock
	written         map[string]uint64 // checksums of the checkpoints as last written; under checkpointing
	full            atomic.Bool       // a write found the volume full since the last sweep

	// Partitions are made and renamed often, and the root is synced for many at once.
	entries       lifecycle.IOLock
	entriesMade   atomic.Int64
	entriesSynced atomic.Int64

	mu      sync.Mutex
	deletes []deferredDelete
	stale   map[TopicPartition]bool // deleted partitions that the checkpoints may still name
}

type deferredDelete struct {
	atMs int64
	run  func() error
}

func newDirectory(env *environment, path string, syncer *syncer, onFailure func(DirState, error)) *directory {
	return &directory{env: env, path: path, logger: env.logger, syncer: syncer, onFailure: onFailure, cleanEpoch: -1,
		checkpointing: lifecycle.NewIOLock(), entries: lifecycle.NewIOLock(), written: map[string]uint64{}, stale: map[TopicPartition]bool{}}
}

// offline is why the directory cannot be used, nil if it can.
func (d *directory) offline() error {
	if p := d.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail takes the directory offline. The first reason stays.
func (d *directory) fail(err error) {
	if !d.failure.CompareAndSwap(nil, &err) {
		return
	}
	d.logger.Error("log directory goes offline", "dir", d.path, "error", err)
	if d.onFailure != nil {
		d.onFailure(d.state(), err)
	}
}

func (d *directory) state() DirState {
	err := d.offline()
	return DirState{Path: d.path, ID: d.id, Online: err == nil, Err: err, TotalBytes: -1, UsableBytes: -1}
}

// stateWithUsage asks the volume too.
func (d *directory) stateWithUsage() DirState {
	st := d.state()
	if st.Online {
		if u, err := d.env.fs.Usage(d.path); err == nil {
			st.TotalBytes, st.UsableBytes = u.Total, u.Free
		}
	}
	return st
}

// deleteLater runs f once the time has come.
func (d *directory) deleteLater(atMs int64, f func() error) {
	d.mu.Lock()
	d.deletes = append(d.deletes, deferredDelete{atMs, f})
	d.mu.Unlock()
}

// runDeletes does the deletions that are due; on a full volume all of them. What fails is tried again.
func (d *directory) runDeletes(nowMs int64) {
	all := d.full.Load()
	d.mu.Lock()
	sort.SliceStable(d.deletes, func(i, j int) bool { return d.deletes[i].atMs < d.deletes[j].atMs })
	n := 0
	for n < len(d.deletes) && (all || d.deletes[n].atMs <= nowMs) {
		n++
	}
	due := append([]deferredDelete(nil), d.deletes[:n]...)
	d.deletes = append(d.deletes[:0], d.deletes[n:]...)
	d.mu.Unlock()
	for _, del := range due {
		if d.offline() != nil {
			return
		}
		if err := del.run(); err != nil {
			if !vfs.IsTransient(err) {
				d.fail(fmt.Errorf("delete: %w", err))
				return
			}
			d.logger.Warn("deletion is tried again later", "dir", d.path, "error", err)
			d.deleteLater(nowMs+60_000, del.run)
		}
	}
}

// problem turns a fault of a file in the directory itself into the protocol's answer.
func (d *directory) problem(what string, err error) error {
	if err == nil {
		return nil
	}
	if vfs.IsNoSpace(err) {
		d.full.Store(true)
	}
	if !vfs.IsTransient(err) {
		d.fail(fmt.Errorf("%s: %w", what, err))
	}
	return fmt.Errorf("%s in %s: %w: %w", what, d.path, err, wire.KafkaStorageError)
}

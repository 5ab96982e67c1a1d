package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// environment is what all logs of a Manager share.
type environment struct {
	fs                   vfs.FS
	logger               *slog.Logger
	now                  func() time.Time
	files                *fileCache
	indexes              *indexCache
	durability           Durability
	producerExpirationMs atomic.Int64
	verifyTxns           atomic.Bool  // transaction.partition.verification.enable
	guards               atomic.Int64 // the last verification guard
	onFlushed            func(*Log)
	onStartMoved         func(*Log)       // nil: nobody wants to know
	onLowered            func(*Log) error // nil without a Manager
	lastConfig           atomic.Pointer[Config]
	onLack               func() error // nil without a Manager
}

// lack says that something may be gone that was written, before anything is changed that tells of it.
func (e *environment) lack() error {
	if e.onLack == nil {
		return nil
	}
	return e.onLack()
}

func newEnvironment(fsys vfs.FS, logger *slog.Logger, now func() time.Time) *environment {
	e := &environment{fs: fsys, logger: logger, now: now, files: newFileCache(64), indexes: newIndexCache(8 << 20)}
	e.producerExpirationMs.Store(24 * 3600 * 1000)
	return e
}

// shared is a configuration that many logs have: those that get the same one after another share it.
func (e *environment) shared(cfg Config) *Config {
	if last := e.lastConfig.Load(); last != nil && *last == cfg {
		return last
	}
	e.lastConfig.Store(&cfg)
	return &cfg
}

func (e *environment) nowMs() int64 { return e.now().UnixMilli() }

// Log is one replica of one partition. Offsets and watermarks are atomics; appends, truncations and deletions are one
// at a time under an I/O lock, reads run beside them on an immutable list of segments. Safe for concurrent use.
//
// Invariants: start ≤ high watermark ≤ end; flushed ≤ end; the segments are never empty of segments, their bases rise,
// the first base is ≤ start unless everything below start was deleted, and only the last segment grows.
//
// Locks: mu (held over I/O) before tailMu and the epochs' lock (never held over I/O).
type Log struct {
	env *environment
	tp  TopicPartition

	dir  atomic.Pointer[directory]
	path atomic.Pointer[string]
	cfg  atomic.Pointer[Config]
	id   atomic.Pointer[TopicID]

	segs          atomic.Pointer[[]*segment]
	start         atomic.Int64
	end           atomic.Int64
	hw            atomic.Int64
	flushed       atomic.Int64
	firstUnstable atomic.Int64 // first undecided offset, MaxInt64 if none

	mu        lifecycle.IOLock
	epochFile lifecycle.IOLock
	gone      error // why appends are refused: closed, deleted or replaced
	role      roleEpoch
	epochs    epochCache

	producers      *producerState // nil until needed
	verifications  map[int64]verification
	snapshots      []int64 // offsets of the .snapshot files
	dirtySnapshots []int64 // written since the last flush
	unflushed      int64   // records since the last flush
	lastFlushMs    atomic.Int64
	pointWritten   atomic.Int64 // recovery point as in the checkpoint
	truncations    atomic.Int64 // counts, so that a flush knows when its files were cut meanwhile
	firstDirty     int64        // where the next compaction starts, -1 unknown; under tailMu
	future         bool

	tailMu  sync.Mutex
	txns    txnTracker
	marks   markRing
	hwMark  mark
	lsoMark mark

	newFiles         atomic.Bool  // the partition's directory has entries that were not synced
	madeAt           atomic.Int64 // the directory's count of made partitions when this one was; 0: its entry is durable
	metadataUnsynced atomic.Bool
	settled          bool // loaded from a clean stop: all files are as a close would leave them
	fresh            bool // made empty, or adopted as such: nothing in its directory needs to last
	syncQueued       atomic.Bool
	syncTo           atomic.Int64 // what the next round must make durable
	single           bool         // opened without a Manager
	cleaning         atomic.Int32
	lastTouched      atomic.Int64 // ms of the last append, for dropping what an idle log holds
}

// roleEpoch is what the log was last told about the partition's leader.
type roleEpoch struct {
	epoch  atomic.Int32
	leader atomic.Bool
}

func newLog(env *environment, dir *directory, tp TopicPartition, path string, cfg Config) *Log {
	l := &Log{env: env, tp: tp, mu: lifecycle.NewIOLock(), epochFile: lifecycle.NewIOLock(), firstDirty: -1}
	l.dir.Store(dir)
	l.path.Store(&path)
	l.cfg.Store(env.shared(cfg))
	l.id.Store(&TopicID{})
	l.segs.Store(&[]*segment{})
	l.role.epoch.Store(-1)
	l.firstUnstable.Store(math.MaxInt64)
	return l
}

func (l *Log) dirPath() string { return *l.path.Load() }

// segments is the immutable list of segments at this moment.
func (l *Log) segments() []*segment { return *l.segs.Load() }

// active is the segment that grows.
func (l *Log) active() *segment {
	s := l.segments()
	return s[len(s)-1]
}

// segmentAt returns the index of the segment whose range holds offset: the last one with a base at or below it, the
// first one for offsets below all.
func segmentAt(segs []*segment, offset int64) int {
	lo, hi := 0, len(segs)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if segs[mid].base <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return max(lo-1, 0)
}

// storageError turns a fault of the file system into the protocol's answer. A fault that says that the disk cannot be
// trusted takes the directory offline; a shortage does not.
func (l *Log) storageError(what string, err error) error {
	var code wire.Code
	if err == nil || errors.As(err, &code) {
		return err // somebody closer to the fault has dealt with it
	}
	var corrupt *corruptError
	if errors.As(err, &corrupt) {
		return fmt.Errorf("%s of %s: %w: %w", what, l.tp, err, wire.CorruptMessage)
	}
	if dir := l.dir.Load(); dir != nil && !vfs.IsNotExist(err) {
		return dir.problem(what+" of "+l.tp.String(), err)
	}
	return fmt.Errorf("%s of %s: %w: %w", what, l.tp, err, wire.KafkaStorageError)
}

// GiveUpDirectory takes the directory that the log lies in offline, as a fault of the disk does: for shortages, which do not
// by themselves.
func (l *Log) GiveUpDirectory(reason error) {
	if dir := l.dir.Load(); dir != nil {
		dir.fail(reason)
	}
}

// usable says why the log cannot be used, if so. The directory's state is an atomic.
func (l *Log) usable() error {
	if dir := l.dir.Load(); dir != nil {
		if err := dir.offline(); err != nil {
			return fmt.Errorf("log directory %s is offline: %w", dir.path, wire.KafkaStorageError)
		}
	}
	return nil
}

// LogStartOffset is the first offset that may be read.
func (l *Log) LogStartOffset() int64 { return l.start.Load() }

// LogEndOffset is the offset that the next record gets.
func (l *Log) LogEndOffset() int64 { return l.end.Load() }

// HighWatermark is the end of what is committed.
func (l *Log) HighWatermark() int64 { return l.hw.Load() }

// FlushedOffset is the end of what is durable (the recovery point).
func (l *Log) FlushedOffset() int64 { return l.flushed.Load() }

// LastStableOffset is the end of what a read_committed consumer may see: the first offset of the oldest transaction
// that is not decided, at most the high watermark.
func (l *Log) LastStableOffset() int64 {
	hw := l.hw.Load() // first: a transaction that begins in between lies above it
	return max(min(hw, l.firstUnstable.Load()), l.start.Load())
}

// SyncsBeforeAck reports whether an append may be acknowledged only when FlushedOffset has passed it: under
// weir.durability=fsync, or flush.messages=1.
func (l *Log) SyncsBeforeAck() bool {
	return l.env.durability == DurabilityFsync || l.cfg.Load().FlushMessages == 1
}

// TopicPartition is the partition's name.
func (l *Log) TopicPartition() TopicPartition { return l.tp }

// TopicID is the topic's id, zero if unknown.
func (l *Log) TopicID() TopicID { return *l.id.Load() }

// IsFuture reports whether this is the future replica of a move between directories.
func (l *Log) IsFuture() bool {
	l.tailMu.Lock()
	defer l.tailMu.Unlock()
	return l.future
}

// Dir is the state of the directory that holds the log.
func (l *Log) Dir() DirState {
	if d := l.dir.Load(); d != nil {
		return d.state()
	}
	return DirState{Path: l.dirPath(), Online: true}
}

// Path is the partition's directory at this moment.
func (l *Log) Path() string { return l.dirPath() }

// Config returns the configuration.
func (l *Log) Config() Config { return *l.cfg.Load() }

// SetConfig replaces the configuration. It takes effect with the next append or background pass.
func (l *Log) SetConfig(cfg Config) { l.cfg.Store(l.env.shared(cfg)) }

// SizeBytes is the size of all segments.
func (l *Log) SizeBytes() int64 {
	n := int64(0)
	for _, s := range l.segments() {
		n += s.size.Load()
	}
	return n
}

// NumSegments is how many segments the log has.
func (l *Log) NumSegments() int { return len(l.segments()) }

// SetHighWatermark moves the high watermark, clamped to the log, and returns what it is now. It does no I/O
// and takes no lock that is held over I/O.
func (l *Log) SetHighWatermark(offset int64) int64 {
	l.tailMu.Lock()
	defer l.tailMu.Unlock()
	offset = max(min(offset, l.end.Load()), l.start.Load())
	l.setHighWatermarkLocked(offset)
	return offset
}

func (l *Log) setHighWatermarkLocked(offset int64) {
	if offset == l.hw.Load() {
		return
	}
	l.hw.Store(offset)
	if d := l.dir.Load(); !d.watermarksDirty.Load() {
		d.watermarksDirty.Store(true)
	}
	l.hwMark = l.marks.at(offset)
	if len(l.txns.unreplicated) > 0 {
		l.txns.replicated(offset)
		l.firstUnstable.Store(l.txns.firstUnstable())
	}
}

// BecomeLeader tells the log that it leads from this epoch on: the epoch starts at the log end, which is returned, and
// appends of other epochs are refused. It waits for an append in flight and does no I/O itself.
func (l *Log) BecomeLeader(epoch int32) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone != nil {
		return 0, l.gone
	}
	if epoch < l.role.epoch.Load() {
		return 0, fmt.Errorf("%s: leader epoch %d is older than %d: %w", l.tp, epoch, l.role.epoch.Load(), wire.FencedLeaderEpoch)
	}
	l.role.epoch.Store(epoch)
	l.role.leader.Store(true)
	l.epochs.assign(epoch, l.end.Load())
	return l.end.Load(), nil
}

// BecomeFollower tells the log that somebody else leads in epoch; AppendAsLeader is refused from now on. It waits for an
// append in flight.
func (l *Log) BecomeFollower(epoch int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch >= l.role.epoch.Load() {
		l.role.epoch.Store(epoch)
		l.role.leader.Store(false)
	}
}

// LatestEpoch is the epoch of the last epoch entry, -1 if there is none.
func (l *Log) LatestEpoch() int32 { return l.epochs.latest() }

// EpochEndOffset answers OffsetForLeaderEpoch: the largest epoch at or below the asked one that the log knows and its end
// offset; (-1, -1) if it is above all that are known.
func (l *Log) EpochEndOffset(epoch int32) (int32, int64) {
	return l.epochs.endOffset(epoch, l.end.Load())
}

// Epochs returns the leader epochs with their start offsets.
func (l *Log) Epochs() []EpochEntry { return l.epochs.entries() }

// EpochOfOffset is the leader epoch that wrote the offset, -1 if unknown.
func (l *Log) EpochOfOffset(offset int64) int32 { return l.epochs.of(offset) }

// ActiveProducers lists the producers that the log remembers.
func (l *Log) ActiveProducers() ([]ActiveProducer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.loadProducers(); err != nil {
		return nil, err
	}
	out := make([]ActiveProducer, 0, len(l.producers.entries))
	for i := range l.producers.entries {
		e := &l.producers.entries[i]
		out = append(out, ActiveProducer{ProducerID: e.id, ProducerEpoch: e.epoch, LastSequence: e.lastSeq(),
			LastTimestamp: e.lastTimestamp, CoordinatorEpoch: e.coordinatorEpoch, CurrentTxnStartOffset: e.txnFirst})
	}
	return out, nil
}

// ReportReadError is for whoever sends a Range and finds that its file cannot be read: such a fault takes the
// directory offline.
func (l *Log) ReportReadError(err error) { _ = l.storageError("read", err) }

// Sync makes everything below upTo durable, in a round shared with the other logs of the directory.
func (l *Log) Sync(ctx context.Context, upTo int64) error {
	if l.flushed.Load() >= upTo {
		return nil
	}
	if d := l.dir.Load(); d != nil && d.syncer.running() {
		return d.syncer.wait(ctx, l, min(upTo, l.end.Load()))
	}
	return l.flush()
}

// firstDirtyOffset is where the next compaction starts, -1 if the log was never compacted.
func (l *Log) firstDirtyOffset() int64 {
	l.tailMu.Lock()
	defer l.tailMu.Unlock()
	return l.firstDirty
}

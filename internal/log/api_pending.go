package log

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/vfs"
)

var errPending = errors.New("not there yet")

// Durability says when an append counts as done.
type Durability int8

// The durabilities: Kafka's (page cache and replicas), or flushed to disk before the acknowledgement.
const (
	DurabilityPageCache Durability = iota
	DurabilityFsync
)

// ManagerConfig is what a Manager needs to know. Zero durations and counts mean Apache Kafka's defaults.
type ManagerConfig struct {
	FS        vfs.FS
	Dirs      []string // absolute paths, the first is the default for the metadata log
	NodeID    int32
	ClusterID string // empty: taken from meta.properties
	Logger    *slog.Logger
	Now       func() time.Time

	// TopicConfig resolves a topic's configuration at load and creation; nil means DefaultConfig.
	TopicConfig func(topic string) Config

	RecoveryThreadsPerDir     int           // num.recovery.threads.per.data.dir
	RetentionCheckInterval    time.Duration // log.retention.check.interval.ms
	FlushCheckInterval        time.Duration // log.flush.scheduler.interval.ms
	RecoveryPointInterval     time.Duration // log.flush.offset.checkpoint.interval.ms
	LogStartInterval          time.Duration // log.flush.start.offset.checkpoint.interval.ms
	HighWatermarkInterval     time.Duration // replica.high.watermark.checkpoint.interval.ms
	InitialTaskDelay          time.Duration // log.initial.task.delay.ms
	ProducerExpirationMs      int64         // producer.id.expiration.ms
	ProducerExpirationCheck   time.Duration
	MaxOpenFiles              int // bound of the cache of open segment files
	MaxIndexBytes             int64
	Durability                Durability
	CleanerEnabled            bool
	CleanerThreads            int
	CleanerDedupeBufferBytes  int64
	CleanerIOBufferBytes      int
	CleanerIOBufferLoadFactor float64
	CleanerMaxIOBytesPerSec   float64
	CleanerBackoff            time.Duration
	DirSyncWorkers            int

	// OnFlushed is called, without locks held, after a log's FlushedOffset moved in a round of syncs.
	OnFlushed func(*Log)
	// OnDirFailure is called once for each directory that went offline, without locks held.
	OnDirFailure func(dir DirState, err error)
}

// DirState is one log directory.
type DirState struct {
	Path   string
	ID     [16]byte // directory.id
	Online bool
	Err    error // why it is offline
	// TotalBytes and UsableBytes are those of the volume, -1 if unknown.
	TotalBytes, UsableBytes int64
}

// Manager owns the log directories of a node and the logs in them. Safe for concurrent use.
//
// Life: OpenManager (locks, meta.properties, checkpoints), Load (all logs, with recovery), Start, … , Close.
type Manager struct{}

// OpenManager locks the directories, reads meta.properties and checkpoints and notes whether each was left
// cleanly. A directory that cannot be read is offline, not an error, unless none is left.
func OpenManager(cfg ManagerConfig) (*Manager, error) { return nil, errPending }

// Load opens every log of every directory, recovering where the directory was not left cleanly.
func (m *Manager) Load(ctx context.Context) error { return errPending }

// Start runs the background work in a group: retention, flushes, checkpoints, cleaning, deferred deletes.
func (m *Manager) Start(g *lifecycle.Group) {}

// Close flushes everything, writes all checkpoints and marks the directories as cleanly left in brokerEpoch.
func (m *Manager) Close(brokerEpoch int64) error { return errPending }

// PreviousBrokerEpoch is the broker epoch of the run before if all directories were left cleanly, else -1.
func (m *Manager) PreviousBrokerEpoch() int64 { return -1 }

// Open returns the log of a partition, making it if it is not there. dirID chooses the directory of a new log;
// the zero value means the one with the fewest logs. A log with another topic id is an error that
// wraps wire.InconsistentTopicId.
func (m *Manager) Open(tp TopicPartition, id TopicID, dirID [16]byte) (*Log, error) {
	return nil, errPending
}

// Get returns the log of a partition, or nil.
func (m *Manager) Get(tp TopicPartition) *Log { return nil }

// Delete renames the partition's directory away; its files go after file.delete.delay.ms.
func (m *Manager) Delete(tp TopicPartition) error { return errPending }

// All returns the logs at this moment, in no order.
func (m *Manager) All() []*Log { return nil }

// Dirs returns the state of the log directories in the order of the configuration.
func (m *Manager) Dirs() []DirState { return nil }

// SetAsideStrays renames the directories of partitions that isStray picks to -stray. It refuses, and renames
// nothing, if those were more than half of the logs of a directory.
func (m *Manager) SetAsideStrays(isStray func(tp TopicPartition, id TopicID) bool) ([]TopicPartition, error) {
	return nil, errPending
}

// MoveTo starts to copy a log to another directory as its future replica; when it has caught up it takes the
// place of the present one. A second call with another directory starts over; the present directory cancels.
func (m *Manager) MoveTo(tp TopicPartition, dirID [16]byte) error { return errPending }

// Future returns the future replica of a partition that is being moved, or nil.
func (m *Manager) Future(tp TopicPartition) *Log { return nil }

// Log is one replica of one partition. Offsets and watermarks are atomics; appends and truncations are one at a
// time, reads run beside them. Safe for concurrent use.
type Log struct{}

// AppendAsLeader checks the batches, gives them offsets and leaderEpoch (patched in place) and appends them. The
// caller owns the bytes; the log does not keep them. An epoch other than the one of the last BecomeLeader gives
// wire.NotLeaderOrFollower. A full or failed disk gives wire.KafkaStorageError. On return the records are in the
// page cache; with DurabilityFsync they are durable when FlushedOffset is above LastOffset, for which the
// next round of syncs was asked.
func (l *Log) AppendAsLeader(batches []byte, leaderEpoch int32, opt AppendOptions) (AppendInfo, error) {
	return AppendInfo{}, errPending
}

// AppendAsFollower appends batches that a leader has accepted, with their offsets and epochs. Only lengths and
// CRC are checked. leaderEpoch is the epoch of the fetch; batches of a higher one end the append quietly.
func (l *Log) AppendAsFollower(batches []byte, leaderEpoch int32) (AppendInfo, error) {
	return AppendInfo{}, errPending
}

// Read returns the range of whole batches from the one that holds offset, at most maxBytes long, or one batch if
// it is longer and minOneBatch is set. At the bound the range is nil; below the log start or above the bound
// the error wraps wire.OffsetOutOfRange.
func (l *Log) Read(offset int64, maxBytes int, minOneBatch bool, upTo Bound) (ReadInfo, error) {
	return ReadInfo{}, errPending
}

// LogStartOffset is the first offset that may be read.
func (l *Log) LogStartOffset() int64 { return 0 }

// LogEndOffset is the offset that the next record gets.
func (l *Log) LogEndOffset() int64 { return 0 }

// HighWatermark is the end of what is committed.
func (l *Log) HighWatermark() int64 { return 0 }

// SetHighWatermark moves the high watermark, clamped to the log, and returns what it is now. It does no I/O
// and takes no lock that is held over I/O.
func (l *Log) SetHighWatermark(offset int64) int64 { return 0 }

// LastStableOffset is the end of what a read_committed consumer may see.
func (l *Log) LastStableOffset() int64 { return 0 }

// FlushedOffset is the end of what is durable (the recovery point).
func (l *Log) FlushedOffset() int64 { return 0 }

// BecomeLeader tells the log that it leads from this epoch on: the epoch starts at the log end, which is
// returned, and appends of other epochs are refused. It waits for an append in flight.
func (l *Log) BecomeLeader(epoch int32) (int64, error) { return 0, errPending }

// BecomeFollower tells the log that somebody else leads in epoch; AppendAsLeader is refused from now on.
func (l *Log) BecomeFollower(epoch int32) {}

// LatestEpoch is the epoch of the last epoch entry, -1 if there is none.
func (l *Log) LatestEpoch() int32 { return -1 }

// EpochEndOffset answers OffsetForLeaderEpoch: the largest epoch at or below the asked one that the log knows and
// its end offset; (-1, -1) if there is none.
func (l *Log) EpochEndOffset(epoch int32) (int32, int64) { return -1, -1 }

// Epochs returns the leader epochs with their start offsets.
func (l *Log) Epochs() []EpochEntry { return nil }

// OffsetForTimestamp finds the first record at or after ts; Offset -1 if there is none.
func (l *Log) OffsetForTimestamp(ts int64) (TimestampOffset, error) {
	return TimestampOffset{}, errPending
}

// OffsetForMaxTimestamp finds the record with the highest timestamp.
func (l *Log) OffsetForMaxTimestamp() (TimestampOffset, error) { return TimestampOffset{}, errPending }

// EpochOfOffset is the leader epoch that wrote the offset, -1 if unknown.
func (l *Log) EpochOfOffset(offset int64) int32 { return -1 }

// DeleteRecordsTo raises the log start offset (DeleteRecords). Above the high watermark the error wraps
// wire.OffsetOutOfRange. It returns the log start offset after it.
func (l *Log) DeleteRecordsTo(offset int64) (int64, error) { return 0, errPending }

// AdvanceLogStart raises the log start offset of a follower to its leader's.
func (l *Log) AdvanceLogStart(offset int64) error { return errPending }

// TruncateTo cuts the log so that its end is at or below offset.
func (l *Log) TruncateTo(offset int64) error { return errPending }

// TruncateFullyTo drops everything and starts over at offset.
func (l *Log) TruncateFullyTo(offset int64) error { return errPending }

// SetConfig replaces the configuration.
func (l *Log) SetConfig(cfg Config) {}

// Config returns the configuration.
func (l *Log) Config() Config { return Config{} }

// Sync makes everything below upTo durable, in a round shared with the other logs of the directory.
func (l *Log) Sync(ctx context.Context, upTo int64) error { return errPending }

// ActiveProducers lists the producers that the log remembers.
func (l *Log) ActiveProducers() ([]ActiveProducer, error) { return nil, errPending }

// SizeBytes is the size of all segments.
func (l *Log) SizeBytes() int64 { return 0 }

// TopicPartition is the partition's name.
func (l *Log) TopicPartition() TopicPartition { return TopicPartition{} }

// TopicID is the topic's id, zero if unknown.
func (l *Log) TopicID() TopicID { return TopicID{} }

// Dir is the state of the directory that holds the log.
func (l *Log) Dir() DirState { return DirState{} }

// IsFuture reports whether this is the future replica of a move between directories.
func (l *Log) IsFuture() bool { return false }

// OpenSingle opens one log outside a Manager: the metadata log. The owner flushes it (Sync), and closes it.
func OpenSingle(fsys vfs.FS, dir string, tp TopicPartition, cfg Config, opt SingleOptions) (*Log, error) {
	return nil, errPending
}

// SingleOptions are what OpenSingle needs besides.
type SingleOptions struct {
	TopicID TopicID
	Logger  *slog.Logger
	Now     func() time.Time
	// RecoveryPoint is an offset below which the log is known to be durable; 0 checks everything.
	RecoveryPoint int64
}

// Close flushes and closes a log of OpenSingle.
func (l *Log) Close() error { return errPending }

// AppendPrepared appends batches whose offsets and epochs are already set; the first one starts at the log end.
func (l *Log) AppendPrepared(batches []byte) (AppendInfo, error) { return AppendInfo{}, errPending }

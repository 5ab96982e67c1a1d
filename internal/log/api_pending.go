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

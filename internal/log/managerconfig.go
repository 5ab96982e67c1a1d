package log

import (
	"log/slog"
	"time"

	"github.com/weir-stream/weir/internal/vfs"
)

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
	Dirs      []string // absolute paths
	NodeID    int32
	ClusterID string // empty: taken from meta.properties
	Logger    *slog.Logger
	Now       func() time.Time

	// TopicConfig resolves a topic's configuration at load and creation; nil means DefaultConfig.
	TopicConfig func(topic string) Config

	RecoveryThreadsPerDir   int           // num.recovery.threads.per.data.dir
	RetentionCheckInterval  time.Duration // log.retention.check.interval.ms
	FlushCheckInterval      time.Duration // log.flush.scheduler.interval.ms; 0: flush.ms has no effect
	RecoveryPointInterval   time.Duration // log.flush.offset.checkpoint.interval.ms
	LogStartInterval        time.Duration // log.flush.start.offset.checkpoint.interval.ms
	HighWatermarkInterval   time.Duration // replica.high.watermark.checkpoint.interval.ms
	InitialTaskDelay        time.Duration // log.initial.task.delay.ms
	ProducerExpirationMs    int64         // producer.id.expiration.ms
	ProducerExpirationCheck time.Duration
	VerifyTransactions      bool  // transaction.partition.verification.enable
	MaxOpenFiles            int   // bound of the cache of open segment files
	MaxIndexBytes           int64 // bound of the memory of indexes that are only read
	Durability              Durability
	DirSyncWorkers          int // syncs at once in one directory

	CleanerEnabled            bool
	CleanerThreads            int
	CleanerDedupeBufferBytes  int64   // for all threads together
	CleanerIOBufferBytes      int     // for all threads together
	CleanerIOBufferLoadFactor float64 // of the dedupe buffer
	CleanerMaxIOBytesPerSec   float64
	CleanerBackoff            time.Duration

	// OnFlushed is called, without locks held, after a log's FlushedOffset moved in a round of syncs, or after a
	// round that failed.
	OnFlushed func(*Log)
	// OnStartMoved is called, without locks held, after a log's LogStartOffset was raised.
	OnStartMoved func(*Log)
	// OnDirFailure is called once for each directory that went offline, from a goroutine of its own.
	OnDirFailure func(dir DirState, err error)
	// OnSwapped is called, without locks held, when a move between directories has put now in the place of old. From
	// then on old refuses everything.
	OnSwapped func(old, now *Log)
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c ManagerConfig) withDefaults() ManagerConfig {
	orDefault(&c.RecoveryThreadsPerDir, 2)
	orDefault(&c.RetentionCheckInterval, 5*time.Minute)
	orDefault(&c.RecoveryPointInterval, time.Minute)
	orDefault(&c.LogStartInterval, time.Minute)
	orDefault(&c.HighWatermarkInterval, 5*time.Second)
	orDefault(&c.InitialTaskDelay, 30*time.Second)
	orDefault(&c.ProducerExpirationMs, 24*3600*1000)
	orDefault(&c.ProducerExpirationCheck, 10*time.Minute)
	orDefault(&c.MaxOpenFiles, 1024)
	orDefault(&c.MaxIndexBytes, 32<<20)
	orDefault(&c.DirSyncWorkers, 8)
	orDefault(&c.CleanerThreads, 1)
	orDefault(&c.CleanerDedupeBufferBytes, 128<<20)
	orDefault(&c.CleanerIOBufferBytes, 512<<10)
	orDefault(&c.CleanerIOBufferLoadFactor, 0.9)
	orDefault(&c.CleanerBackoff, 15*time.Second)
	const longest = 365 * 24 * time.Hour
	if c.FlushCheckInterval > longest {
		c.FlushCheckInterval = 0 // Kafka's default: never
	}
	for _, d := range []*time.Duration{&c.RetentionCheckInterval, &c.RecoveryPointInterval, &c.LogStartInterval,
		&c.HighWatermarkInterval, &c.InitialTaskDelay, &c.ProducerExpirationCheck, &c.CleanerBackoff} {
		*d = min(*d, longest)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	return c
}

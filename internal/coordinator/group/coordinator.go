package group

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/record"
)

// OffsetsTopic is the internal topic that groups live in.
const OffsetsTopic = "__consumer_offsets"

// Config is what the broker's settings say of groups. Zero fields mean Kafka's defaults, except
// InitialRebalanceDelay, whose zero means none.
type Config struct {
	InitialRebalanceDelay  time.Duration // group.initial.rebalance.delay.ms
	MinSessionTimeout      time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout      time.Duration // group.max.session.timeout.ms
	MaxSize                int           // group.max.size
	NewMemberJoinTimeout   time.Duration // how long a new member may wait for its first generation
	OffsetMetadataMaxSize  int           // offset.metadata.max.bytes
	OffsetsRetention       time.Duration // offsets.retention.minutes
	RetentionCheckInterval time.Duration // offsets.retention.check.interval.ms
	CommitTimeout          time.Duration // offsets.commit.timeout.ms
	LoadBufferBytes        int           // offsets.load.buffer.size
	MaxBatchBytes          int           // message.max.bytes
	Codec                  record.Codec  // offsets.topic.compression.codec
	// NewUUID makes the random part of member ids; nil means a random UUID.
	NewUUID func() string
}

// DefaultConfig has Kafka's defaults.
func DefaultConfig() Config {
	c := Config{InitialRebalanceDelay: 3 * time.Second}
	c.fillDefaults()
	return c
}

// ConfigFrom reads the broker's settings. None of them changes while the broker runs.
func ConfigFrom(s *config.Set) Config {
	c := Config{
		InitialRebalanceDelay: s.Millis("group.initial.rebalance.delay.ms"),
		MinSessionTimeout:     s.Millis("group.min.session.timeout.ms"), MaxSessionTimeout: s.Millis("group.max.session.timeout.ms"),
		MaxSize:                s.Int("group.max.size"),
		OffsetMetadataMaxSize:  s.Int("offset.metadata.max.bytes"),
		OffsetsRetention:       time.Duration(s.Int("offsets.retention.minutes")) * time.Minute,
		RetentionCheckInterval: s.Millis("offsets.retention.check.interval.ms"),
		CommitTimeout:          s.Millis("offsets.commit.timeout.ms"),
		LoadBufferBytes:        s.Int("offsets.load.buffer.size"),
		MaxBatchBytes:          s.Int("message.max.bytes"),
		Codec:                  record.Codec(s.Int("offsets.topic.compression.codec")),
	}
	c.fillDefaults()
	return c
}

func (c *Config) fillDefaults() {
	set(&c.MinSessionTimeout, 6*time.Second)
	set(&c.MaxSessionTimeout, 30*time.Minute)
	set(&c.MaxSize, math.MaxInt32)
	set(&c.NewMemberJoinTimeout, 5*time.Minute)
	set(&c.OffsetMetadataMaxSize, 4096)
	set(&c.OffsetsRetention, 7*24*time.Hour)
	set(&c.RetentionCheckInterval, 10*time.Minute)
	set(&c.CommitTimeout, coordinator.DefaultCommitTimeout)
	set(&c.LoadBufferBytes, coordinator.DefaultLoadBufferBytes)
	set(&c.MaxBatchBytes, coordinator.DefaultMaxBatchBytes)
	if c.NewUUID == nil {
		c.NewUUID = randomUUID
	}
}

func set[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func randomUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Deps is what a Coordinator needs of its broker.
type Deps struct {
	// Partitions finds the partitions of __consumer_offsets that this broker leads.
	Partitions coordinator.Partitions
	// PartitionCount is the number of partitions of __consumer_offsets, or what it will have once it is made. It is
	// called with every request.
	PartitionCount func() int32
	// Group owns the goroutines; it is stopped after Close.
	Group  *lifecycle.Group
	Logger *slog.Logger
	// Now tells the time of day; nil: time.Now.
	Now func() time.Time
}

// Stats counts what the coordinator did since it started.
type Stats struct {
	OffsetCommits       int64 // offsets committed
	OffsetExpirations   int64
	OffsetDeletions     int64
	CompletedRebalances int64
}

type stats struct {
	commits, expired, deleted, rebalances atomic.Int64
}

// Coordinator serves the groups whose partition of __consumer_offsets this broker leads. Safe for concurrent use. No
// method waits: answers come by callback, once, from any goroutine, possibly before the method returns.
type Coordinator struct {
	cfg   Config
	deps  Deps
	rt    *coordinator.Runtime[*machine]
	stats stats
}

// New makes a coordinator that serves nothing until it is told of elections.
func New(cfg Config, deps Deps) *Coordinator {
	cfg.fillDefaults()
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	c := &Coordinator{cfg: cfg, deps: deps}
	c.rt = coordinator.NewRuntime(coordinator.Config{
		Topic: OffsetsTopic, Partitions: deps.Partitions, Group: deps.Group, Logger: deps.Logger,
		CommitTimeout: cfg.CommitTimeout, LoadBufferBytes: cfg.LoadBufferBytes, MaxBatchBytes: cfg.MaxBatchBytes,
		Codec: cfg.Codec, Now: deps.Now,
	}, func(sh *coordinator.Shard) *machine { return newMachine(c, sh) })
	return c
}

// Elected tells that this broker leads partition p of __consumer_offsets in that epoch. It does not wait.
func (c *Coordinator) Elected(p, epoch int32) { c.rt.Elected(p, epoch) }

// Resigned tells that this broker no longer leads partition p, as of that epoch; -1 means whatever the epoch is. It
// does not wait.
func (c *Coordinator) Resigned(p, epoch int32) { c.rt.Resigned(p, epoch) }

// Close gives up all groups; who waits gets COORDINATOR_NOT_AVAILABLE. The owner of the goroutines is stopped after
// it.
func (c *Coordinator) Close() { c.rt.Close() }

// LoadTimes is how long partitions took to load within the last 30 seconds: the longest and the mean.
func (c *Coordinator) LoadTimes() (longest, mean time.Duration) { return c.rt.LoadTimes() }

// Stats returns the counters.
func (c *Coordinator) Stats() Stats {
	return Stats{c.stats.commits.Load(), c.stats.expired.Load(), c.stats.deleted.Load(), c.stats.rebalances.Load()}
}

// PartitionFor is the partition of __consumer_offsets that the group belongs to: as in Kafka.
func (c *Coordinator) PartitionFor(group string) int32 {
	return coordinator.PartitionFor(group, c.deps.PartitionCount())
}

// run posts an operation to the shard of a group.
func (c *Coordinator) run(group string, op func(*coordinator.Tx, *machine), fail func(error)) {
	c.rt.Run(c.PartitionFor(group), op, fail)
}

package group

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/image"
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
	Consumer               ConsumerConfig
	// NewMemberID makes the id of a member of a consumer group that brings none; nil means a random one.
	NewMemberID func() string
	// NewUUID makes the random part of member ids; nil means a random UUID.
	NewUUID func() string
}

// ConsumerConfig is what the broker's settings say of consumer groups (KIP-848).
type ConsumerConfig struct {
	MaxSize      int           // group.consumer.max.size
	Assignors    []string      // group.consumer.assignors
	RegexRefresh time.Duration // group.consumer.regex.refresh.interval.ms
	// NoUpgrade and NoDowngrade say that classic groups may not become consumer groups while they have members, and not the
	// other way round (group.consumer.migration.policy).
	NoUpgrade, NoDowngrade bool
}

// GroupSettings is what the settings say of one consumer group.
type GroupSettings struct {
	SessionTimeout, HeartbeatInterval, AssignmentInterval time.Duration
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
		Consumer: ConsumerConfig{
			MaxSize: s.Int("group.consumer.max.size"), Assignors: assignorNames(s.List("group.consumer.assignors")),
			RegexRefresh: s.Millis("group.consumer.regex.refresh.interval.ms"),
		},
	}
	policy := strings.ToLower(s.String("group.consumer.migration.policy"))
	c.Consumer.NoUpgrade = policy != "upgrade" && policy != "bidirectional"
	c.Consumer.NoDowngrade = policy != "downgrade" && policy != "bidirectional"
	c.fillDefaults()
	return c
}

// assignorNames are the names of assignors, which may be given by Apache Kafka's classes. Others were refused when the settings
// were read.
func assignorNames(list []string) (out []string) {
	for _, name := range list {
		switch name[strings.LastIndexByte(name, '.')+1:] {
		case "UniformAssignor":
			name = assign.UniformName
		case "RangeAssignor":
			name = assign.RangeName
		}
		if _, ok := assign.ByName(name); ok {
			out = append(out, name)
		}
	}
	return out
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
	set(&c.Consumer.MaxSize, math.MaxInt32)
	set(&c.Consumer.RegexRefresh, 10*time.Minute)
	if len(c.Consumer.Assignors) == 0 {
		c.Consumer.Assignors = []string{assign.UniformName, assign.RangeName}
	}
	if c.NewUUID == nil {
		c.NewUUID = randomUUID
	}
	if c.NewMemberID == nil {
		c.NewMemberID = randomID
	}
}

func set[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// randomID is a random id as Kafka writes one.
func randomID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return base64.RawURLEncoding.EncodeToString(b[:])
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
	// Image is the present metadata; nil: there are no topics.
	Image func() *image.Image
	// GroupSettings are the settings of a consumer group, which may change; nil: Kafka's defaults.
	GroupSettings func(group string) GroupSettings
}

// Stats counts what the coordinator did since it started.
type Stats struct {
	OffsetCommits       int64 // offsets committed
	OffsetExpirations   int64
	OffsetDeletions     int64
	CompletedRebalances int64 // of classic groups
	ConsumerRebalances  int64 // group epochs of consumer groups that rose for a heartbeat
}

type stats struct {
	commits, expired, deleted, rebalances, consumerRebalances atomic.Int64
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
	if deps.Image == nil {
		none := image.Empty()
		deps.Image = func() *image.Image { return none }
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
	return Stats{c.stats.commits.Load(), c.stats.expired.Load(), c.stats.deleted.Load(), c.stats.rebalances.Load(), c.stats.consumerRebalances.Load()}
}

// PartitionFor is the partition of __consumer_offsets that the group belongs to: as in Kafka.
func (c *Coordinator) PartitionFor(group string) int32 {
	return coordinator.PartitionFor(group, c.deps.PartitionCount())
}

// groupSettings are the settings of a consumer group.
func (c *Coordinator) groupSettings(group string) GroupSettings {
	if c.deps.GroupSettings == nil {
		return GroupSettings{SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second, AssignmentInterval: time.Second}
	}
	return c.deps.GroupSettings(group)
}

// run posts an operation to the shard of a group.
func (c *Coordinator) run(group string, op func(*coordinator.Tx, *machine), fail func(error)) {
	c.rt.Run(c.PartitionFor(group), op, fail)
}
